"""A checkpoint of an encoder, found in a folder, on the hub or in a Python package: what it says of itself."""

import importlib.util
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewright.pipeline.catalog import PACKAGE_PREFIX
from edgewright.pipeline.models.text_encoders import attention_names
from edgewright.pipeline.models.text_encoders.pooling_config import Habits, read_habits
from edgewright.pipeline.models.text_encoders.quiet import quiet_transformers
from edgewright.pipeline.models.text_encoders.tokenizer_json import tokenizer_json
from edgewright.pipeline.models.text_encoders.weight_files import weight_files
from edgewright.runtime.bundle.files import canonical_json, sha256_of_bytes, sha256_of_file
from edgewright.runtime.errors import ModelError
from edgewright.runtime.text.settings import ENCODER_INPUTS

_WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "README.md")
_VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")
_NOT_WANTED = ("onnx/*", "openvino/*", "coreml/*")
_TASKS = {
    "text-classification": "text-classification",
    "token-classification": "token-classification",
    "question-answering": "question-answering",
}
"""optimum's names of the tasks of published heads to ours."""

_DEFAULT_TOKENS = 512
_ENDLESS = 1 << 30  # transformers says 1e30 where a tokenizer has no limit


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint says of itself.

    Attributes:
        name: as the recipe names it.
        folder: where it lies.
        config: transformers' configuration.
        architecture: its kind ("bert").
        task: the task that its trained head is for; None for a bare encoder. A model of inference (NLI) is one for
            text-classification, and has `entailment`.
        labels: names of the head's outputs in their order; empty where they have none of their own.
        multi_label: whether the head was trained for any number of labels.
        max_tokens: how many tokens it has positions for, special ones included.
        preferred_tokens: how many it was trained to read, where it says so.
        vocabulary: rows of its table of tokens.
        inputs: which of `ENCODER_INPUTS` both the model and the tokenizer know.
        habits: pooling and normalisation of sentence-transformers.
        entailment, contradiction: places of these classes in the head's outputs.
        digest: hex SHA-256 over configuration, weights, and the files about pooling.
    """

    name: str
    folder: Path
    config: Any = field(repr=False)
    architecture: str
    task: str | None
    labels: tuple[str, ...]
    multi_label: bool
    max_tokens: int
    preferred_tokens: int | None
    vocabulary: int
    inputs: tuple[str, ...]
    pad_id: int
    truncation_side: str
    habits: Habits
    entailment: int | None
    contradiction: int | None
    licence: str
    digest: str
    fast_tokenizer: Any = field(repr=False)

    @property
    def pooling(self) -> str | None:
        """ "mean", "cls" or "max", or another word that says what cannot be carried; None where it says nothing."""
        return self.habits.pooling

    @property
    def normalise(self) -> bool | None:
        """Whether its embeddings have length 1; None where it says nothing."""
        return self.habits.normalise

    def tokenizer(self) -> bytes:
        """The content of its tokenizer.json. Raises `ModelError` for one of more tokens than the model has."""
        size = len(self.fast_tokenizer)
        if size > self.vocabulary:
            raise ModelError(
                f"{self.name}: the tokenizer has {size} tokens and the model a table of {self.vocabulary}: "
                "they do not belong together, get the tokenizer of this checkpoint"
            )
        return tokenizer_json(self.fast_tokenizer.backend_tokenizer)


def open_checkpoint(name: str) -> Checkpoint:
    """Find the checkpoint and read everything but its weights.

    Args:
        name: a folder; `package:MODULE` for the folder inside an installed Python package; or a name of the hub, which
            is downloaded with its library's own progress bar, and kept where that keeps it.

    Raises:
        ModelError: it cannot be had, is no encoder, has weights in a pickle only, or lacks a fast tokenizer.
    """
    folder = _locate(name)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"model: {folder} has no config.json: name the folder of a checkpoint of transformers"
        )
    weights = weight_files(folder)
    attention_names.check_attention_names(name, folder)
    with quiet_transformers():
        config = _config(name, folder)
        _check_kind(name, config)
        tokenizer = _tokenizer(name, folder)
        _check_values(name, config, tokenizer)
        skeleton = _skeleton(name, config)
    habits = read_habits(folder)
    task = _head_task(config)
    labels = _labels(config) if task is not None else ()
    entailment, contradiction = inference_places(labels)
    parts = {
        "config": sha256_of_file(folder / "config.json"),
        "weights": [sha256_of_file(path) for path in weights],
        "habits": [habits.pooling, habits.normalise, habits.max_tokens, habits.foreign],
    }
    return Checkpoint(
        name=name,
        folder=folder,
        config=config,
        architecture=str(config.model_type),
        task=task,
        labels=labels,
        multi_label=config.problem_type == "multi_label_classification",
        max_tokens=_max_tokens(config, skeleton, tokenizer),
        preferred_tokens=habits.max_tokens,
        vocabulary=int(skeleton.get_input_embeddings().num_embeddings),
        inputs=_inputs(config, skeleton, tokenizer),
        pad_id=_first(tokenizer.pad_token_id, config.pad_token_id, 0),
        truncation_side=str(tokenizer.truncation_side),
        habits=habits,
        entailment=entailment,
        contradiction=contradiction,
        licence=_licence(folder),
        digest=sha256_of_bytes(canonical_json(parts).encode()),
        fast_tokenizer=tokenizer,
    )


def _locate(name: str) -> Path:
    if name.startswith(PACKAGE_PREFIX):
        return _in_package(name.removeprefix(PACKAGE_PREFIX))
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            return path
        there = path.exists()
    except (OSError, ValueError):  # no name that a file could have
        there = False
    if there:
        raise ModelError(f"model: {name} is a file: name the folder of the checkpoint that it belongs to")
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or not re.fullmatch(r"[\w./-]+", name):
        raise ModelError(
            f"model: there is no folder {name}: name the folder of a checkpoint, or a name of the hub"
        )
    return _from_hub(name)


def _in_package(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"model: there is no Python package {module!r} here: install it, or name the folder of a checkpoint"
        )
    for root in spec.submodule_search_locations:
        for config in sorted(Path(root).rglob("config.json"), key=lambda path: (len(path.parts), str(path))):
            beside = config.parent
            if (beside / "model.safetensors").is_file() or (
                beside / "model.safetensors.index.json"
            ).is_file():
                return beside
    raise ModelError(
        f"model: the Python package {module!r} holds no folder with config.json and model.safetensors: "
        "name the folder of a checkpoint"
    )


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(_WANTED), ignore_patterns=list(_NOT_WANTED)))
    except RepositoryNotFoundError:
        reason = "the hub has no such model, or does not show it without a login"
    except (
        Exception
    ) as error:  # the hub's library, its HTTP library and the system each have classes of their own
        reason = f"the hub cannot be reached ({type(error).__name__})"
    raise ModelError(
        f"model: {name} is no folder here, and {reason}: download the checkpoint elsewhere and name its folder "
        "(config.json, model.safetensors and the tokenizer's files), for example model: ./minilm"
    )


def _config(name: str, folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return attention_names.with_own_attention(config)
    except Exception as error:
        # transformers raises ValueError, KeyError, OSError and classes of its own for what it does not know
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"model: {name} cannot be loaded by transformers ({reason[0][:160]}): "
            "choose a checkpoint of an architecture that it knows without code of the checkpoint's own"
        ) from None


def _check_kind(name: str, config: Any) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"model: {name} is a {kind}, an encoder with a decoder: choose an encoder such as a BERT"
        )
    if getattr(config, "is_decoder", False) or kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise ModelError(
            f"model: {name} is a {kind}, which is no encoder of texts: choose one such as a BERT"
        )


def _tokenizer(name: str, folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not any(True for pattern in _VOCABULARIES for _ in folder.glob(pattern)):
        # transformers makes one that knows its marks and no word
        raise ModelError(
            f"model: {name} has no tokenizer: put its tokenizer.json beside config.json ({folder})"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as for the configuration; the tokenizers library raises plain Exception
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"model: {name} has no tokenizer that can be read ({reason[0][:160]}): put its tokenizer.json beside "
            "config.json"
        ) from None
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ModelError(
            f"model: {name} has no fast tokenizer, and a device has no other: convert it to a tokenizer.json"
        )
    return tokenizer


def _check_values(name: str, config: Any, tokenizer: Any) -> None:
    """Raise `ModelError` for what transformers lets pass although it is not of its type, and is read here."""
    names, labels = config.architectures, config.id2label
    listed = tokenizer.model_input_names
    wrong = {
        "config.json: architectures": names is None or _all_text(names),
        "config.json: id2label": labels is None
        or (isinstance(labels, dict) and all(_is_whole(key) for key in labels)),
        "config.json: max_position_embeddings": _is_whole(
            getattr(config, "max_position_embeddings", None) or 0
        ),
        "config.json: type_vocab_size": _is_whole(getattr(config, "type_vocab_size", None) or 0),
        "tokenizer_config.json: model_input_names": _all_text(listed),
        "tokenizer_config.json: model_max_length": _is_number(tokenizer.model_max_length),
        "tokenizer_config.json: truncation_side": tokenizer.truncation_side in ("left", "right"),
    }
    for place, fits in wrong.items():
        if not fits:
            raise ModelError(
                f"model: {name}: {place} is not what it has to be: get a fresh copy of the checkpoint"
            )


def _all_text(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and not math.isnan(value))


def _skeleton(name: str, config: Any) -> Any:
    """The bare encoder without any memory for its weights."""
    import torch
    import transformers

    model: Any = transformers.AutoModel
    layers = getattr(config, "num_hidden_layers", 1)
    if (
        isinstance(layers, int) and layers < 1
    ):  # transformers makes a model of embeddings alone, without a word
        raise ModelError(
            f"model: {name} has a config.json of {layers} layers: get a fresh copy of the checkpoint"
        )
    try:
        with torch.device("meta"):
            return model.from_config(config)
    except Exception as error:  # a configuration that contradicts itself fails anywhere, also without a word
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"model: {name} has a config.json that makes no model ({reason[0][:160]}): "
            "get a fresh copy of the checkpoint"
        ) from None


def _max_tokens(config: Any, skeleton: Any, tokenizer: Any) -> int:
    positions = getattr(config, "max_position_embeddings", None)
    limit = int(tokenizer.model_max_length) if tokenizer.model_max_length < _ENDLESS else None
    if not positions or positions < 1:
        return limit or _DEFAULT_TOKENS
    for path, layer in skeleton.named_modules():
        # RoBERTa and its kin number positions from the padding token on: the first ones are never used.
        if (
            path.rpartition(".")[2] == "position_embeddings"
            and getattr(layer, "padding_idx", None) is not None
        ):
            positions -= layer.padding_idx + 1
    return int(positions)


def _inputs(config: Any, skeleton: Any, tokenizer: Any) -> tuple[str, ...]:
    import inspect

    known = set(inspect.signature(skeleton.forward).parameters) & set(tokenizer.model_input_names)
    if getattr(config, "type_vocab_size", 1) == 0:  # DeBERTa takes them and does not look at them
        known.discard("token_type_ids")
    return tuple(name for name in ENCODER_INPUTS if name in known | {"input_ids", "attention_mask"})


def _head_task(config: Any) -> str | None:
    """The task of the published head, as optimum knows its class."""
    import transformers
    from optimum.exporters.tasks import TasksManager

    for architecture in config.architectures or ():
        kind = getattr(transformers, architecture, None)
        if kind is None:
            continue
        try:
            found = TasksManager.infer_task_from_model(kind)
        except (ValueError, KeyError):  # a class without a task, such as one for pre-training
            continue
        return _TASKS.get(found)
    return None


def _labels(config: Any) -> tuple[str, ...]:
    named = config.id2label or {}
    labels = tuple(str(named[place]) for place in sorted(named))
    own = not all(re.fullmatch(r"LABEL_\d+", label) for label in labels)
    return labels if own and len(set(labels)) == len(labels) else ()


def inference_places(labels: tuple[str, ...]) -> tuple[int | None, int | None]:
    """Where entailment and its opposite stand among the outputs of a head; None for what there is not."""
    entailment = contradiction = None
    for place, label in enumerate(labels):
        word = label.lower()
        if re.search(r"contra|(^|[^a-z])(not|non|no)[^a-z]*entail", word):
            contradiction = place if contradiction is None else contradiction
        elif "entail" in word:
            entailment = place if entailment is None else entailment
    return (entailment, contradiction) if entailment is not None else (None, None)


def _licence(folder: Path) -> str:
    """What the model card's front matter says."""
    unknown = "unknown (the checkpoint does not say; see where it came from)"
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return unknown
    if not text.startswith("---"):
        return unknown
    found = re.search(
        r"^license:[ \t]*[\"']?([\w .+-]+)", text.partition("---")[2].partition("\n---")[0], re.MULTILINE
    )
    return found.group(1).strip() if found else unknown


def _first(*values: Any) -> int:
    return int(next(value for value in values if isinstance(value, int)))
