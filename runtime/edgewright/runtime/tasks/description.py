"""What a task says of its models to people and to other tools. Exporters write it down; a device never asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgewright.runtime.contracts import GraphSpec


@dataclass(frozen=True)
class ModelFacts:
    """What a task does not know of a model by itself, as far as somebody knows it.

    `graphs` are the signatures of its graphs, `config` is the config.json of the checkpoint that it came from,
    `pooling` how the states of tokens become an embedding ("mean", "cls", "max").
    """

    graphs: Mapping[str, GraphSpec] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    pooling: str | None = None


@dataclass(frozen=True, kw_only=True)
class Description:
    """All that a bundle's card, and the files beside it that other tools read, say of a model of some task.

    Args:
        tag: The hubs' name of the task.
        reads: What the model is given, in a few words.
        answers: What it answers, in whole sentences.
        example: What stands between the brackets of `engine(...)`, in Python.
        config: What config.json says beside the kind of model.
        head: What follows the name of the architecture in transformers' class for the task ("ForTokenClassification").
        files: Other files of plain JSON by name, such as preprocessor_config.json; a name may have a folder.
        piece: What a piece is called and where pieces come from, of tasks whose raw inputs can arrive in pieces.
        stream: What stands between the brackets of `engine.stream(...)`.
    """

    tag: str
    reads: str
    answers: str
    example: str
    config: Mapping[str, Any] = field(default_factory=dict)
    head: str = ""
    files: Mapping[str, Any] = field(default_factory=dict)
    piece: tuple[str, str] = ("", "")
    stream: str = ""


def shortened(names: Sequence[str]) -> str:
    """Names in a row; of many, the first ten."""
    if len(names) <= 12:
        return ", ".join(names)
    return ", ".join(names[:10]) + f" and {len(names) - 10} more (config.json has them all)"


def label_sentence(labels: Sequence[str], how_many: str = "one") -> str:
    """What a classifier answers: `how_many` ("one", "any") of its labels."""
    return f"Answers with {how_many} of {len(labels)} labels: {shortened(labels)}."


def label_places(labels: Sequence[str]) -> dict[str, Any]:
    """The part of config.json that says which output is which label."""
    return {
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def classifier_config(labels: Sequence[str]) -> dict[str, Any]:
    """The part of config.json that is the same for every classifier that came from no checkpoint's config.json."""
    return {
        **label_places(labels),
        "num_labels": len(labels),
        "problem_type": "single_label_classification",
    }


def tokenizer_files(longest: int, tokens: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """What stands beside the tokenizer.json of a model that reads up to `longest` tokens; `tokens` are its special ones
    by the part they play ("pad_token").
    """
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": longest,
        "clean_up_tokenization_spaces": False,
        **tokens,
        **more,
    }
    return {"tokenizer_config.json": config, "special_tokens_map.json": dict(tokens)}
