"""Compare: a grid of recipes on the user's own data, each trained over several seeds, exported and measured.

Everything that is finished lies in run directories and bundles, so the same call after a kill goes on where it was.
What cannot be done in one cell of the grid is a row with its reason; the other cells are not touched by it.
"""

import contextlib
import functools
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright.pipeline.progress import Progress, silent
from edgewright.pipeline.recipe.load import load_recipe
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.run_dir import lock_run
from edgewright.pipeline.stages.compare_grid import Spread, folder_name, parse_choices, spread_of
from edgewright.pipeline.stages.export import export_run
from edgewright.pipeline.stages.fit import check_outside_data, fit_run, many_processes
from edgewright.pipeline.training import loop
from edgewright.pipeline.training.results import MARKER, load_trained
from edgewright.runtime.bundle.files import write_json
from edgewright.runtime.bundle.structure import StructureError, parse_json, to_plain
from edgewright.runtime.errors import EdgewrightError, RecipeError

COMPARISON = "comparison.json"
"""The file in the folder of a comparison that holds what `--json` prints."""

_CELLS = "cells"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One cell of the grid. A figure is None where it could not be had; `reason` then says why, in one line.

    `choice` maps each varied key to its value as it was written. `scores` holds the metric of the evaluation split
    for each seed that finished, in the order of the seeds, `metric` their mean with its 95 % interval. `seconds` is
    how long one training took, the mean over the seeds. Latencies and size are those of the variant that `ships`, of
    the first seed: `p50_ms` of one whole sample, `step_us` of one streaming step, `size_bytes` of its graphs. `notes`
    are those of the trainings and of that variant, each said once.
    """

    choice: Mapping[str, str]
    scores: tuple[float, ...] = ()
    metric: Spread | None = None
    parameters: int | None = None
    seconds: float | None = None
    ships: str | None = None
    p50_ms: float | None = None
    step_us: float | None = None
    size_bytes: int | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether something of this cell could not be done."""
        return bool(self.reason)


@dataclass(frozen=True)
class Comparison:
    """The whole grid in its own order; `metric_name` is better when greater."""

    metric_name: str
    seeds: tuple[int, ...]
    keys: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def failed(self) -> int:
        """How many cells could not be done."""
        return sum(row.failed for row in self.rows)


