"""The layers of a model or of a run, with what training moves and what stays frozen."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from edgewright.pipeline.catalog import FALLBACK
from edgewright.pipeline.families import Family, family_of
from edgewright.pipeline.models.layers import LayerRow, layer_rows, resolve_unfreeze
from edgewright.pipeline.recipe.family import families, family_named
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.run_dir import RECIPE, read_run_json
from edgewright.runtime.errors import RecipeError


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
    everyone: tuple[Family, ...] = families()
    claims = [family for family in everyone if family.claims(model)]
    folder, still = Path(model), False
    recipe = None
    if not claims and folder.is_dir():
        recipe = recipe_from_plain(read_run_json(folder, RECIPE), f"{folder}/{RECIPE}")
        chosen = recipe.transfer.unfreeze if recipe.transfer.mode == "fine-tuning" else 0
        still = recipe.transfer.mode == "none" and unfreeze is None
    elif not claims and ("/" in model or model.startswith(".")):
        raise RecipeError(f"there is no run {model}: name a folder that 'edgewright fit' wrote, or a model")
    if unfreeze is not None:
        parts = tuple(part.strip() for part in unfreeze.split(",") if part.strip())
        if not parts:
            raise RecipeError(
                "--unfreeze: nothing is named: give all, a number of last blocks, or names and globs"
            )
        chosen = int(unfreeze) if unfreeze.isdecimal() else "all" if parts == ("all",) else parts
    if recipe is not None:
        classes = len(read_run_json(folder, "data.json")["classes"])
        built = family_of(recipe).outline_of_run(recipe, classes, folder)
    else:
        built = (claims or [cast(Family, family_named(FALLBACK))])[0].outline(model)
    try:
        trainable = frozenset[str]() if still else resolve_unfreeze(built, chosen)
    except RecipeError as error:
        if unfreeze is None:
            raise
        raise RecipeError(str(error).replace("transfer.unfreeze:", "--unfreeze:", 1)) from None
    counts = {path: parameter.numel() for path, parameter in built.module.named_parameters()}
    return Layers(
        model=model if recipe is None else recipe.model,
        rows=tuple(layer_rows(built.module, trainable)),
        parameters=sum(counts.values()),
        trainable=sum(count for path, count in counts.items() if path in trainable),
    )
