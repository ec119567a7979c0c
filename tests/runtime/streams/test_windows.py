"""Streams that remember a number of steps: whatever came before, an answer is the engine's to the last of them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgewright.runtime import Engine, Series
from edgewright.runtime.bundle.manifest import Manifest, StreamMemory
from edgewright.runtime.errors import BundleError, InputError
from tests.messages import refused
from tests.runtime.recurrent_bundle import (
    FEATURES,
    FORECAST,
    REGRESSION,
    Case,
    case,
    forecast_series,
    make_recurrent_bundle,
    series_values,
    sound,
)

Change = Callable[[Manifest], Manifest]


def remembering(steps: int, memory: str = "context") -> Change:
    """A manifest whose streams remember so many steps, without a graph of one step."""

    def change(manifest: Manifest) -> Manifest:
        graphs = {"model": manifest.graphs["model"]}
        variants = [
            dataclasses.replace(one, graphs={"model": one.graphs["model"]}) for one in manifest.variants
        ]
        stream = StreamMemory(memory, steps)
        return dataclasses.replace(manifest, graphs=graphs, variants=tuple(variants), stream=stream)

    return change


def engine_of(root: Path, example: Case, steps: int) -> Engine:
    return Engine(make_recurrent_bundle(root / example.task, example, remembering(steps)), provider="cpu")


def numbers(answer: Any) -> NDArray[np.float64]:
    """The numbers of an answer to the newest step."""
    if hasattr(answer, "probabilities"):
        return np.array(list(answer.probabilities))
    return np.asarray(answer.last if hasattr(answer, "last") else answer.values)


@pytest.mark.parametrize("steps", [1, 9, 40])
@pytest.mark.parametrize("task", ["sequence-classification", "sequence-regression"])
def test_an_answer_is_that_of_the_last_steps(tmp_path: Path, task: str, steps: int) -> None:
    engine = engine_of(tmp_path, case(task), steps)
    values = series_values(100, 3)
    with engine.stream() as stream:
        found = [numbers(stream.push(row)) for row in values]
        stream.reset()
        np.testing.assert_array_equal([numbers(one) for one in stream.push_all(values)], found)
        stream.reset()
        newest = [stream.push(values[start : start + 7]) for start in range(0, 98, 7)]
        np.testing.assert_array_equal([numbers(one) for one in newest], found[6:98:7])
    for step, ours in enumerate(found):
        wanted = engine(values[max(0, step + 1 - steps) : step + 1])
        np.testing.assert_array_equal(ours, numbers(wanted))


@pytest.mark.parametrize("anchor", ["seasonal", "last", "none"])
def test_a_forecast_after_700_steps_is_that_of_its_context(tmp_path: Path, anchor: str) -> None:
    assert FORECAST.forecast is not None
    settings = dataclasses.replace(FORECAST, forecast=dataclasses.replace(FORECAST.forecast, anchor=anchor))
    example = dataclasses.replace(case("forecasting"), settings=settings, raws=())
    context = FORECAST.forecast.context
    engine = engine_of(tmp_path, example, context)
    series = forecast_series(700, 1)
    assert series.times is not None
    with engine.stream() as stream:
        pieces = list(engine.task.pieces(series))
        answers = [stream.push(piece) for piece in pieces]
    assert [answer is None for answer in answers[: context + 1]] == [True] * (context - 1) + [False] * 2
    for step in (context - 1, context, 50, 699):
        cut = slice(step + 1 - context, step + 1)
        wanted = engine(Series(series.values[cut], FEATURES, series.times[cut], "", pieces[step].known))
        np.testing.assert_array_equal(answers[step].values, wanted.values)
        np.testing.assert_array_equal(answers[step].times, wanted.times)


@pytest.mark.parametrize("count", [3, 40])
def test_a_group_equals_its_streams(tmp_path: Path, count: int) -> None:
    """Streams that began at different times too, and more of them than run at once."""
    engine = engine_of(tmp_path, case("sequence-regression"), 5)
    streams, group = [engine.stream() for _ in range(count)], engine.streams(count)
    draws = np.random.default_rng(0)
    for turn in range(12):
        block = series_values(count, turn)
        rows = np.sort(draws.permutation(count)[: draws.integers(1, count + 1)]) if turn < 6 else None
        chosen = range(count) if rows is None else rows.tolist()
        expected = [numbers(streams[row].push(block[row])) for row in chosen]
        found = group.push(block[list(chosen)], rows)
        np.testing.assert_allclose([numbers(one) for one in found], expected, rtol=1e-4, atol=1e-5)
    group.reset(1)
    (row,) = series_values(1)
    np.testing.assert_allclose(
        numbers(group.push([row], [1])[0]), numbers(engine(row[np.newaxis])), rtol=1e-4, atol=1e-5
    )


def test_sound_is_remembered_frame_by_frame(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("audio-classification"), 10)
    samples = sound(9000, 2)
    newest = None
    with engine.stream(rate=8000) as stream:
        for start in range(0, 9000, 500):
            newest = stream.push(samples[start : start + 500]) or newest
    last = 80 * ((9000 - 256) // 80)  # where the newest frame begins
    wanted = engine((samples[last - 9 * 80 : last + 256], 8000))
    assert newest is not None
    np.testing.assert_allclose(numbers(newest), numbers(wanted), rtol=1e-5)


def test_a_state_goes_on_anywhere_and_only_there(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("sequence-regression"), 6)
    values = series_values(30)
    stream, other, group = engine.stream(), engine.stream(), engine.streams(2)
    for row in values[:15]:
        stream.push(row)
    stream.save(tmp_path / "state")
    expected = [numbers(stream.push(row)) for row in values[15:]]
    other.restore(tmp_path / "state")
    group.restore(1, tmp_path / "state")
    np.testing.assert_array_equal([numbers(other.push(row)) for row in values[15:]], expected)
    found = [numbers(group.push([row], [1])[0]) for row in values[15:]]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for steps, change in ((7, remembering(7)), (6, None)):
        root = tmp_path / f"other {steps} {change is None}"
        example = case("sequence-regression")
        bundle = (
            make_recurrent_bundle(root, example, change) if change else make_recurrent_bundle(root, example)
        )
        with refused(InputError):
            Engine(bundle, provider="cpu").stream().restore(tmp_path / "state")
    kept = stream.state()
    damaged = dataclasses.replace(kept, arrays={**kept.arrays, "count": np.array([7], np.int64)})
    with refused(InputError):
        other.restore(damaged)


def test_a_bad_piece_changes_nothing(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("sequence-regression"), 4)
    values = series_values(9)
    with engine.stream() as stream:
        for row in values:
            with pytest.raises(InputError):
                stream.push([np.nan] * 3)
            answer = stream.push(row)
    np.testing.assert_array_equal(numbers(answer), numbers(engine(values[-4:])))


def test_gaps_are_filled_with_what_came_before(tmp_path: Path) -> None:
    settings = dataclasses.replace(REGRESSION, missing="forward")
    example = dataclasses.replace(case("sequence-regression"), settings=settings, raws=())
    engine = engine_of(tmp_path, example, 3)
    values = series_values(12)
    filled = values.copy()
    values[7:10, 1] = np.nan
    filled[7:10, 1] = filled[6, 1]
    with engine.stream() as stream:
        for row in values:
            answer = stream.push(row)
        np.testing.assert_array_equal(numbers(answer), numbers(engine(filled[-3:])))


@pytest.mark.parametrize("memory", [StreamMemory("carried", 4), StreamMemory("context", 4)])
def test_a_memory_that_does_not_fit_the_graphs(tmp_path: Path, memory: StreamMemory) -> None:
    def change(manifest: Manifest) -> Manifest:
        graphs = remembering(4)(manifest) if memory.memory == "carried" else manifest
        return dataclasses.replace(graphs, stream=memory)

    bundle = make_recurrent_bundle(tmp_path / "bundle", case("sequence-regression"), change)
    with refused(BundleError):
        Engine(bundle)


@pytest.mark.parametrize(
    "values",
    [
        ("some", 4),
        ("context", 0),
        ("context", 10**9),
        ("carried", 4, 0),
        ("carried", 4, -1),
        ("carried", 4, 2, -1),
    ],
)
def test_a_memory_that_cannot_be(values: Any) -> None:
    with pytest.raises(ValueError, match=r"memory|cannot be"):
        StreamMemory(*values)


def test_a_memory_that_is_too_large(tmp_path: Path) -> None:
    bundle = make_recurrent_bundle(tmp_path / "bundle", case("audio-classification"), remembering(10**6))
    with pytest.raises(BundleError, match="too large to remember"), Engine(bundle, cache=False) as engine:
        settings = engine.manifest.stream
        assert settings is not None
        object.__setattr__(settings, "steps", 1 << 28)
        engine.stream(rate=8000)
