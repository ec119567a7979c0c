"""Many streams in one run: the same answers as one by one, any of them at a time, none harmed by another."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime import Engine, Series
from edgewright.runtime.errors import InputError
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
from tests.runtime.recurrent_graphs import Net

COUNT = 7


def engine_of(root: Path, example: Case) -> Engine:
    return Engine(make_recurrent_bundle(root / example.task, example), provider="cpu")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return engine_of(tmp_path, case("sequence-regression"))


def blocks(steps: int) -> Any:
    """Steps [steps, streams, features]."""
    return np.stack([series_values(steps, seed) for seed in range(COUNT)], axis=1)


def last(answers: Any) -> Any:
    return np.array([answer.last for answer in answers])


@pytest.mark.parametrize("kind", ["float64", "float32", "list", "mixed"])
def test_a_group_equals_its_streams(engine: Engine, kind: str) -> None:
    steps = np.round(blocks(30))
    streams = [engine.stream() for _ in range(COUNT)]
    group = engine.streams(COUNT)
    assert len(group) == COUNT
    for number, block in enumerate(steps):
        expected = [stream.push(row) for stream, row in zip(streams, block, strict=True)]
        given: Any = block.astype(np.float32) if kind == "float32" else block
        if kind == "list" or (kind == "mixed" and number % 3 == 0):
            given = [row.tolist() for row in block]
        np.testing.assert_allclose(last(group.push(given)), last(expected), rtol=1e-5, atol=1e-6)


_POWERS = (0, 10, 18, 19, 20, 30, 36, 37, 38, 39, 76, 150, 154, 155, 200, 307)


@pytest.mark.parametrize(
    ("dtype", "power"),
    [(np.float64, power) for power in _POWERS] + [(np.float32, power) for power in _POWERS[:9]],
)
def test_a_group_takes_values_as_far_as_a_stream_does(engine: Engine, dtype: Any, power: int) -> None:
    group, streams = engine.streams(COUNT), [engine.stream() for _ in range(COUNT)]
    (block,) = blocks(1)
    block[2, 1] = 3.0 * 10.0**power if power < 38 else 1.1 * 10.0**power
    block = block.astype(dtype)
    try:
        expected = [stream.push(row).last for stream, row in zip(streams, block, strict=True)]
    except InputError:
        assert power >= 36
        with refused(InputError):
            group.push(block)
        return
    assert power <= 39
    for answer, wanted in zip(group.push(block), expected, strict=True):
        np.testing.assert_allclose(answer.last, wanted, rtol=1e-5, atol=1e-6)
    fed = {name: array.copy() for name, array in group._runner.feeds.items()}
    for row, stream in enumerate(streams):
        for name, array in fed.items():
            assert np.array_equal(np.take(array, row, 1), np.take(stream._runner.feeds[name], 0, 1))


def test_answers_of_a_group_are_like_a_list(engine: Engine) -> None:
    group = engine.streams(COUNT)
    first, second = blocks(2)
    group.push(first)
    kept = group.push(first)
    shown = list(kept)
    group.push(second)
    assert len(kept) == COUNT and kept == shown and shown == kept and list(kept[1:3]) == shown[1:3]
    assert kept[-1] == shown[-1] and kept[0] == kept[0] and repr(kept) == repr(shown)
    assert kept != shown[:-1]
    with pytest.raises(IndexError):
        _ = kept[COUNT]


def test_one_stream_without_an_answer(tmp_path: Path) -> None:
    """An output that is not finite is the business of its own stream."""
    engine = engine_of(tmp_path, case("sequence-regression"))
    group = engine.streams(COUNT)
    (block,) = blocks(1)
    group.push(block)
    expected = last(group.push(block))
    group.reset()
    group.push(block)
    answers = group.push(block)
    answers._output[2] = np.nan  # type: ignore[attr-defined]
    for found in (list(answers), answers):
        with refused(InputError):
            _ = found[2].values
        np.testing.assert_allclose(found[3].values[0], expected[3], rtol=1e-5)


def test_some_streams_at_a_time(engine: Engine) -> None:
    steps = blocks(20)
    streams = [engine.stream() for _ in range(COUNT)]
    group = engine.streams(COUNT)
    random = np.random.default_rng(0)
    for block in steps:
        rows = random.permutation(COUNT)[: random.integers(1, COUNT + 1)]
        expected = [streams[row].push(block[row]) for row in rows]
        np.testing.assert_allclose(last(group.push(block[rows], rows)), last(expected), rtol=1e-5, atol=1e-6)


def test_pieces_of_different_lengths(engine: Engine) -> None:
    values = [series_values(length, length) for length in (3, 1, 12, 5, 0, 2, 7)]
    group = engine.streams(COUNT)
    every = group.push_all(values)
    assert [len(answers) for answers in every] == [3, 1, 12, 5, 0, 2, 7]
    for answers, value in zip(every, values, strict=True):
        if len(value):
            np.testing.assert_allclose(last(answers), engine(value).values, rtol=1e-5, atol=1e-6)
    group.reset()
    newest = group.push(values)
    assert [answer is None for answer in newest] == [False] * 4 + [True] + [False] * 2
    assert newest[2] == every[2][-1]


def test_sound_in_a_group(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("audio-classification"))
    sounds = [sound(4000 + 300 * seed, seed) for seed in range(3)]
    expected = engine(sounds, rate=8000)
    group = engine.streams(3, rate=8000)
    newest: list[Any] = [None] * 3
    for start in range(0, 4600, 333):
        rows = [row for row, samples in enumerate(sounds) if start < len(samples)]
        answers = group.push([sounds[row][start : start + 333] for row in rows], rows)
        for row, answer in zip(rows, answers, strict=True):
            newest[row] = answer if answer is not None else newest[row]
    for answer, whole in zip(newest, expected, strict=True):
        assert answer.probabilities == pytest.approx(whole.probabilities, rel=1e-4)


@pytest.mark.parametrize(
    ("pieces", "rows", "message"),
    [
        (np.zeros((COUNT, 2)), None, "stream 0: the step has 2 values"),
        (np.zeros((COUNT - 1, 3)), None, "6 pieces for 7 streams: give one for each"),
        (np.zeros((3, 3)), [0, 1], "3 pieces for 2 streams"),
        (np.zeros((2, 3)), [0, 0], "a stream is chosen twice"),
        (np.zeros((1, 3)), [COUNT], "there is no stream 7: they are numbered 0 to 6"),
        (np.zeros((1, 3)), [-1], "there is no stream -1"),
        (np.zeros((1, 3)), [0.5], "there is no stream 0.5"),
        (
            np.where(np.eye(COUNT, 3), np.nan, 0.0),
            None,
            "stream 0: the series: the column 'heat' has no value",
        ),
        ([[0.0] * 3] * 4 + [[np.inf] * 3] + [[0.0] * 3] * 2, None, "stream 4: .* is infinite"),
        (np.full((COUNT, 3), 1e300), None, "stream 0: the series: a value is too large for the scale"),
        (5, None, "1 pieces for 7 streams"),
        ("abcdefg", None, "7 pieces for 7 streams"),
    ],
)
def test_bad_pieces_move_no_stream(engine: Engine, pieces: Any, rows: Any, message: str) -> None:
    steps = blocks(4)
    streams, group = [engine.stream() for _ in range(COUNT)], engine.streams(COUNT)
    for block in steps:
        with pytest.raises(InputError, match=message):
            group.push(pieces, rows)
        expected = [stream.push(row) for stream, row in zip(streams, block, strict=True)]
        np.testing.assert_allclose(last(group.push(block)), last(expected), rtol=1e-5, atol=1e-6)


def test_resetting_one_of_many(engine: Engine) -> None:
    steps = blocks(6)
    group, fresh = engine.streams(COUNT), engine.streams(COUNT)
    for block in steps[:3]:
        before = last(group.push(block))
    group.reset(2)
    found, begun = last(group.push(steps[0])), last(fresh.push(steps[0]))
    np.testing.assert_allclose(found[2], begun[2], rtol=1e-5)
    assert not np.allclose(found[3], begun[3])
    group.reset()
    np.testing.assert_allclose(last(group.push(steps[0])), begun, rtol=1e-5)
    assert before.shape == (COUNT, 2)
    with refused(InputError):
        group.reset(9)


def test_states_move_between_groups_and_streams(engine: Engine, tmp_path: Path) -> None:
    steps = blocks(8)
    group = engine.streams(COUNT)
    for block in steps[:4]:
        group.push(block)
    group.save(3, tmp_path / "three")
    expected = [last(group.push(block))[3] for block in steps[4:]]
    stream, other = engine.stream(), engine.streams(2)
    stream.restore(tmp_path / "three")
    other.restore(1, stream.state())
    np.testing.assert_allclose(last([stream.push(row) for row in steps[4:, 3]]), expected, rtol=1e-5)
    found = [last(other.push(np.stack((block[0], block[3]))))[1] for block in steps[4:]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    foreign = engine_of(tmp_path / "other", case("sequence-classification")).stream()
    with refused(InputError):
        other.restore(0, foreign.state())


def changed(**changes: Any) -> Case:
    settings = dataclasses.replace(REGRESSION, **changes)
    return dataclasses.replace(case("sequence-regression"), settings=settings, raws=())


def test_gaps_in_a_group(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, changed(missing="forward"))
    steps = blocks(12)
    steps[np.random.default_rng(1).random(steps.shape) < 0.2] = np.nan
    streams, group = [engine.stream() for _ in range(COUNT)], engine.streams(COUNT)
    for block in steps:
        expected = [stream.push(row) for stream, row in zip(streams, block, strict=True)]
        np.testing.assert_allclose(last(group.push(block)), last(expected), rtol=1e-5, atol=1e-6)


def test_series_with_scales_of_their_own(tmp_path: Path) -> None:
    scale = ((1.0, 2.0, 3.0), (1.0, 2.0, 1.0), (5.0, 6.0), (7.0, 8.0))
    engine = engine_of(tmp_path, changed(per_series={"a": scale, "b": REGRESSION.scales()}))
    group = engine.streams(3, ["a", "b", "a"])
    steps = blocks(5)[:, :3]
    for block in steps:
        found = group.push(block)
    for row, name in enumerate("aba"):
        whole = engine(Series(steps[:, row], name=name)).values[-1]
        np.testing.assert_allclose(found[row].last, whole, rtol=1e-5)
    kept = group.push(steps[0])
    shown = last(kept)
    group.reset()
    np.testing.assert_array_equal(last(kept), shown)
    with refused(InputError):
        engine.streams(3, ["a"])


def test_clocks_in_a_group(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, changed(step=10.0))
    group = engine.streams(2)
    values = series_values(2)
    with refused(InputError):
        group.push(np.array([[1, 2, 3], [np.nan] * 3]))  # and this does not make them streams without times
    pieces = [Series(row[np.newaxis], FEATURES, np.array([100.0])) for row in values]
    group.push(pieces)
    with refused(InputError):
        group.push(pieces)
    with refused(InputError):
        group.push(values)
    later = [dataclasses.replace(piece, times=np.array([110.0])) for piece in pieces]
    assert len(group.push(later)) == 2


def test_forecasts_in_a_group(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, case("forecasting"))
    series = [forecast_series(6, seed) for seed in range(3)]
    group = engine.streams(3)
    for pieces in zip(*map(engine.task.pieces, series), strict=True):
        answers = group.push(list(pieces))
    assert FORECAST.forecast is not None
    for answer, whole in zip(answers, engine(series), strict=True):
        np.testing.assert_allclose(answer.values, whole.values, rtol=1e-5)
        np.testing.assert_array_equal(answer.times, whole.times)


@pytest.mark.parametrize("begin", [lambda engine: engine.streams(0), lambda engine: engine.streams(-1)])
def test_a_group_of_none(engine: Engine, begin: Callable[[Engine], Any]) -> None:
    with refused(InputError):
        begin(engine)


def test_a_large_net(tmp_path: Path) -> None:
    """Buffers of other sizes than a cache line, and many streams."""
    example = Case("sequence-regression", REGRESSION, Net(3, 33, 2, per_step=True), (), ())
    engine = engine_of(tmp_path, example)
    values = np.random.default_rng(0).normal(size=(10, 64, 3))
    group = engine.streams(64)
    for block in values:
        found = group.push(block)
    whole = engine([values[:, row] for row in range(64)])
    np.testing.assert_allclose(last(found), [answer.last for answer in whole], rtol=1e-4, atol=1e-5)
