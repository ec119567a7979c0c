"""The layers of a model or of a run, with what training moves and what stays frozen."""

from dataclasses import dataclass
from pathlib import Path

from edgewright.pipeline.models.build import build_model, rebuild_model
from edgewright.pipeline.models.built import BuiltModel
from edgewright.pipeline.models.layers import LayerRow, layer_rows, resolve_unfreeze
from edgewright.pipeline.models.recurrent.build import nominal_model
from edgewright.pipeline.models.recurrent.network import CELLS
from edgewright.pipeline.models.weights import read_weights_record
from edgewright.pipeline.recipe import recipe_from_plain
from edgewright.pipeline.run_dir import read_run_json
from edgewright.pipeline.training.results import WEIGHTS
from edgewright.runtime.errors import RecipeError

__all__ = ["Layers", "layers_of"]


@dataclass(frozen=True)
class Layers:
    """Every layer of a model, how many parameters it has and how many of them are trained."""

    model: str
    rows: tuple[LayerRow, ...]
    parameters: int
    trainable: int


def layers_of(model: str, unfreeze: str | None) -> Layers:
    """The layers of the model of this name, or of the run in the folder of this name.

    `unfreeze` is "all", a number of last blocks, or names and globs with commas between them; None is what the run's
    recipe says, "all" for a model. Raises `RecipeError`.
    """
    chosen: str | int | tuple[str, ...] = "all"
    name, classes, size = model, 1000, None
    if (folder := Path(model)).is_dir():
        recipe = recipe_from_plain(read_run_json(folder, "recipe.json"), f"{folder}/recipe.json")
        splits = read_run_json(folder, "data.json")
        name, classes, size = recipe.model, len(splits["classes"]), recipe.input.size
        chosen = recipe.transfer.unfreeze if recipe.transfer.mode == "fine-tuning" else 0
    elif "/" in model or model.startswith("."):
        raise RecipeError(f"there is no run {model}: name a folder that 'edgewright fit' wrote, or a model")
    if unfreeze is not None:
        parts = tuple(part.strip() for part in unfreeze.split(",") if part.strip())
        if not parts:
            raise RecipeError(
                "--unfreeze: nothing is named: give all, a number of last blocks, or names and globs"
            )
        chosen = int(unfreeze) if unfreeze.isdecimal() else "all" if parts == ("all",) else parts
    if name in CELLS:
        built = _recurrent(name, Path(model))
    else:
        built = build_model(name, classes=classes, weights="none", input_size=size)
    try:
        trainable = resolve_unfreeze(built, chosen)
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


def _recurrent(cell: str, folder: Path) -> BuiltModel:
    """The recurrent model of a run, whose data decides its widths, or one for a single feature and two classes."""
    if not folder.is_dir():
        return nominal_model(cell)
    record = read_weights_record(folder / WEIGHTS)
    if record is None:
        raise RecipeError(f"{folder} holds no trained weights: run 'edgewright fit' with this folder first")
    return rebuild_model(record)
