"""The labels that the head of a checkpoint or a run has, where a recipe keeps it: data must be told in these."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from edgewright.pipeline.catalog import TASKS, TEXT_ENCODER, WEIGHT_WORDS, TextEncoderTask
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.hints import did_you_mean

_SHOWN = 8


def kept_labels(recipe: Recipe) -> tuple[str, ...] | None:
    """The labels of the head that `recipe` keeps, in the order of its outputs; None where the data decides.

    `data.classes` names the outputs anew, in their order. Raises `RecipeError` where there is no such head, and where
    neither the checkpoint nor the recipe names its outputs; `ModelError` for a checkpoint that cannot be opened.
    """
    if recipe.transfer.head != "keep" or not recipe.own.names_outputs:
        return None
    if recipe.weights in WEIGHT_WORDS:
        names, count, where = _of_checkpoint(recipe)
    else:
        names = _of_run(recipe)
        count, where = len(names), f"{Path(recipe.weights).parent.name}/{Path(recipe.weights).name}"
    given = recipe.data.classes
    if given is None:
        if names:
            return names
        raise RecipeError(
            f"data.classes: {where} has {count} outputs and does not say what they are: list their names, in order"
        )
    if len(given) != count or (set(given) == set(names) and given != names):
        order = f", in this order: {_some(names)}" if names else ""
        raise RecipeError(
            f"data.classes: {len(given)} are listed, and they name the {count} outputs of {where}{order}"
            + (": list all of them" if len(given) != count else ": keep the order, or remove the key")
        )
    return given


def run_inference(path: Path) -> tuple[int | None, int | None]:
    """Where entailment and contradiction stand in the head of texts that a run left; None for what there is not."""
    from edgewright.pipeline.models.text_encoders.checkpoint import inference_places

    record = _record(path)
    if _own(record).zero_shot:  # its classes are not those of its head
        build: Any = record.get("build")
        try:
            way = build["settings"]["zero_shot"]
            return (way["entailment"], way["contradiction"]) if way["by"] == "nli" else (None, None)
        except (KeyError, TypeError):
            return None, None
    names = record.get("classes")
    if _own(record).answers != "text" or not isinstance(names, list):
        return None, None
    return inference_places(tuple(map(str, names)))


def _own(record: dict[str, Any]) -> TextEncoderTask:
    """What an encoder made of the task of a run; of no text at all where the run had another model."""
    spec = TASKS.get(str(record.get("task")))
    own = None if spec is None else spec.families.get(TEXT_ENCODER)
    return own if isinstance(own, TextEncoderTask) else TextEncoderTask(answers="nothing")


def foreign_label(where: str, label: str, known: Sequence[str]) -> str:
    """The line for data with a label that a head which is kept does not have."""
    return (
        f"{where}: the label {label!r}{did_you_mean(label, known, 1)} is not one of the model's ({_some(known)}): "
        "correct it, or name the model's outputs anew, in their order, in data.classes"
    )


def _of_checkpoint(recipe: Recipe) -> tuple[tuple[str, ...], int, str]:
    from edgewright.pipeline.models.text_encoders.checkpoint import open_checkpoint

    checkpoint = open_checkpoint(recipe.model)
    key = "transfer.mode: none" if recipe.transfer.mode == "none" else "transfer.head: keep"
    if checkpoint.task != recipe.task:
        has = f"one for {checkpoint.task}, not for {recipe.task}" if checkpoint.task else "none"
        other = f", or task: {checkpoint.task}" if checkpoint.task else ""
        raise RecipeError(
            f"{key} keeps the checkpoint's head, and {recipe.model} has {has}: "
            f"use mode: fine-tuning with head: new{other}"
        )
    _check_several(checkpoint.multi_label, recipe, recipe.model)
    return checkpoint.labels, int(checkpoint.config.num_labels), recipe.model


def _check_several(several: bool, recipe: Recipe, where: str) -> None:
    """Raise `RecipeError` unless the recipe wants as many labels of each text as the head was trained for."""
    if several != recipe.text.multi_label and "multi_label" in recipe.own.text:
        what = "any number of labels" if several else "one label"
        raise RecipeError(
            f"text.multi_label: {where} was trained for {what} of each text: "
            f"set text.multi_label: {str(several).lower()}, or use a new head"
        )


def _of_run(recipe: Recipe) -> tuple[str, ...]:
    path = Path(recipe.weights)
    record = _record(path)
    classes = record.get("classes")
    if not isinstance(classes, list) or record.get("task") != recipe.task:
        raise RecipeError(
            f"transfer: {path} has no head for {recipe.task} to keep: "
            "use mode: fine-tuning with head: new, or the weights of a run of this task"
        )
    build = record.get("build")
    settings = build.get("settings") if isinstance(build, dict) else None
    several = settings.get("multi_label") is True if isinstance(settings, dict) else recipe.text.multi_label
    _check_several(several, recipe, str(path))
    return tuple(map(str, classes))


def _record(path: Path) -> dict[str, Any]:
    """What a run wrote beside its weights; empty where the file is none of a run, which building the model tells."""
    try:
        with safe_open(path, framework="np") as file:
            record = parse_json((file.metadata() or {}).get("edgewright") or "null")
    except (OSError, SafetensorError, StructureError):
        return {}
    return record if isinstance(record, dict) else {}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
