"""Dividing recordings: in time, by whole series, or window by window; no step of a recording is in two splits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgewright.pipeline.data.samples import SPLITS, Dataset, Sample, SampleKind, Skipped, Splits, content_of
from edgewright.pipeline.data.series.recordings import Columns, Recording, in_steps
from edgewright.pipeline.data.series.windows import Span, forecast_samples, parts_in_time, window_samples
from edgewright.pipeline.data.split import as_splits, check_share, divide, first_of_each, ordered
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError

_ENOUGH_SERIES = 10
"""A regression divides its data by whole series from this many on, below it in time."""

_MOST_WINDOWS = 1_000_000
_LONG = 5_000

_NOUN = SampleKind("series", "series", "series", "series")
_WINDOWS = SampleKind("window", "windows", "window", "series")


@dataclass(frozen=True)
class SeriesSource:
    """What was found before it is divided: recordings by split; what is missing is taken from "train"."""

    given: Mapping[str, Sequence[Recording]]
    columns: Columns
    classes: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    source: str
    files: int


def divide_recordings(found: SeriesSource, recipe: Recipe) -> Splits:
    """Cut the recordings into windows and divide them as `data.split` says. Raises `DataError`."""
    return _Division(found, recipe).divide()


class _Division:
    def __init__(self, found: SeriesSource, recipe: Recipe) -> None:
        self.found, self.recipe, self.data = found, recipe, recipe.data
        self.classes = {name: index for index, name in enumerate(found.classes)}
        self.forecasts = recipe.spec.forecasts
        self.skipped = list(found.skipped)
        self.left_out = 0

    def divide(self) -> Splits:
        ways: Mapping[str, Callable[[], dict[str, list[Sample]]]] = {
            "time": self._in_time,
            "series": self._by_series,
            "random": self._at_random,
        }
        self._count_windows()
        samples = ways[self._way()]()
        check_share(self.skipped, self.found.files, self.data.max_bad, "series")
        return self._splits(samples)

    @property
    def _least(self) -> int:
        """The steps that one window takes."""
        forecast = self.recipe.forecast
        return (
            forecast.context + forecast.horizon
            if self.forecasts
            else self.data.window or self.data.min_length
        )

    def _way(self) -> str:
        if self.data.split != "auto":
            return self.data.split
        if self.forecasts:
            return "time"
        train = self.found.given["train"]
        if len(train) >= _ENOUGH_SERIES or "evaluation" in self.found.given:
            return "series"
        return "time" if _mixed(train) or not self.found.classes else "series"

    def _count_windows(self) -> None:
        steps = sum(len(one) for series in self.found.given.values() for one in series)
        stride = self.data.stride or (1 if self.forecasts else self.data.window)
        if stride is not None and steps // stride > _MOST_WINDOWS:
            raise DataError(
                f"{self.found.source}: {steps} steps, a window every {stride}, are more than {_MOST_WINDOWS} "
                "windows: raise data.stride"
            )

    def _cut(self, recording: Recording, part: Span | None = None) -> list[Sample]:
        part = part or (0, len(recording))
        columns = self.found.columns
        if self.forecasts:
            samples, left_out = forecast_samples(recording, part, columns, self.recipe.forecast, self.data)
        else:
            samples, left_out = window_samples(recording, part, columns, self.data, self.classes)
        self.left_out += left_out
        return samples

    def _long_enough(self, recordings: Sequence[Recording]) -> list[Recording]:
        kept = []
        for one in recordings:
            if len(one) < self._least:
                self.skipped.append(Skipped(one.name, f"has {in_steps(len(one))}, {self._needs()}"))
            else:
                kept.append(one)
        return kept

    def _needs(self) -> str:
        forecast = self.recipe.forecast
        if self.forecasts:
            return (
                f"a window takes {self._least} (context {forecast.context} + horizon {forecast.horizon}): "
                "lower forecast.context or forecast.horizon"
            )
        return f"a window takes {self._least}: lower data.window, or leave it out"

    def _in_time(self) -> dict[str, list[Sample]]:
        if self.found.classes and self.data.window is None and not _mixed(self.found.given["train"]):
            raise DataError(
                "data.split: time cuts a series into parts, and each would be one sample of the same class: "
                "set data.window, or use split: series"
            )
        shares = {name: getattr(self.data, name) for name in SPLITS[1:] if name not in self.found.given}
        result: dict[str, list[Sample]] = {name: [] for name in SPLITS}
        least = self._least
        later = self.recipe.forecast.horizon if self.forecasts and self.recipe.forecast.reach_back else least
        longest = 0
        self._refuse_none(self.found.given["train"])
        for one in self.found.given["train"]:
            parts = parts_in_time(len(one), shares, least, later)
            longest = max(longest, len(one))
            if parts is None:
                parted = ", ".join(("train", *(name for name, share in shares.items() if share > 0)))
                self.skipped.append(
                    Skipped(one.name, f"has {in_steps(len(one))}, too few for a window in each of {parted}")
                )
                continue
            for name, part in parts.items():
                result[name] += self._cut(one, part)
        self._add_given(result)
        if not result["train"]:
            total = least + later * sum(share > 0 for share in shares.values())
            raise DataError(
                f"{self.found.source}: the longest series has {in_steps(longest)}, at least {total} are needed to keep "
                f"the splits apart in time: {self._needs()}, or give more data"
            )
        return result

    def _add_given(self, result: dict[str, list[Sample]]) -> None:
        for name, recordings in self.found.given.items():
            if name != "train":
                result[name] = [sample for one in self._long_enough(recordings) for sample in self._cut(one)]

    def _by_series(self) -> dict[str, list[Sample]]:
        given = {name: self._long_enough(series) for name, series in self.found.given.items()}
        self._refuse_none(given["train"])
        classes = () if any(map(_mixed, given.values())) else self.found.classes
        units = {
            name: tuple(self._unit(one, name, bool(classes)) for one in series)
            for name, series in given.items()
        }
        divided = self._divide(units, classes, _NOUN)
        return {
            name: [sample for unit in divided.split(name) for sample in self._cut(unit.raw)]
            for name in SPLITS
        }

    def _refuse_none(self, recordings: Sequence[Any]) -> None:
        if not recordings:
            first = f". First: {self.skipped[0].path} {self.skipped[0].reason}" if self.skipped else ""
            raise DataError(f"{self.found.source}: no series can be used{first}")

    def _unit(self, one: Recording, split: str, classified: bool) -> Sample:
        arrays = [array for array in (one.values, one.times, one.targets) if array is not None]
        label = self.classes[one.label_at(0)] if classified else 0
        return Sample(f"{split}/{one.name}", one, label, content_of(*arrays))

    def _at_random(self) -> dict[str, list[Sample]]:
        data = self.data
        if data.window is not None and (data.stride or data.window) < data.window:
            raise DataError(
                "data.split: windows overlap, so that dealt out at random they would be in two splits at once: "
                f"use split: time or series, or stride: {data.window}"
            )
        given = {
            name: tuple(sample for one in self._long_enough(series) for sample in self._cut(one))
            for name, series in self.found.given.items()
        }
        self._refuse_none(given["train"])
        divided = self._divide(given, self.found.classes, _WINDOWS)
        return {name: list(divided.split(name)) for name in SPLITS}

    def _divide(
        self, given: Mapping[str, tuple[Sample, ...]], classes: tuple[str, ...], noun: SampleKind
    ) -> Splits:
        count = sum(map(len, given.values())) + len(self.skipped)
        found = Dataset(classes, given, tuple(self.skipped), self.found.source, count, noun)
        everything = self.data.model_copy(update={"train_per_class": None, "calibration_limit": 1 << 60})
        divided = divide(found, everything, self.recipe.split_seed)
        self.skipped = list(divided.skipped)
        self.found = replace(self.found, notes=(*self.found.notes, *divided.notes))
        return divided

    def _splits(self, samples: Mapping[str, list[Sample]]) -> Splits:
        seed, data, found = self.recipe.split_seed, self.data, self.found
        train = samples["train"]
        if data.train_per_class is not None:
            train = first_of_each(ordered(train, seed), data.train_per_class)
        calibration = ordered(samples["calibration"], seed)[: data.calibration_limit]
        chosen = {**samples, "train": train, "calibration": calibration}
        self._check(chosen)
        if len(found.given) > 1:
            chosen = {name: [replace(one, id=f"{name}/{one.id}") for one in chosen[name]] for name in SPLITS}
        told = (*self._left_out(), *self._long(chosen["train"]))
        whole = Dataset(found.classes, {}, tuple(self.skipped), found.source, found.files, _NOUN, found.notes)
        return as_splits(whole, chosen, told, found.columns.features, found.columns.targets)

    def _left_out(self) -> tuple[str, ...]:
        count = self.left_out
        if not count:
            return ()
        return (
            f"{count} window{' is' if count == 1 else 's are'} left out: too many of the values are missing there",
        )

    def _long(self, train: Sequence[Sample]) -> tuple[str, ...]:
        longest = max(len(sample.raw.values) for sample in train)
        if self.data.window is not None or longest <= _LONG:
            return ()
        return (
            f"the longest sequence has {longest} steps, and trains slowly: data.window cuts it into shorter ones",
        )

    def _check(self, samples: Mapping[str, Sequence[Sample]]) -> None:
        found = self.found
        for name in ("train", "evaluation"):
            if not samples[name]:
                raise DataError(
                    f"{found.source}: nothing is left for {name}: give more data, or shorter windows"
                )
        if self.data.validation > 0 and not samples["validation"]:
            raise DataError(f"{found.source}: nothing is left for validation: give more data, or set it to 0")
        if not self.recipe.spec.classifies:
            return
        for name in ("train", "evaluation"):
            present = {sample.label for sample in samples[name]}
            missing = [label for label, index in self.classes.items() if index not in present]
            if missing:
                raise DataError(
                    f"{found.source}: no window of class {missing[0]!r} is in {name}: give more series of it, "
                    "use another data.split or data.seed, or leave the class out with data.classes"
                )


def _mixed(series: Sequence[Recording]) -> bool:
    """Whether the class changes within any of some series."""
    return any(one.is_mixed for one in series)
