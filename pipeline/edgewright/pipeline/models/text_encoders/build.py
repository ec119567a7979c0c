"""From a checkpoint, a task and its settings to a model ready to train or to ship, and to the same again without it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from edgewright.exporters.graph.transformers import example_batch
from edgewright.pipeline.catalog import TASKS, TEXT_ENCODER, TextEncoderTask
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.text_encoders.attention_names import check_attention, with_own_attention
from edgewright.pipeline.models.text_encoders.blocks import encoder_blocks, head_path
from edgewright.pipeline.models.text_encoders.checkpoint import Checkpoint, open_checkpoint
from edgewright.pipeline.models.text_encoders.load import (
    load_encoder,
    load_published,
    read_run,
    run_into_encoder,
)
from edgewright.pipeline.models.text_encoders.network import (
    ANSWERS,
    TOKEN_STATES,
    EmbeddingWithStates,
    EncoderNetwork,
    PublishedNetwork,
    Shape,
    make_encoder,
    make_published,
)
from edgewright.pipeline.models.text_encoders.pooling_config import POOLINGS
from edgewright.pipeline.models.text_encoders.quiet import quiet_transformers
from edgewright.pipeline.models.weights import load_state
from edgewright.runtime.bundle.structure import StructureError, from_plain, to_plain
from edgewright.runtime.errors import ModelError, RecipeError
from edgewright.runtime.text.settings import EncoderTextSettings

LIBRARY = "encoder"
"""What the build record of every encoder names as its library."""

MOST_TEXTS = 1024
"""Texts that a graph promises to read at once."""


def encoder_tasks() -> dict[str, TextEncoderTask]:
    """The tasks that encoders do, by name."""
    return {
        name: cast(TextEncoderTask, spec.families[TEXT_ENCODER])
        for name, spec in TASKS.items()
        if TEXT_ENCODER in spec.families
    }


@dataclass(frozen=True)
class _Record:
    """`BuiltModel.build` of an encoder. `config` is transformers' configuration as plain JSON."""

    library: str
    name: str
    task: str
    answer: str
    published: bool
    outputs: int
    classes: int
    pooling: str
    max_tokens: int
    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    assets: Mapping[str, str]
    seed: int


def build_encoder(
    task: str,
    model: str,
    settings: EncoderTextSettings,
    classes: int,
    assets: Mapping[str, bytes],
    weights: str | Path = "pretrained",
    head: str = "new",
    pooling: str = "auto",
    seed: int = 0,
) -> BuiltModel:
    """Build the encoder of the checkpoint `model` for a task.

    Args:
        settings: how text is read, as fitted on the data; they say what of a text is answered, too.
        classes: labels of the data.
        assets: UTF-8 text by role; "tokenizer" is the content of a tokenizer.json.
        weights: "pretrained", "none" for random ones of the checkpoint's configuration, or the path of a .safetensors
            file that a run of an encoder left; it may have been for another task unless its head is kept.
        head: "new" for a fresh linear head, "keep" for that of the weights. A model of inference keeps its own.
        pooling: "mean", "cls", "max", or "auto" for what the checkpoint says, else the mean.
        seed: decides every random weight; the process's own random state is left alone.

    Returns:
        The model in eval mode, on the CPU.

    Raises:
        RecipeError: the arguments do not fit together.
        ModelError: the checkpoint or the weights cannot be had or do not fit.
    """
    tasks = encoder_tasks()
    if task not in tasks:
        raise RecipeError(f"task: an encoder of text does not do {task}: choose one of {', '.join(tasks)}")
    if head not in ("new", "keep"):
        raise RecipeError(f"transfer.head: {head!r} is neither new nor keep: choose one of them")
    checkpoint = open_checkpoint(model)
    way = settings.zero_shot
    inference = way is not None and way.by == "nli"
    answer = "text" if inference else tasks[task].answers
    kept = answer != "embedding" and (inference or head == "keep")
    if kept and str(weights) == "none" and not inference:
        raise RecipeError(
            "transfer.head: there is no head to keep with weights: none: set transfer.head to new"
        )
    if answer in ("text", "tokens") and not inference and classes < (1 if settings.multi_label else 2):
        raise RecipeError(
            f"model: a classifier needs at least 2 classes, not {classes}: add data of another class"
        )
    record = _Record(
        library=LIBRARY,
        name=Path(model).name if Path(model).is_dir() else model,
        task=task,
        answer=answer,
        published=kept,
        outputs=_outputs(answer, classes, checkpoint, kept),
        classes=classes,
        pooling=_pooling(pooling, checkpoint, answer),
        max_tokens=checkpoint.max_tokens,
        config=plain_config(checkpoint.config),
        settings=to_plain(settings),
        assets={role: content.decode("utf-8") for role, content in assets.items()},
        seed=seed,
    )
    if str(weights) == "pretrained":
        if kept:
            _check_head(checkpoint, answer, classes, inference)
        return _pretrained(record, checkpoint, settings)
    if str(weights) == "none":
        return _build(record, settings, "none (trained from random weights)")
    return _of_run(record, checkpoint, settings, Path(weights), kept)


