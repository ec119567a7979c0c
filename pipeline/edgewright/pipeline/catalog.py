"""What can be carried: one entry for each task and one for each family of models.

Nothing heavy is imported here: a recipe is checked without loading torch. What an entry names as "module:attribute" is
imported by `load` when it is first needed.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BUILTIN_PREFIX = "builtin:"
PACKAGE_PREFIX = "package:"
RUN_WEIGHTS = "weights.safetensors"

WEIGHT_WORDS = ("imagenet", "pretrained", "none")
"""The values of `weights` that are no path."""

VISION, RECURRENT, TEXT_ENCODER = "vision", "recurrent", "text-encoder"

FAMILIES: dict[str, str] = {
    RECURRENT: "edgewright.pipeline.families.recurrent:Recurrent",
    TEXT_ENCODER: "edgewright.pipeline.families.text_encoders:TextEncoders",
    VISION: "edgewright.pipeline.families.vision:Vision",
}
"""Name of a family of models to the class that knows it."""

FALLBACK = VISION
"""What the name of a model is taken for where neither the name nor the task says it."""


@dataclass(frozen=True)
class FamilyTask:
    """What the models of one family make of one task.

    `data` are the keys of a recipe's section data, and `text` those of its section text, that only this family has
    here. `names_outputs`: each output of a head stands for one label, so that a head which is kept decides the labels.
    `pairs`: two texts may be read together.
    """

    data: frozenset[str] = frozenset()
    text: frozenset[str] = frozenset()
    names_outputs: bool = False
    pairs: bool = False


_NO_EMBEDDING: Mapping[str, str] = {"embedding": "only texts are embedded"}


@dataclass(frozen=True)
class RecurrentTask(FamilyTask):
    """What a recurrent net makes of a task.

    `input` and `output` are names in the graph. `settings` is the class of the device's settings, `fits` the function
    that fits them on the training part, `dimensions` the one that says how wide the net is then, each "module:name".
    `network` are keys of the section network that do not belong here, with the reason. `epochs` is how long a net
    trains that starts from random weights. `shorter` is the key of a recipe, and how to set it, for shorter sequences.
    """

    settings: str = "edgewright.runtime.series.settings:SeriesSettings"
    fits: str = "edgewright.pipeline.fitted.series:fit_series"
    dimensions: str = "edgewright.pipeline.models.recurrent.tasks:of_sequences"
    input: str = "values"
    output: str = "logits"
    network: Mapping[str, str] = field(default_factory=lambda: _NO_EMBEDDING)
    epochs: int = 30
    shorter: str = "data.window: shorter"


@dataclass(frozen=True)
class TextEncoderTask(FamilyTask):
    """What an encoder of text makes of a task.

    `answers` is what of a text is answered: "text", "tokens", "span" or "embedding". `zero_shot`: labels come with the
    question.
    """

    answers: str = "text"
    zero_shot: bool = False


@dataclass(frozen=True)
class TaskSpec:
    """One task, described once; its device half stands in `edgewright.runtime.tasks.TASKS`.

    `training` is the module of its training half: `make(classes, **options)` and `options(recipe, splits, built)`.
    `reader` is the "module:attribute" of the `Reader` that finds its data. `families` says which models learn it.
    `metrics` are greater-is-better, the first is the default. `sections` and `data` are the keys of a recipe that
    belong to it beside those of every task. `modes` are those of `transfer`, the default first. `builtin` are the
    built-in sets that are for it. `classifies`: there are classes to weigh. `regresses`: the loss may be chosen, and
    metrics may fall below 0. `forecasts`: the next steps of a series are answered. `every_step`: so is every step.
    `commands` are those that the command line has for it: name to the "module:attribute" of a Click command, and what
    it does.
    """

    training: str
    reader: str
    families: Mapping[str, FamilyTask]
    metrics: tuple[str, ...]
    sections: frozenset[str]
    data: frozenset[str]
    builtin: tuple[str, ...] = ()
    modes: tuple[str, ...] = ("fine-tuning", "feature-extraction")
    classifies: bool = True
    regresses: bool = False
    forecasts: bool = False
    every_step: bool = False
    commands: Mapping[str, tuple[str, str]] = field(default_factory=dict)


_CLASSIFICATION = ("accuracy", "macro-f1", "auroc")
_CHECKPOINT_MODES = ("fine-tuning", "feature-extraction", "none")

_FILE = frozenset(
    {"source", "validation", "calibration", "calibration_limit", "evaluation", "max_bad", "seed"}
)
_CLASSES = frozenset({"classes", "train_per_class"})
_TABLE = frozenset(
    {"format", "layout", "series", "time", "features", "target", "stride", "split", "missing", "irregular", "step",
     "min_length"}
)  # fmt: skip
_TEXTS = _FILE | _CLASSES | {"format", "text", "label"}
_VOCABULARY = frozenset({"vocabulary", "max_tokens", "lowercase", "policy"})
_READING = frozenset({"max_tokens", "policy", "stride"})
_POOLED = _READING | {"pooling", "normalise"}

_TASKS, _READERS = "edgewright.pipeline.tasks", "edgewright.pipeline.data.readers"
_DIMENSIONS = "edgewright.pipeline.models.recurrent.tasks"

TASKS: dict[str, TaskSpec] = {
    "image-classification": TaskSpec(
        f"{_TASKS}.image_classification",
        f"{_READERS}:IMAGES",
        {VISION: FamilyTask()},
        _CLASSIFICATION,
        frozenset({"input"}),
        _FILE | _CLASSES,
        ("digits",),
    ),
    "sequence-classification": TaskSpec(
        f"{_TASKS}.sequence_classification",
        f"{_READERS}:SERIES",
        {RECURRENT: RecurrentTask()},
        _CLASSIFICATION,
        frozenset(),
        _FILE | _CLASSES | _TABLE | {"window"},
        ("digits-rows",),
    ),
    "sequence-regression": TaskSpec(
        f"{_TASKS}.sequence_regression",
        f"{_READERS}:SERIES",
        {
            RECURRENT: RecurrentTask(
                dimensions=f"{_DIMENSIONS}:of_every_step",
                output="prediction",
                network={**_NO_EMBEDDING, "readout": "every step has an answer of its own"},
            )
        },
        ("r2",),
        frozenset(),
        _FILE | _TABLE | {"window"},
        ("adding-200",),
        classifies=False,
        regresses=True,
        every_step=True,
    ),
    "forecasting": TaskSpec(
        f"{_TASKS}.forecasting",
        f"{_READERS}:SERIES",
        {
            RECURRENT: RecurrentTask(
                dimensions=f"{_DIMENSIONS}:of_forecasts",
                output="prediction",
                shorter="forecast.context: shorter",
            )
        },
        ("skill",),
        frozenset({"forecast"}),
        _FILE | _TABLE | {"unseen"},
        ("co2",),
        classifies=False,
        regresses=True,
        forecasts=True,
    ),
    "text-classification": TaskSpec(
        f"{_TASKS}.text_classification",
        f"{_READERS}:LABELLED_TEXTS",
        {
            RECURRENT: RecurrentTask(
                text=_VOCABULARY,
                settings="edgewright.runtime.text.decoding:TextSettings",
                fits="edgewright.pipeline.fitted.vocabulary:fit_vocabulary",
                dimensions=f"{_DIMENSIONS}:of_tokens",
                input="input_ids",
                network={},
                epochs=10,
                shorter="text.max_tokens: shorter",
            ),
            TEXT_ENCODER: TextEncoderTask(
                data=frozenset({"separator"}),
                text=_READING | {"pooling", "multi_label", "threshold"},
                names_outputs=True,
                pairs=True,
            ),
        },
        _CLASSIFICATION,
        frozenset({"text"}),
        _TEXTS,
        ("stdlib-docs",),
        _CHECKPOINT_MODES,
    ),
    "audio-classification": TaskSpec(
        f"{_TASKS}.audio_classification",
        f"{_READERS}:SOUNDS",
        {
            RECURRENT: RecurrentTask(
                settings="edgewright.runtime.sound.mel:AudioSettings",
                fits="edgewright.pipeline.fitted.sound:fit_bands",
                dimensions=f"{_DIMENSIONS}:of_bands",
                input="input_features",
                shorter="audio.hop_ms: longer, for fewer steps",
            )
        },
        _CLASSIFICATION,
        frozenset({"audio"}),
        _FILE | _CLASSES,
        ("tones",),
    ),
    "token-classification": TaskSpec(
        f"{_TASKS}.token_classification",
        f"{_READERS}:TAGGED_TEXTS",
        {TEXT_ENCODER: TextEncoderTask(text=_READING, names_outputs=True, answers="tokens")},
        ("span-f1", "accuracy"),
        frozenset({"text"}),
        _FILE | {"format", "text", "words", "tags", "classes"},
        ("entities",),
        _CHECKPOINT_MODES,
    ),
    "question-answering": TaskSpec(
        f"{_TASKS}.question_answering",
        f"{_READERS}:QUESTIONS",
        {TEXT_ENCODER: TextEncoderTask(text=_READING, answers="span")},
        ("f1", "exact-match"),
        frozenset({"text", "question"}),
        _FILE | {"format", "question", "context", "answers"},
        ("questions",),
        _CHECKPOINT_MODES,
        classifies=False,
    ),
    "sentence-embedding": TaskSpec(
        f"{_TASKS}.sentence_embedding",
        f"{_READERS}:LABELLED_TEXTS",
        {TEXT_ENCODER: TextEncoderTask(text=_POOLED, answers="embedding")},
        ("neighbour-accuracy",),
        frozenset({"text"}),
        _TEXTS,
        ("stdlib-docs",),
        ("none", "fine-tuning"),
        classifies=False,
    ),
    "zero-shot-classification": TaskSpec(
        f"{_TASKS}.zero_shot_classification",
        f"{_READERS}:LABELLED_TEXTS",
        {TEXT_ENCODER: TextEncoderTask(text=_POOLED, answers="embedding", zero_shot=True)},
        _CLASSIFICATION,
        frozenset({"text", "zero_shot"}),
        _TEXTS,
        ("stdlib-docs",),
        ("none",),
    ),
}
"""The tasks that a recipe may name. A new one is an entry here and a file each in pipeline/tasks and runtime/tasks."""

BUILTIN_DATA: Mapping[str, Mapping[str, Any]] = {
    "builtin:co2": {"time": "date", "target": ["co2"], "missing": "interpolate"},
}
"""What a recipe need not say about the columns of a built-in set."""


def load(where: str) -> Any:
    """What "module:attribute" names, or the module where there is no attribute."""
    name, _, attribute = where.partition(":")
    module = importlib.import_module(name)
    return getattr(module, attribute) if attribute else module
