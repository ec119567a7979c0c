"""What a recipe of each task may say: its sections, its keys of data, and which kinds of model learn it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RECURRENT_MODELS = ("rnn", "lstm", "gru")

VISION, RECURRENT, ENCODER = "vision", "recurrent", "encoder"
"""The kinds of model: of pictures; recurrent nets; checkpoints of encoders, which read text."""

_CLASSES = frozenset({"classes", "train_per_class"})
_TABLE = frozenset(
    {"format", "layout", "series", "time", "features", "target", "stride", "split", "missing", "irregular", "step",
     "min_length"}
)  # fmt: skip
_FILE = frozenset(
    {"source", "validation", "calibration", "calibration_limit", "evaluation", "max_bad", "seed"}
)
_TEXTS = _FILE | _CLASSES | {"format", "text", "label"}
_READING = frozenset({"max_tokens", "policy", "stride"})
_POOLED = _READING | {"pooling", "normalise"}


@dataclass(frozen=True)
class TaskRules:
    """What a recipe of one task may say.

    `sections` and `data` are the keys that belong to it beside those of every task; `network` those of its network
    that do not, with the reason. `models` are the kinds of model that learn it. `classifies`: there are classes to
    weigh; `regresses`: the loss may be chosen, and its metrics may fall below 0. `epochs` is how long a recurrent net
    trains that starts from random weights. `modes` are those of `transfer`, the default first. `encoder_text` are the
    keys of the section text that an encoder has here, `encoder_data` those of data that only an encoder has.
    """

    sections: frozenset[str]
    data: frozenset[str]
    models: tuple[str, ...] = (RECURRENT,)
    classifies: bool = True
    regresses: bool = False
    epochs: int = 30
    network: Mapping[str, str] | None = None
    modes: tuple[str, ...] = ("fine-tuning", "feature-extraction")
    encoder_text: frozenset[str] = frozenset()
    encoder_data: frozenset[str] = frozenset()

    @property
    def recurrent(self) -> bool:
        """Whether recurrent nets learn it."""
        return RECURRENT in self.models

    def sections_of(self, family: str) -> frozenset[str]:
        """The sections of a recipe whose model is of this kind."""
        return self.sections if family == RECURRENT else self.sections - {"network"}

    def data_of(self, family: str) -> frozenset[str]:
        """The keys of data of a recipe whose model is of this kind."""
        return self.data | self.encoder_data if family == ENCODER else self.data


_NO_EMBEDDING = {"embedding": "only texts are embedded"}
_ENCODER_MODES = ("fine-tuning", "feature-extraction", "none")

TASK_RULES: Mapping[str, TaskRules] = {
    "image-classification": TaskRules(frozenset({"input"}), _FILE | _CLASSES, (VISION,), epochs=5),
    "sequence-classification": TaskRules(
        frozenset({"network"}), _FILE | _CLASSES | _TABLE | {"window"}, network=_NO_EMBEDDING
    ),
    "sequence-regression": TaskRules(
        frozenset({"network"}),
        _FILE | _TABLE | {"window"},
        classifies=False,
        regresses=True,
        network={**_NO_EMBEDDING, "readout": "every step has an answer of its own"},
    ),
    "forecasting": TaskRules(
        frozenset({"network", "forecast"}),
        _FILE | _TABLE | {"unseen"},
        classifies=False,
        regresses=True,
        network=_NO_EMBEDDING,
    ),
    "text-classification": TaskRules(
        frozenset({"network", "text"}),
        _TEXTS,
        (RECURRENT, ENCODER),
        epochs=10,
        modes=_ENCODER_MODES,
        encoder_text=_READING | {"pooling", "multi_label", "threshold"},
        encoder_data=frozenset({"separator"}),
    ),
    "audio-classification": TaskRules(
        frozenset({"network", "audio"}), _FILE | _CLASSES, network=_NO_EMBEDDING
    ),
    "token-classification": TaskRules(
        frozenset({"text"}),
        _FILE | {"format", "words", "tags", "classes"},
        (ENCODER,),
        modes=_ENCODER_MODES,
        encoder_text=_READING,
    ),
    "question-answering": TaskRules(
        frozenset({"text", "question"}),
        _FILE | {"format", "question", "context", "answers"},
        (ENCODER,),
        classifies=False,
        modes=_ENCODER_MODES,
        encoder_text=_READING,
    ),
    "sentence-embedding": TaskRules(
        frozenset({"text"}),
        _TEXTS,
        (ENCODER,),
        classifies=False,
        modes=("none", "fine-tuning"),
        encoder_text=_POOLED,
    ),
    "zero-shot-classification": TaskRules(
        frozenset({"text", "zero_shot"}),
        _TEXTS,
        (ENCODER,),
        modes=("none",),
        encoder_text=_POOLED,
    ),
}
"""A task that a recipe may name, and its rules: one for each of `edgewright.runtime.tasks.TASKS`."""

BUILTIN_DATA: Mapping[str, Mapping[str, Any]] = {
    "builtin:co2": {"time": "date", "target": ["co2"], "missing": "interpolate"},
}
"""What a recipe need not say about the columns of a built-in set."""


def is_recurrent(model: object) -> bool:
    """Whether a recipe's `model` is a recurrent net."""
    return model in RECURRENT_MODELS


def family_of(task: str, model: object) -> str:
    """The kind of model that a recipe names: whatever is no recurrent net is a checkpoint where texts are read."""
    if is_recurrent(model):
        return RECURRENT
    rules = TASK_RULES.get(task)
    return ENCODER if rules is not None and ENCODER in rules.models else VISION


def optional_sections() -> frozenset[str]:
    """The sections that belong to some tasks only."""
    return frozenset().union(*(rules.sections for rules in TASK_RULES.values()))


_CLASSIFICATION = ("accuracy", "macro-f1", "auroc")

TASK_METRICS: Mapping[str, tuple[str, ...]] = {
    "image-classification": _CLASSIFICATION,
    "sequence-classification": _CLASSIFICATION,
    "text-classification": _CLASSIFICATION,
    "audio-classification": _CLASSIFICATION,
    "sequence-regression": ("r2",),
    "forecasting": ("skill",),
    "token-classification": ("span-f1", "accuracy"),
    "question-answering": ("f1", "exact-match"),
    "sentence-embedding": ("neighbour-accuracy",),
    "zero-shot-classification": _CLASSIFICATION,
}
"""Task to its metrics, greater is better; the first is the default."""

MULTI_LABEL_METRICS = ("micro-f1", "macro-f1", "auroc")
"""The metrics where any number of labels may hold; the first is the default."""


def metrics_of(task: str, multi_label: bool = False) -> tuple[str, ...]:
    """The metrics of a task, the default first."""
    return MULTI_LABEL_METRICS if multi_label else TASK_METRICS[task]


BUILTIN_PREFIX = "builtin:"


PACKAGE_PREFIX = "package:"


RUN_WEIGHTS = "weights.safetensors"


WEIGHT_WORDS = ("imagenet", "pretrained", "none")
"""The values of `weights` that are no path."""