def rebuild_encoder(build: Mapping[str, Any], licence: str = "unknown") -> BuiltModel:
    """The model of a `BuiltModel.build` record of an encoder, with random weights. Raises `ModelError`."""
    record = _read_record(build)
    try:
        settings = from_plain(EncoderTextSettings, dict(record.settings))
    except ValueError as error:  # also what the settings themselves refuse
        raise ModelError(
            f"the model's record: settings: {error}: take it from the run that made it"
        ) from None
    return _build(record, settings, licence)


def nominal_encoder(model: str) -> BuiltModel:
    """The checkpoint as a classifier of two classes: its layers can be looked at before there is any data."""
    found = open_checkpoint(model)
    settings = EncoderTextSettings(
        found.max_tokens, inputs=found.inputs, pad_id=found.pad_id, vocabulary=found.vocabulary
    )
    return build_encoder("text-classification", model, settings, 2, {}, "none")


def plain_config(config: Any) -> dict[str, Any]:
    """A configuration of transformers as plain JSON, in float32 and without where it came from."""
    plain: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    plain = {key: value for key, value in plain.items() if not key.startswith("_")}
    return {**plain, "dtype": "float32"}


def _read_record(build: Mapping[str, Any]) -> _Record:
    try:
        record = from_plain(_Record, dict(build))
    except StructureError as error:
        raise ModelError(f"the model's record: {error}: take it from the run that made it") from None
    if record.answer not in ANSWERS or record.task not in encoder_tasks() or record.pooling not in POOLINGS:
        raise ModelError(
            f"the model's record: {record.task} of {record.answer} is unknown: update edgewright"
        )
    return record


def _config(record: _Record) -> Any:
    from transformers import AutoConfig

    plain = dict(record.config)
    check_attention("the model's record", plain)
    try:
        return with_own_attention(AutoConfig.for_model(str(plain.pop("model_type")), **plain))
    except Exception as error:  # an architecture of another version of transformers raises what it likes
        raise ModelError(
            f"the model's record: transformers makes no configuration of it ({type(error).__name__}): "
            "use the version of transformers that the run was made with"
        ) from None


def _outputs(answer: str, classes: int, checkpoint: Checkpoint, kept: bool) -> int:
    if answer == "embedding":
        return 0
    if answer == "span":
        return 2
    return int(checkpoint.config.num_labels) if kept else classes


def _pooling(wanted: str, checkpoint: Checkpoint, answer: str) -> str:
    said = checkpoint.pooling
    if answer == "embedding":
        foreign = checkpoint.habits.foreign
        if foreign is not None:
            raise ModelError(
                f"model: {checkpoint.name} has a {foreign} layer behind its pooling, which cannot be carried: "
                "choose another checkpoint"
            )
        if wanted == "auto" and said is not None and said not in POOLINGS:
            raise ModelError(
                f"model: {checkpoint.name} pools its tokens by {said}, which cannot be carried: "
                f"set text.pooling to one of {', '.join(POOLINGS)}, or choose another checkpoint"
            )
    if wanted == "auto":
        return said if said in POOLINGS else "mean"
    if wanted not in POOLINGS:
        raise RecipeError(
            f"text.pooling: there is no {wanted!r}: choose auto or one of {', '.join(POOLINGS)}"
        )
    return wanted


def _check_head(checkpoint: Checkpoint, answer: str, classes: int, inference: bool) -> None:
    needed = next(task for task, known in encoder_tasks().items() if known.answers == answer)
    if checkpoint.task != needed:
        has = f"a head for {checkpoint.task}" if checkpoint.task else "no trained head"
        raise ModelError(
            f"model: {checkpoint.name} has {has}, and its head is to be kept for {needed}: "
            "use transfer.head: new, or another checkpoint"
        )
    outputs = int(checkpoint.config.num_labels)
    if answer != "span" and not inference and outputs != classes:
        raise ModelError(
            f"model: {checkpoint.name} has a head for {outputs} classes and the data has {classes}: "
            "set transfer.head to new, or bring data of the same classes"
        )


