"""What the device half of a task has to know of the data: scales, vocabulary, bands; fitted on the training part."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.pipeline.data.samples import SPLITS, Sample, Splits
from edgewright.pipeline.data.series.from_tables import LABEL_COLUMNS
from edgewright.pipeline.data.sound.files import audio_settings_of
from edgewright.pipeline.data.text.vocabulary import one_thread, train_tokenizer
from edgewright.pipeline.fitted.carried import Carried, carried_with
from edgewright.pipeline.fitted.text import fit_encoder
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import DataError, InputError
from edgewright.runtime.series.settings import ForecastSettings, Scales, Series, SeriesSettings, WideTable
from edgewright.runtime.sound.decoding import load_audio
from edgewright.runtime.sound.mel import AudioSettings, log_mel
from edgewright.runtime.tasks import load_task
from edgewright.runtime.text.decoding import TextSettings, load_tokenizer
from edgewright.runtime.text.settings import EncoderTextSettings

_TRIED = 1000
"""Samples of a split that are encoded to see whether they can be."""

_HANDFUL = 256

Settings = SeriesSettings | AudioSettings | TextSettings | EncoderTextSettings


@dataclass(frozen=True)
class Fitted:
    """The settings of a task's device half, and its assets: role to content. No settings: the model brings its own.

    `notes` are sentences for the user.
    """

    settings: Settings | None
    assets: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def fit_settings(recipe: Recipe, splits: Splits) -> Fitted:
    """Fit what the recipe's task needs on `splits.train`; the same samples give the same bytes.

    Where the recipe starts from the weights of a run, the scales, bands or vocabulary of that run are kept.

    Raises `DataError` when the training samples cannot say it, such as a column without any value, `RecipeError` where
    the sound of a run was cut into other frames or a checkpoint cannot do what is wanted, and `ModelError` for a
    checkpoint that cannot be used.
    """
    if recipe.is_encoder:
        settings, tokenizer, notes = fit_encoder(recipe, splits)
        return Fitted(settings, {"tokenizer": tokenizer}, notes)
    fits: Mapping[str, Callable[[Recipe, Splits], Fitted]] = {
        "image-classification": lambda recipe, splits: Fitted(None),
        "text-classification": _fit_text,
        "audio-classification": _fit_audio,
    }
    return fits.get(recipe.task, _fit_series)(recipe, splits)


def _fit_text(recipe: Recipe, splits: Splits) -> Fitted:
    limit = recipe.text.max_tokens
    assert limit != "auto", "a recurrent net is told a number"
    carried = carried_with(recipe)
    content = carried.tokenizer or train_tokenizer([sample.raw for sample in splits.train], recipe.text)
    tokenizer = load_tokenizer(content)
    origin = f"of {carried.source}" if carried.tokenizer else f"learnt from {len(splits.train)} texts"
    notes = [f"the vocabulary has {tokenizer.get_vocab_size()} entries, {origin}"]
    everything = [sample for name in SPLITS for sample in splits.split(name)]
    with one_thread():
        counts = [len(found.ids) for found in tokenizer.encode_batch([sample.raw for sample in everything])]
    long = [sample for sample, count in zip(everything, counts, strict=True) if count > limit]
    if long:
        text = f"{len(long)} of {len(everything)} texts have more than {limit} tokens (the longest {max(counts)})"
        if recipe.text.policy == "refuse":
            raise DataError(
                f"{text}, first {long[0].id}: raise text.max_tokens, or use text.policy: truncate"
            )
        notes.append(f"{text}: only the first {limit} count")
    return Fitted(TextSettings(limit, recipe.text.policy), {"tokenizer": content}, tuple(notes))


def _fit_audio(recipe: Recipe, splits: Splits) -> Fitted:
    settings = audio_settings_of(recipe.audio)
    carried = carried_with(recipe)
    bands = carried.bands(settings)
    if bands is not None:
        return Fitted(replace(settings, mean=bands[0], std=bands[1]), {}, (_carried_note(carried),))
    moments = _Moments(recipe.audio.mels)
    for sample in splits.train:
        moments.add(log_mel(load_audio(sample.raw, settings), settings).astype(np.float64))
    mean, std = moments.result()
    return Fitted(replace(settings, mean=_floats(mean), std=_floats(std)))


def _fit_series(recipe: Recipe, splits: Splits) -> Fitted:
    data = recipe.data
    features, targets = splits.features, splits.targets
    carried = carried_with(recipe)
    fitted = _scales(splits.train, features, targets, recipe)
    scales = carried.scales(features, targets, fitted)
    per_series = None
    if recipe.forecast.per_series and recipe.task == "forecasting":
        members: dict[str, list[Sample]] = {}
        for sample in splits.train:
            members.setdefault(sample.raw.name, []).append(sample)
        per_series = {
            name: _scales(samples, features, targets, recipe, name)
            for name, samples in sorted(members.items())
        }
    forecast = None
    if recipe.task == "forecasting":
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
    notes = [_carried_note(carried)] if scales != fitted else []
    return Fitted(settings, {}, (*notes, *([step_note] if step_note else [])))


def _wide(recipe: Recipe) -> WideTable | None:
    """How the device reads a table like that of the training, where that was in wide form."""
    data = recipe.data
    if data.layout == "long":
        return None
    if recipe.task == "forecasting":
        return WideTable(data.target or ())
    labels = () if recipe.task == "sequence-regression" else data.target or LABEL_COLUMNS
    return WideTable(data.features or (), labels)


def _carried_note(carried: Carried) -> str:
    return f"inputs are scaled as {carried.source} learnt them"


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
    moments = _Moments(len(features))
    for some in _several(samples):
        moments.add(np.concatenate([sample.raw.values for sample in some]))
    of_what = "the training part" if series is None else f"the training part of the series {series!r}"
    mean, std = moments.result(features, of_what)
    if recipe.task == "forecasting":
        count = len(targets)
        return _floats(mean), _floats(std), _floats(mean[:count]), _floats(std[:count])
    if not targets:
        return _floats(mean), _floats(std), (), ()
    target_moments = _Moments(len(targets))
    for some in _several(samples):
        target_moments.add(np.concatenate([np.asarray(sample.target) for sample in some]))
    target_mean, target_std = target_moments.result(targets, of_what)
    return _floats(mean), _floats(std), _floats(target_mean), _floats(target_std)


def _several(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """The samples in handfuls: numpy is slow on one short window at a time."""
    for start in range(0, len(samples), _HANDFUL):
        yield samples[start : start + _HANDFUL]


class _Moments:
    """Mean and standard deviation of columns, fed in pieces, without NaN; merged as Chan et al. do (1983)."""

    def __init__(self, columns: int) -> None:
        self.count = np.zeros(columns)
        self.mean = np.zeros(columns)
        self.squares = np.zeros(columns)

    def add(self, values: NDArray[np.float64]) -> None:
        """One piece, [rows, columns]."""
        there = ~np.isnan(values)
        count = there.sum(axis=0)
        some = np.maximum(count, 1)
        total = self.count + count
        share = count / np.maximum(total, 1)
        with np.errstate(over="ignore", invalid="ignore"):  # `result` refuses what is not finite
            mean = np.where(there, values, 0.0).sum(axis=0) / some
            squares = (np.where(there, values - mean, 0.0) ** 2).sum(axis=0)
            difference = mean - self.mean
            self.squares += squares + difference**2 * self.count * share
            self.mean += difference * share
        self.count = total

    def result(
        self, names: Sequence[str] = (), of_what: str = "the training part"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """mean and std; 1 is the std of a column that does not vary.

        Raises `DataError` for one without any value, and for one with numbers whose squares no float64 holds.
        """

        def name(column: int) -> str:
            return f"the column {names[column]!r}" if names else f"band {column}"

        empty = self.count == 0
        if empty.any():
            raise DataError(
                f"{name(int(empty.argmax()))} has no value in {of_what}: leave it out of data.features, or give more "
                "data"
            )
        endless = ~(np.isfinite(self.mean) & np.isfinite(self.squares))
        if endless.any():
            raise DataError(
                f"{name(int(endless.argmax()))} has numbers in {of_what} that are too large to scale: correct them, or "
                "give it in another unit"
            )
        std = np.sqrt(self.squares / self.count)
        still = std <= 1e-9 * np.maximum(np.abs(self.mean), 1e-300)
        return self.mean, np.where(still, 1.0, std)


def _floats(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _step(samples: Sequence[Sample], wanted: float | None) -> float | None:
    """The trained step: `wanted`, or the median of the training part; None where there are no times."""
    lengths = [np.diff(raw.times) for raw in _timed(samples) if raw.times is not None and len(raw.times) > 1]
    if not lengths:
        return None
    return wanted if wanted is not None else float(np.median(np.concatenate(lengths)))


def _timed(samples: Sequence[Sample]) -> Iterable[Series]:
    return (sample.raw for sample in samples if sample.raw.times is not None)
