"""The first half of the pipeline as one resumable stage: recipe and data to a run directory with trained weights."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from edgewright.pipeline.catalog import BUILTIN_PREFIX
from edgewright.pipeline.data.readers import reader_of
from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.families import build_for, family_of, fit_settings
from edgewright.pipeline.progress import Count, Progress
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.run_dir import RECIPE, RUN_FILES, lock_run, read_run_json
from edgewright.pipeline.training.fit import fit
from edgewright.pipeline.training.results import Trained
from edgewright.runtime.bundle.files import write_json
from edgewright.runtime.errors import RecipeError

DATA = "data.json"

_NAMED = 5
_log = logging.getLogger(__name__)


def fit_run(
    recipe: Recipe, run_dir: Path, restart: bool = False, progress: Progress | None = None
) -> Trained:
    """Train `recipe` in `run_dir`; a finished run is returned as it is, an interrupted one goes on.

    Under torchrun every process calls this; the first one holds the lock and writes.

    Raises:
        RecipeError: the run directory holds the training of another recipe, or of other data.
        MachineError: another process works in the run directory, or the machine refuses to write.
        DataError, ModelError, TrainingError: as the stages say.
    """
    leads = leads_processes()
    check_outside_data(recipe, run_dir)
    with lock_run(run_dir) if leads else nullcontext():
        if leads and not restart:
            _check_same_recipe(recipe, run_dir)
        family_of(recipe).look_up(
            recipe
        )  # looking at the data may take minutes, a mistyped name shows at once
        splits = open_data(recipe, _scan_progress(recipe, progress) if leads else None)
        if leads and not restart:
            _check_same_data(splits, run_dir)
        if leads:
            _tell(splits)
        fitted = fit_settings(recipe, splits)
        built = build_for(recipe, splits, fitted)
        if leads:
            for note in fitted.notes:
                _log.info("note: %s", note)
            # Not before: a mistyped model must neither claim the folder nor cost what an earlier training left there.
            if restart:
                _forget(run_dir)
            write_json(run_dir / RECIPE, recipe.to_plain())
            write_json(run_dir / DATA, splits.to_plain())
        return fit(built, splits, recipe, run_dir, progress)


def check_outside_data(recipe: Recipe, target: Path) -> None:
    """Raise `RecipeError` when `target` lies in the data folder: what is written there would be read as data."""
    source = recipe.data.source
    if not source.startswith(BUILTIN_PREFIX) and target.resolve().is_relative_to(Path(source).resolve()):
        raise RecipeError(
            f"--out {target} lies inside the data folder {source}: choose a place outside of it"
        )


def leads_processes() -> bool:
    """Whether this process speaks for all: the first that a launcher such as torchrun started, or the only one."""
    return os.environ.get("RANK", "0") in ("0", "")


def many_processes() -> bool:
    """Whether a launcher started several processes for this call."""
    return os.environ.get("WORLD_SIZE", "1") not in ("1", "")


def run_recipe(run_dir: Path) -> Recipe:
    """The recipe of a run. Raises `RecipeError` when `run_dir` is not one."""
    return recipe_from_plain(read_run_json(run_dir, RECIPE), f"{run_dir / RECIPE}")


def _tell(splits: Splits) -> None:
    """Say what was found before anything trains: how many of each, what was skipped and why."""
    counts = ", ".join(f"{sum(count)} {name}" for name, count in splits.counts().items())
    classes = f"{len(splits.classes)} classes, " if splits.classes else ""
    _log.info("%s: %s%s; %s", Path(splits.source).name, classes, splits.looked_at, counts)
    for skipped in splits.skipped[:_NAMED]:
        _log.info("skipped %s: %s", skipped.path, skipped.reason)
    if len(splits.skipped) > _NAMED:
        _log.info("skipped %d more, all named in %s", len(splits.skipped) - _NAMED, DATA)
    for note in splits.notes:
        _log.info("note: %s", note)


def _scan_progress(recipe: Recipe, progress: Progress | None) -> Count | None:
    what = f"checking {reader_of(recipe).noun.many}"
    return None if progress is None else lambda done, total: progress(what, done, total)


def _forget(run_dir: Path) -> None:
    """Remove what a run consists of, and nothing else that may lie in the folder."""
    for name in RUN_FILES:
        path = run_dir / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _check_same_recipe(recipe: Recipe, run_dir: Path) -> None:
    if not (run_dir / RECIPE).exists():
        return
    before = run_recipe(run_dir)
    if before.training_digest() == recipe.training_digest():
        return
    changed = sorted(set(_differences(before.to_plain(), recipe.to_plain())))
    raise RecipeError(
        f"{run_dir} holds the training of another recipe ({', '.join(changed[:5])} differ): "
        "name another folder, or add --restart to train anew"
    )


def _differences(before: Any, now: Any, where: str = "") -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in {**before, **now}:
            yield from _differences(before.get(key), now.get(key), f"{where}.{key}" if where else key)
    elif before != now and where.split(".")[0] not in ("variants", "quantization", "budget"):
        yield where


def _check_same_data(splits: Splits, run_dir: Path) -> None:
    if not (run_dir / DATA).exists():
        return
    before = read_run_json(run_dir, DATA)
    now = splits.to_plain()
    if (before.get("classes"), before.get("splits")) == (now["classes"], now["splits"]):
        return
    raise RecipeError(
        f"the data changed since the training in {run_dir} began "
        f"({before.get('files')} then, {splits.looked_at} now): name another folder, or add --restart to train anew"
    )
