"""What a recurrent net of series is told: columns and their scales, the step, the plan of a forecast."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from edgewright.pipeline.data.samples import SPLITS, Sample, Splits
from edgewright.pipeline.data.series.from_tables import LABEL_COLUMNS
from edgewright.pipeline.fitted.carried import carried_with
from edgewright.pipeline.fitted.fitted import Fitted
from edgewright.pipeline.fitted.moments import Moments, floats
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import DataError, InputError
from edgewright.runtime.series.settings import ForecastSettings, Scales, Series, SeriesSettings, WideTable
from edgewright.runtime.tasks import load_task

_TRIED = 1000
"""Samples of a split that are encoded to see whether they can be."""

_HANDFUL = 256


def fit_series(recipe: Recipe, splits: Splits) -> Fitted:
    """The columns with their scales, the step, the plan of a forecast; scales of the run that the recipe starts from.

    Raises `DataError` for a column without any value and for samples that the device will not read.
    """
    data = recipe.data
    features, targets = splits.features, splits.targets
    carried = carried_with(recipe)
    fitted = _scales(splits.train, features, targets, recipe)
    scales = carried.scales(features, targets, fitted)
    per_series = None
    if recipe.forecast.per_series and recipe.spec.forecasts:
        members: dict[str, list[Sample]] = {}
        for sample in splits.train:
            members.setdefault(sample.raw.name, []).append(sample)
        per_series = {
            name: _scales(samples, features, targets, recipe, name)
            for name, samples in sorted(members.items())
        }
    forecast = None
    if recipe.spec.forecasts:
        plan = recipe.forecast
        known = [features.index(name) for name in plan.known or ()]
        forecast = ForecastSettings(
            horizon=plan.horizon,
            season=plan.season,
            context=plan.context,
            known=plan.known or (),
            anchor=plan.anchor,
            known_mean=tuple(scales[0][index] for index in known),
            known_std=tuple(scales[1][index] for index in known),
        )
    step = _step(splits.train, data.step)
    if data.irregular == "resample" and step is None:
        raise DataError(
            "data.irregular: resample needs the times of the steps: name their column in data.time, or remove the key"
        )
    settings = SeriesSettings(
        features=features,
        mean=scales[0],
        std=scales[1],
        targets=targets,
        target_mean=scales[2],
        target_std=scales[3],
        missing=data.missing,
        irregular=data.irregular,
        step=step,
        series_column=data.series,
        time_column=data.time,
        forecast=forecast,
        per_series=per_series,
        unseen=data.unseen,
        wide=_wide(recipe),
    )
    _try(recipe, settings, splits)
    step_note = carried.step_note(step)
    notes = [carried.note] if scales != fitted else []
    return Fitted(settings, {}, (*notes, *([step_note] if step_note else [])))


def _wide(recipe: Recipe) -> WideTable | None:
    """How the device reads a table like that of the training, where that was in wide form."""
    data = recipe.data
    if data.layout == "long":
        return None
    if recipe.spec.forecasts:
        return WideTable(data.target or ())
    labels = () if recipe.spec.every_step else data.target or LABEL_COLUMNS
    return WideTable(data.features or (), labels)


def _try(recipe: Recipe, settings: SeriesSettings, splits: Splits) -> None:
    """Encode samples as the device will, so that no training stops in the middle: of each split and series the first,
    and more where they are few. Raises `DataError`.
    """
    task = load_task(recipe.task, to_plain(settings), splits.classes)
    for name in SPLITS:
        samples = splits.split(name)
        every = max(1, len(samples) // _TRIED)
        seen: set[str] = set()
        for index, sample in enumerate(samples):
            if index % every and sample.raw.name in seen:
                continue
            seen.add(sample.raw.name)
            try:
                task.encode(sample.raw)
            except InputError as error:
                raise DataError(f"{splits.source}, {name} sample {sample.id}: {error}") from None


def _scales(
    samples: Sequence[Sample],
    features: tuple[str, ...],
    targets: tuple[str, ...],
    recipe: Recipe,
    series: str | None = None,
) -> Scales:
    """mean and std of features and targets over the samples; those of a forecast's targets are its features'."""
    moments = Moments(len(features))
    for some in _several(samples):
        moments.add(np.concatenate([sample.raw.values for sample in some]))
    of_what = "the training part" if series is None else f"the training part of the series {series!r}"
    mean, std = moments.result(features, of_what)
    if recipe.spec.forecasts:
        count = len(targets)
        return floats(mean), floats(std), floats(mean[:count]), floats(std[:count])
    if not targets:
        return floats(mean), floats(std), (), ()
    target_moments = Moments(len(targets))
    for some in _several(samples):
        target_moments.add(np.concatenate([np.asarray(sample.target) for sample in some]))
    target_mean, target_std = target_moments.result(targets, of_what)
    return floats(mean), floats(std), floats(target_mean), floats(target_std)


def _several(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """The samples in handfuls: numpy is slow on one short window at a time."""
    for start in range(0, len(samples), _HANDFUL):
        yield samples[start : start + _HANDFUL]


def _step(samples: Sequence[Sample], wanted: float | None) -> float | None:
    """The trained step: `wanted`, or the median of the training part; None where there are no times."""
    lengths = [np.diff(raw.times) for raw in _timed(samples) if raw.times is not None and len(raw.times) > 1]
    if not lengths:
        return None
    return wanted if wanted is not None else float(np.median(np.concatenate(lengths)))


def _timed(samples: Sequence[Sample]) -> Iterable[Series]:
    return (sample.raw for sample in samples if sample.raw.times is not None)
