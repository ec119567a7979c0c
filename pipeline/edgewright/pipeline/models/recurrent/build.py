"""From a recurrent cell's name, a network, a task and its settings to a model ready to train, and to the same again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgewright.pipeline.catalog import TASKS
from edgewright.pipeline.models.model import Block, BuiltModel
from edgewright.pipeline.models.recurrent.model import RecurrentModel
from edgewright.pipeline.models.recurrent.network import CELLS, Dimensions, Network, check_network
from edgewright.pipeline.models.recurrent.step import extra_specs, step_part
from edgewright.pipeline.models.recurrent.tasks import dimensions_of, load_settings, recurrent_tasks
from edgewright.pipeline.models.recurrent.transfer import load_weights
from edgewright.runtime.bundle.structure import StructureError, from_plain, to_plain
from edgewright.runtime.contracts import STEP
from edgewright.runtime.errors import ModelError, RecipeError
from edgewright.runtime.series.settings import SeriesSettings

LIBRARY = "recurrent"
"""What the build record of every recurrent model names as its library."""


@dataclass(frozen=True)
class _Record:
    """`BuiltModel.build` of a recurrent model."""

    library: str
    task: str
    network: Network
    settings: Mapping[str, Any]
    assets: Mapping[str, str]
    classes: int
    seed: int


def build_recurrent(
    task: str,
    network: Network,
    settings: Any,
    classes: int = 0,
    assets: Mapping[str, bytes] | None = None,
    weights: str | Path = "none",
    head: str = "new",
    seed: int = 0,
) -> BuiltModel:
    """Build the model of `network` for a task of sequences.

    Args:
        settings: the task's settings of the runtime, as fitted on the training data; they give the widths.
        classes: number of classes; 0 for the tasks that predict numbers.
        assets: text in UTF-8 by role; "tokenizer" for text.
        weights: "none" for random ones, or the path of a .safetensors file that a run of such a network left; its head
            may answer something else unless it is kept.
        head: "new" for a fresh head, "keep" to take the head of the weights too.
        seed: decides every random weight; the process's own random state is left alone.

    Returns:
        The model in eval mode, on the CPU.

    Raises:
        RecipeError: the arguments do not fit together.
        ModelError: the weights cannot be had or do not fit.
    """
    if network.cell not in CELLS:
        raise RecipeError(
            f"model: there is no recurrent cell {network.cell!r}: choose one of {', '.join(CELLS)}"
        )
    tasks = recurrent_tasks()
    if task not in tasks:
        raise RecipeError(
            f"task: {network.cell} does not do {task}: choose one of {', '.join(tasks)}, or another model"
        )
    if TASKS[task].classifies and classes < 2:
        raise RecipeError(
            f"model: a classifier needs at least 2 classes, not {classes}: add data of another class"
        )
    if head not in ("new", "keep"):
        raise RecipeError(f"transfer.head: {head!r} is neither new nor keep: choose one of them")
    if str(weights) == "imagenet":
        raise RecipeError(
            f"weights: there are no published weights of {network.cell}: "
            "set weights: none, or the .safetensors file of a run"
        )
    if head == "keep" and str(weights) == "none":
        raise RecipeError(
            "transfer.head: there is no head to keep with weights: none: set transfer.head to new"
        )
    check_network(network)
    texts = {role: content.decode("utf-8") for role, content in (assets or {}).items()}
    record = _Record(LIBRARY, task, network, to_plain(settings), texts, classes, seed)
    if str(weights) == "none":
        return _build(record, settings, "none (trained from random weights)")
    built = _build(record, settings, "that of the weights file the training started from")
    load_weights(built, Path(weights), keep_head=head == "keep")
    return built


def rebuild_recurrent(build: Mapping[str, Any], licence: str = "unknown") -> BuiltModel:
    """The model of a `BuiltModel.build` record of a recurrent model, with random weights. Raises `ModelError`."""
    try:
        record = from_plain(_Record, build)
    except StructureError as error:
        raise ModelError(f"the model's record: {error}: take it from the run that made it") from None
    try:
        check_network(record.network)
        if record.network.cell not in CELLS or record.task not in recurrent_tasks():
            raise RecipeError(f"{record.network.cell} for {record.task} is unknown here: update edgewright")
    except RecipeError as error:
        raise ModelError(f"the model's record: {error}") from None
    return _build(record, load_settings(record.task, record.settings), licence)


def nominal_model(cell: str) -> BuiltModel:
    """A model of this cell as a recipe without a `network` section has it, for one feature and two classes: its layers
    can be looked at before there is any data.
    """
    settings = SeriesSettings(("feature",), (0.0,), (1.0,))
    return build_recurrent("sequence-classification", Network(cell), settings, 2)


def _build(record: _Record, settings: Any, licence: str) -> BuiltModel:
    network, known = record.network, recurrent_tasks()[record.task]
    assets = {role: text.encode() for role, text in record.assets.items()}
    dimensions = dimensions_of(record.task, settings, record.classes, assets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(record.seed)
        module = RecurrentModel(network, dimensions).eval()
    extra = tuple(spec.name for spec in extra_specs(module))
    sequence = {0: "batch", 1: "time"}
    streams = not network.bidirectional and not dimensions.tokens
    return BuiltModel(
        name=network.cell,
        module=module,
        classes=record.classes,
        head="head",
        auxiliary_heads={},
        settings=settings,
        blocks=_blocks(module, dimensions),
        licence=licence,
        build=to_plain(record),
        feature_shape=(network.width,),
        input_names=(known.input, "lengths", *extra),
        output_names=(known.output,),
        dynamic_axes={
            known.input: sequence,
            "lengths": {0: "batch"},
            **{name: {0: "batch"} for name in extra},
        },
        assets=assets,
        others={STEP: lambda: step_part(module, known.output, known.input)} if streams else {},
    )


def _blocks(module: RecurrentModel, dimensions: Dimensions) -> tuple[Block, ...]:
    paths = ["embedding"] if dimensions.tokens else []
    paths += [f"layers.{number}" for number in range(len(module.layers))]
    return tuple(Block(path, (path,)) for path in (*paths, "head"))