def compare(
    recipe_path: Path,
    vary: Sequence[str],
    out: Path,
    seeds: int = 3,
    overrides: Sequence[str] = (),
    provider: str = "auto",
    export: bool = True,
    restart: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Train every combination of `vary` with every seed, export the first seed of each, and put it all side by side.

    A seed decides the training and, unless the recipe has `data.seed`, how the data is divided; every cell meets the
    same seeds, so the cells of one seed are judged on the same samples.

    Args:
        vary: "key=value,value,...": one key of the recipe with the values to try. Commas within brackets or quotes
            belong to a value.
        out: the folder of the comparison; a run per cell and seed, a bundle per cell, comparison.json.
        seeds: how many, counted from the recipe's own.
        overrides: "key=value" for every cell.
        export: False trains only: no latencies, no sizes.
        restart: forget what `out` holds of these cells and train anew.

    Raises:
        RecipeError: `vary` cannot be read, or not one cell of the grid is a recipe.
        MachineError: another process works in `out`, or it cannot be written.
    """
    if many_processes():
        raise RecipeError("compare runs in one process: start it without torchrun")
    choices = parse_choices(vary)
    base = load_recipe(recipe_path, overrides).training.seed
    wanted = tuple(range(base, base + seeds))
    keys = tuple(choice.key for choice in choices)
    combinations = tuple(itertools.product(*(choice.values for choice in choices)))
    cells = [
        _prepare(recipe_path, (*overrides, *_settings(keys, values)), wanted, out) for values in combinations
    ]
    readable = [cell for cell in cells if not isinstance(cell, str)]
    if not readable:
        raise RecipeError(str(cells[0]))
    report = progress or silent
    with lock_run(out):
        rows: list[Row] = []
        for number, (values, cell) in enumerate(zip(combinations, cells, strict=True)):
            report("comparing", number, len(cells))
            choice, settings = dict(zip(keys, values, strict=True)), _settings(keys, values)
            _log.info("[%d/%d] %s", number + 1, len(cells), " ".join(settings))
            if isinstance(cell, str):
                rows.append(Row(choice, reason=cell))
            else:
                place = out / _CELLS / folder_name(settings)
                rows.append(_Cell(choice, cell, place, provider, export, restart, progress).row())
            if rows[-1].reason:
                _log.info("failed: %s", rows[-1].reason)
            made = Comparison(readable[0][0].training.metric, wanted, keys, tuple(rows))
            write_json(out / COMPARISON, to_plain(made))
        report("comparing", len(cells), len(cells))
    return made


def _settings(keys: Sequence[str], values: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{key}={value}" for key, value in zip(keys, values, strict=True))


def _prepare(
    path: Path, overrides: tuple[str, ...], seeds: tuple[int, ...], out: Path
) -> tuple[Recipe, ...] | str:
    """The recipe of each seed; why there is none, where the combination is no recipe."""
    try:
        recipes = tuple(load_recipe(path, (*overrides, f"training.seed={seed}")) for seed in seeds)
        check_outside_data(recipes[0], out)
    except RecipeError as error:
        return _in_one_line(error)
    return recipes


def _in_one_line(error: EdgewrightError) -> str:
    return "; ".join(str(error).splitlines())


class _Cell:
    """One combination: its trainings, then the bundle of the first."""

    def __init__(
        self,
        choice: Mapping[str, str],
        recipes: tuple[Recipe, ...],
        place: Path,
        provider: str,
        export: bool,
        restart: bool,
        progress: Progress | None,
    ) -> None:
        self.choice, self.recipes, self.place = choice, recipes, place
        self.provider, self.export, self.restart, self.progress = provider, export, restart, progress

    def row(self) -> Row:
        """Everything that could be had of this cell."""
        scores: list[float] = []
        seconds: list[float] = []
        notes: dict[str, None] = {}
        found: dict[str, Any] = {}
        reasons: list[str] = []
        for recipe in self.recipes:
            trained = self._tried(functools.partial(self._train, recipe), reasons)
            if trained is not None:
                scores.append(trained[0])
                seconds.append(trained[1])
                notes |= dict.fromkeys(trained[2])
        first = self._run(self.recipes[0])
        if scores and not reasons:
            found = self._tried(functools.partial(self._measure, first), reasons) or {}
        notes |= dict.fromkeys(found.pop("notes", ()))
        reason = found.pop("reason", "") or (reasons[0] if reasons else "")
        # No metric of any task goes higher than 1, and only those of numbers below 0.
        least = -math.inf if self.recipes[0].spec.regresses else 0.0
        return Row(
            choice=self.choice,
            scores=tuple(scores),
            metric=spread_of(scores, most=1.0, least=least) if scores else None,
            seconds=sum(seconds) / len(seconds) if seconds else None,
            reason=reason,
            notes=tuple(notes),
            **found,
        )

    def _run(self, recipe: Recipe) -> Path:
        return self.place / f"seed-{recipe.training.seed}"

    def _train(self, recipe: Recipe) -> tuple[float, float, tuple[str, ...]]:
        """The metric on the evaluation split, the seconds of the training, its notes."""
        run = self._run(recipe)
        with _Stopwatch(run, self.restart, self.progress) as clock, _no_epochs():
            trained = fit_run(recipe, run, restart=self.restart, progress=clock.progress)
        figures = trained.metrics["evaluation"]
        return float(figures[recipe.training.metric]), clock.seconds, trained.notes

    def _measure(self, run: Path) -> dict[str, Any]:
        """The size of the model, and of what ships its bytes and latencies."""
        module = load_trained(run).built.module
        found: dict[str, Any] = {"parameters": sum(value.numel() for value in module.parameters())}
        if not self.export:
            return found
        outcome = export_run(run, self.place / "bundle", None, self.provider, self.progress, self.recipes[0])
        verdict = outcome.verdict
        if verdict.ships is None:
            return {**found, "reason": f"nothing ships: {verdict.reason}"}
        row = verdict.row(verdict.ships)
        found |= {"ships": row.name, "size_bytes": row.size, "notes": row.notes}
        found |= {"p50_ms": row.p50_ms, "step_us": row.step_p50_us}
        if outcome.failed_demands:
            found["reason"] = f"{', '.join(outcome.failed_demands)} failed and is not in the bundle"
        return found

    def _tried(self, work: Callable[[], Any], reasons: list[str]) -> Any:
        """What `work` returns; None where it fails, with the reason as one line in `reasons`."""
        try:
            return work()
        except EdgewrightError as error:
            reasons.append(_in_one_line(error))
        except MemoryError:
            reasons.append("not enough memory: use a smaller training.batch_size")
        except Exception as error:  # whatever one cell dies of, the others go on
            said = " ".join(str(error).split())
            reasons.append(f"internal error, please report it: {type(error).__name__}: {said}")
        return None


@contextlib.contextmanager
def _no_epochs() -> Iterator[None]:
    """A grid trains many: nobody reads a line for each of their epochs."""
    logger = logging.getLogger(loop.__name__)
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


class _Stopwatch:
    """Adds up how long a training took, over interruptions; what is on disk is at most some seconds old."""

    _EVERY = 5.0

    def __init__(self, run: Path, restart: bool, progress: Progress | None) -> None:
        self._path = run.with_name(f"{run.name}.seconds.json")
        self._marker, self._progress = run / MARKER, progress or silent
        self._finished = self._stamp()
        self._before = 0.0 if restart else self._read()
        self._started = self._written = time.monotonic()
        self.seconds = self._before
        """All the time that was worked, now and before; a training that was found finished adds nothing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def progress(self, what: str, done: int, total: int, note: str = "") -> None:
        """Hears the training, and passes it on."""
        if time.monotonic() - self._written > self._EVERY:
            self._write()
        self._progress(what, done, total, note)

    def __enter__(self) -> "_Stopwatch":
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def _stamp(self) -> int | None:
        try:
            return self._marker.stat().st_mtime_ns
        except OSError:
            return None

    def _read(self) -> float:
        try:
            found = parse_json(self._path.read_bytes())
        except (OSError, StructureError):
            return 0.0
        return float(found) if isinstance(found, (int, float)) else 0.0

    def _write(self) -> None:
        self._written = time.monotonic()
        if self._finished is None or self._stamp() != self._finished:
            self.seconds = self._before + self._written - self._started
        write_json(self._path, self.seconds)
