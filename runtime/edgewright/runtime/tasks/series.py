"""What the tasks on series share: one series to tensors, files of series, batches, steps."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import StreamEncoder, Tensors, TensorSpec
from edgewright.runtime.errors import InputError
from edgewright.runtime.inputs import Named, Unreadable
from edgewright.runtime.series.block import block_writer
from edgewright.runtime.series.reading import as_series, label_of, read_series, series_csv
from edgewright.runtime.series.settings import Series, SeriesSettings, series_settings
from edgewright.runtime.series.stream import SeriesEncoder
from edgewright.runtime.series.values import check_times, fill_missing, normalise, resample
from edgewright.runtime.tables.reading import TABLE_SUFFIXES
from edgewright.runtime.tasks.base import A, Task
from edgewright.runtime.tasks.description import Description, shortened
from edgewright.runtime.tasks.labels import finite

VALUES = "values"
LENGTHS = "lengths"


class SeriesTask(Task[A]):
    """The half of a series task that ends at the tensors; `processor` holds `SeriesSettings` as plain values."""

    noun = "table"
    suffixes = frozenset(TABLE_SUFFIXES)
    ragged = True

    def __init__(self, processor: Mapping[str, Any]) -> None:
        self.settings: SeriesSettings = series_settings(processor)
        self._mean = np.array(self.settings.mean)

    def whole_inputs(self, *more: TensorSpec) -> tuple[TensorSpec, ...]:
        """What a graph takes of a whole series."""
        values = TensorSpec(VALUES, "float32", ("batch", "time", len(self.settings.features)))
        return values, TensorSpec(LENGTHS, "int32", ("batch",)), *more

    def step_inputs(self, *more: TensorSpec) -> tuple[TensorSpec, ...]:
        """What a graph takes of one step."""
        return TensorSpec(VALUES, "float32", (1, "batch", len(self.settings.features))), *more

    def described(
        self, tag: str, answers: str, head: str, config: Mapping[str, Any], reads: str = ""
    ) -> Description:
        """The description of a model of a task on series; the arguments are what only this task says."""
        features = self.settings.features
        return Description(
            tag=tag,
            reads=reads or f"steps of {', '.join(features)}",
            answers=f"Reads the columns {shortened(features)}. {answers}",
            example='"series.csv"',
            config={"input_size": len(features), "features": list(features), **config},
            head=head,
            piece=("row", "sensor"),
        )

    def inputs_of(self, path: Path) -> Iterable[Named]:
        """Every series of a table."""
        try:
            found = read_series(path, self.settings)
        except InputError as error:
            return [(str(path), Unreadable(str(error)))]
        if len(found) == 1:
            return [(str(path), found[0])]
        return [(f"{path}:{series.name}", series) for series in found]

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        """A table of one series as it is, anything else as CSV that reads back to the same numbers."""
        suffix = Path(raw).suffix.lower() if isinstance(raw, (str, Path)) else ""
        if TABLE_SUFFIXES.get(suffix, "parquet") != "parquet":  # which not every device reads
            as_series(raw, self.settings)
            return Path(raw).read_bytes(), suffix
        return series_csv(as_series(raw, self.settings), self.settings), ".csv"

    def prepare(self, raw: Any) -> Series:
        """A raw input as a series [steps, features] in the user's units, in the trained order, without gaps, at the
        trained step. Raises `InputError`.
        """
        series = as_series(raw, self.settings)
        where, settings, values, times = label_of(series), self.settings, series.values, series.times
        if not len(values):
            raise InputError(f"{where} is empty: give at least one step")
        if times is not None:
            check_times(times, settings.step, settings.irregular, where)
        values = fill_missing(values, settings.missing, settings.features, self._fill(series), times, where)
        if times is not None and settings.irregular == "resample" and settings.step is not None:
            times, values = resample(times, values, settings.step)
        return Series(values, settings.features, times, series.name, series.known)

    def _fill(self, series: Series) -> NDArray[np.float64]:
        if self.settings.per_series is None:
            return self._mean
        return np.array(self.settings.scales(series.name)[0])

    def encode(self, raw: Any) -> Tensors:
        """One raw series to `values` float32 [steps, features] and `lengths` int32, the number of steps.

        Where each series has its own scale there is "scale" float64 [2, targets] as well. Raises `InputError`.
        """
        return self.encode_prepared(self.prepare(raw))

    def encode_prepared(self, series: Series) -> Tensors:
        """The second half of `encode`: what `prepare` returned, to tensors."""
        mean, std, *target = self.settings.scales(series.name)
        values = normalise(series.values, np.array(mean), np.array(std), label_of(series))
        feeds: Tensors = {VALUES: values, LENGTHS: np.array(len(values), np.int32)}
        if self.settings.per_series is not None and self.settings.targets:
            feeds["scale"] = np.array(target)
        return feeds

    def steps(self, raw: Any) -> NDArray[Any]:
        """The steps of a whole series."""
        return SeriesTask.encode_prepared(self, self.prepare(raw))[VALUES]

    def scale(self, sample: Tensors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """mean and std of each target of a sample, of the whole training data where the sample says nothing."""
        if "scale" in sample:
            return sample["scale"][0], sample["scale"][1]
        settings = self.settings
        if settings.forecast is not None and not settings.target_mean:
            count = len(settings.targets)
            return np.array(settings.mean[:count]), np.array(settings.std[:count])
        return np.array(settings.target_mean), np.array(settings.target_std)

    def block_writer(self, fronts: Sequence[StreamEncoder], feeds: Tensors) -> Callable[[Any], bool]:
        """One step [streams, features] of many streams at once, see `Task`."""
        return block_writer([front for front in fronts if isinstance(front, SeriesEncoder)], feeds)

    def pieces(self, raw: Any) -> Iterator[Series]:
        """A raw series cut into its steps, each with its time, its name, and what is known ahead at that step."""
        series = as_series(raw, self.settings)
        settings, known = self.settings, series.known
        ahead: NDArray[np.float64] | None = None
        if known is not None and settings.forecast is not None:
            places = [settings.features.index(name) for name in settings.forecast.known]
            ahead = np.vstack((series.values[:, places], known))
        for step in range(len(series.values)):
            yield Series(
                series.values[step : step + 1],
                settings.features,
                None if series.times is None else series.times[step : step + 1],
                series.name,
                None if ahead is None or known is None else ahead[step + 1 : step + 1 + len(known)],
            )


PREDICTION = "prediction"


def predicted(outputs: Tensors, names: Sequence[str]) -> NDArray[Any]:
    """The output [..., targets]. Raises `BundleError` for another shape, `InputError` where it is not finite."""
    return finite(outputs, PREDICTION, (None, len(names)))


def to_units(
    values: NDArray[Any], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Normalised values [..., targets] in the user's units, float64."""
    result: NDArray[np.float64] = values * std
    result += mean
    return result


def same_numbers(left: NDArray[np.float64] | None, right: NDArray[np.float64] | None) -> bool:
    """Whether two arrays are equal, or both are not there."""
    return left is right if left is None or right is None else np.array_equal(left, right)
