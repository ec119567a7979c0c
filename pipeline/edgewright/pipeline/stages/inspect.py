"""The layers of a model or of a run, with what training moves and what stays frozen."""

from dataclasses import dataclass
from pathlib import Path

from edgewright.pipeline.models.layers import LayerRow, layer_rows, resolve_unfreeze
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.recurrent.build import nominal_model
from edgewright.pipeline.models.recurrent.network import CELLS
from edgewright.pipeline.models.text_encoders.build import nominal_encoder
from edgewright.pipeline.models.text_encoders.checkpoint import PACKAGE_PREFIX
from edgewright.pipeline.models.vision.build import build_model, rebuild_model
from edgewright.pipeline.models.weights import read_weights_record
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.run_dir import read_run_json
from edgewright.pipeline.training.results import WEIGHTS
from edgewright.runtime.errors import RecipeError

RECIPE = "recipe.json"


@dataclass(frozen=True)
class Layers:
    """Every layer of a model, how many parameters it has and how many of them are trained."""

    model: str
    rows: tuple[LayerRow, ...]
    parameters: int
    trainable: int


def layers_of(model: str, unfreeze: str | None) -> Layers:
    """The layers of the model of this name, or of the run or the checkpoint in the folder of this name.

    `unfreeze` is "all", a number of last blocks, or names and globs with commas between them; None is what the run's
    recipe says, "all" for a model. Raises `RecipeError`.
    """
    chosen: str | int | tuple[str, ...] = "all"
    name, classes, size = model, 1000, None
    folder = Path(model)
    checkpoint = _is_checkpoint(model)
    encoder, still = checkpoint, False
    if folder.is_dir() and not checkpoint:
        recipe = recipe_from_plain(read_run_json(folder, RECIPE), f"{folder}/{RECIPE}")
        splits = read_run_json(folder, "data.json")
        name, classes, size = recipe.model, len(splits["classes"]), recipe.input.size
        chosen = recipe.transfer.unfreeze if recipe.transfer.mode == "fine-tuning" else 0
        encoder, still = recipe.is_encoder, recipe.transfer.mode == "none" and unfreeze is None
    elif not checkpoint and ("/" in model or model.startswith(".")):
        raise RecipeError(f"there is no run {model}: name a folder that 'edgewright fit' wrote, or a model")
    if unfreeze is not None:
        parts = tuple(part.strip() for part in unfreeze.split(",") if part.strip())
        if not parts:
            raise RecipeError(
                "--unfreeze: nothing is named: give all, a number of last blocks, or names and globs"
            )
        chosen = int(unfreeze) if unfreeze.isdecimal() else "all" if parts == ("all",) else parts
    if encoder:
        built = nominal_encoder(model) if checkpoint else _of_run(folder)
    elif name in CELLS:
        built = _of_run(folder) if folder.is_dir() else nominal_model(name)
    else:
        built = build_model(name, classes=classes, weights="none", input_size=size)
    try:
        trainable = frozenset[str]() if still else resolve_unfreeze(built, chosen)
    except RecipeError as error:
        if unfreeze is None:
            raise
        raise RecipeError(str(error).replace("transfer.unfreeze:", "--unfreeze:", 1)) from None
    counts = {path: parameter.numel() for path, parameter in built.module.named_parameters()}
    return Layers(
        model=name,
        rows=tuple(layer_rows(built.module, trainable)),
        parameters=sum(counts.values()),
        trainable=sum(count for path, count in counts.items() if path in trainable),
    )


def _is_checkpoint(model: str) -> bool:
    """Whether `model` names an encoder's checkpoint: a folder that holds one, a package, or a name of the hub."""
    folder = Path(model)
    if folder.is_dir():
        return (folder / "config.json").is_file() and not (folder / RECIPE).is_file()
    owner, _, rest = model.partition("/")
    return model.startswith(PACKAGE_PREFIX) or (owner.strip(".~") == owner != "" and rest != "")


def _of_run(folder: Path) -> BuiltModel:
    """The model of a run, whose data decides its widths."""
    record = read_weights_record(folder / WEIGHTS)
    if record is None:
        raise RecipeError(f"{folder} holds no trained weights: run 'edgewright fit' with this folder first")
    return rebuild_model(record)