def _pretrained(record: _Record, checkpoint: Checkpoint, settings: EncoderTextSettings) -> BuiltModel:
    trunk = load_published(checkpoint, record.answer) if record.published else load_encoder(checkpoint)
    return _build(record, settings, checkpoint.licence, trunk)


def _of_run(
    record: _Record, checkpoint: Checkpoint, settings: EncoderTextSettings, path: Path, kept: bool
) -> BuiltModel:
    """The weights of a finished run: all of them where its head is kept, else those of its encoder."""
    licence = "that of the weights file the training started from"
    plain, state, source = read_run(path, LIBRARY)
    theirs = _read_record(plain)
    if theirs.config.get("model_type") != checkpoint.architecture:
        raise ModelError(
            f"{source} is a {theirs.config.get('model_type')}, and {record.name} a {checkpoint.architecture}: "
            f"name the checkpoint that the run started from as model ({theirs.name})"
        )
    if not kept:
        built = _build(record, settings, licence)
        run_into_encoder(built.module.get_submodule("encoder"), state, source, theirs.published)
        return built
    inference = encoder_tasks()[record.task].zero_shot
    if theirs.answer != record.answer or (not inference and theirs.outputs not in (record.classes, 2)):
        raise ModelError(
            f"{source} has a head of {theirs.outputs} outputs for {theirs.task}: set transfer.head to new, "
            "or bring data of the same classes"
        )
    if record.answer != "span" and not inference and theirs.outputs != record.classes:
        raise ModelError(
            f"{source} has a head for {theirs.outputs} classes and the data has {record.classes}: "
            "set transfer.head to new, or bring data of the same classes"
        )
    same = replace(
        record,
        published=theirs.published,
        outputs=theirs.outputs,
        pooling=theirs.pooling,
        config=theirs.config,
    )
    built = _build(same, settings, licence)
    load_state(built.module, state, source, built.heads, (), keep_head=True)
    return built


def _build(
    record: _Record, settings: EncoderTextSettings, licence: str, trunk: nn.Module | None = None
) -> BuiltModel:
    """`trunk` is what holds trained weights: the encoder, or the whole published model."""
    shape = Shape(record.answer, record.outputs, settings.inputs, record.pooling, settings.normalise)
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.manual_seed(record.seed)
        if trunk is None:
            trunk = _random_trunk(record)
        torch.manual_seed(record.seed)
        module = PublishedNetwork(shape, trunk) if record.published else EncoderNetwork(shape, trunk)
    module.eval()
    config: Any = trunk.config
    layers = int(getattr(config, "num_hidden_layers", 0) or 0)
    if record.published:
        base = str(getattr(trunk, "base_model_prefix", ""))
        own = [f"network.{name}" for name, _ in trunk.named_children() if name != base]
        blocks = encoder_blocks(module, "network", layers, own)
        head = head_path(module, own)
    else:
        head = "head" if record.outputs else ""
        blocks = encoder_blocks(module, "encoder", layers, ["head"] if head else [])
    limit, vocabulary = record.max_tokens, settings.vocabulary or int(config.vocab_size)
    return BuiltModel(
        name=record.name,
        module=module,
        classes=record.classes,
        head=head,
        auxiliary_heads={},
        settings=settings,
        blocks=blocks,
        licence=licence,
        build=to_plain(record),
        feature_shape=(int(config.hidden_size),),
        input_names=settings.inputs,
        output_names=ANSWERS[record.answer],
        dynamic_axes={name: {0: "batch", 1: "time"} for name in settings.inputs},
        assets={role: text.encode() for role, text in record.assets.items()},
        route="transformers",
        example=lambda: example_batch(settings.inputs, vocabulary, settings.pad_id, limit),
        limits={"batch": MOST_TEXTS, "time": limit},
        exported=EmbeddingWithStates(shape, trunk).eval() if record.answer == "embedding" else None,
        extra=(TOKEN_STATES,) if record.answer == "embedding" else (),
    )


def _random_trunk(record: _Record) -> nn.Module:
    config = _config(record)
    try:
        return make_published(record.answer, config) if record.published else make_encoder(config)
    except Exception as error:  # a configuration that contradicts itself fails anywhere
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise ModelError(
            f"model: transformers builds no {record.config.get('model_type')} for {record.task} ({reason}): "
            "choose another checkpoint"
        ) from None
