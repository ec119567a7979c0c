"""States of streams: saved, restored elsewhere, and refused where they do not belong."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from edgewright.runtime import Engine, Series
from edgewright.runtime.errors import InputError
from tests.messages import refused
from tests.runtime.recurrent_bundle import REGRESSION, STREAMING, case, series_values, sound
from tests.runtime.recurrent_graphs import Net
from tests.runtime.streams.stream_helpers import (
    engine_of,
    regression_with,
    scaled_engine,
    timed,
    with_settings,
)


@pytest.fixture
def regression(tmp_path: Path) -> Engine:
    return engine_of(tmp_path, case("sequence-regression"))


@pytest.mark.parametrize("task", STREAMING)
def test_a_saved_state_goes_on_anywhere(tmp_path: Path, task: str) -> None:
    example = case(task)
    raw = (sound(5000), 8000) if task == "audio-classification" else example.raws[0]
    engine = engine_of(tmp_path, example)
    pieces = list(engine.task.pieces(raw))
    half = len(pieces) // 2
    with engine.stream() as stream:
        for piece in pieces[:half]:
            stream.push(piece)
        stream.save(tmp_path / "state")
        kept = stream.state()
        expected = [stream.push(piece) for piece in pieces[half:]]
    other = Engine(tmp_path / task, provider="cpu").stream()
    other.push(pieces[0])
    group = engine.streams(3)
    for restore in (str(tmp_path / "state"), tmp_path / "state", kept):
        other.restore(restore)
        assert [other.push(piece) for piece in pieces[half:]] == expected
        group.restore(1, restore)
        found = [group.push([piece], [1])[0] for piece in pieces[half:]]
        assert [answer.line() if answer else None for answer in found] == [
            answer.line() if answer else None for answer in expected
        ]


def test_a_state_keeps_the_clock_and_the_gaps(tmp_path: Path) -> None:
    engine = regression_with(tmp_path, step=10.0, irregular="resample", missing="forward")
    times = 1e9 + np.cumsum(np.random.default_rng(3).uniform(0.5, 35.0, 30))
    values = series_values(30)
    values[14:17, 1] = np.nan
    expected = engine(timed(values, times)).values
    first, second = engine.stream(), engine.stream()
    begun = first.push_all(timed(values[:15], times[:15]))
    first.save(tmp_path / "state")
    second.restore(tmp_path / "state")
    found = begun + second.push_all(timed(values[15:], times[15:]))
    np.testing.assert_allclose([answer.last for answer in found], expected, rtol=1e-5)


def test_a_state_keeps_the_series(tmp_path: Path) -> None:
    engine = scaled_engine(tmp_path)
    values = series_values(4)
    expected = engine(Series(values, name="a")).values
    first = engine.stream("a")
    first.push(values[:2])
    first.save(tmp_path / "state")
    second = engine.stream()
    second.restore(tmp_path / "state")
    np.testing.assert_allclose(second.push(values[2:]).last, expected[-1], rtol=1e-5)
    with refused(InputError):
        engine.stream("b").restore(tmp_path / "state")


def test_states_of_others(tmp_path: Path) -> None:
    mine = engine_of(tmp_path / "mine", case("sequence-regression"))
    values = series_values(4)
    expected = mine(values).values
    stream = mine.stream()
    stream.push(values[:2])
    other_net = dataclasses.replace(case("sequence-regression"), net=Net(3, 8, 2, per_step=True, seed=1))
    other_scale = with_settings("sequence-regression", dataclasses.replace(REGRESSION, mean=(0.0, 0.0, 0.0)))
    others = (other_net, other_scale, case("sequence-classification"))
    for number, example in enumerate(others):
        foreign = engine_of(tmp_path / str(number), example).stream()
        foreign.push(values[:1])
        with refused(InputError):
            stream.restore(foreign.state())
        foreign.save(tmp_path / "foreign")
        with refused(InputError):
            stream.restore(tmp_path / "foreign")
    np.testing.assert_allclose(stream.push(values[2:]).last, expected[-1], rtol=1e-5)


def test_states_that_are_damaged(regression: Engine, tmp_path: Path) -> None:
    values = series_values(4)
    expected = regression(values).values
    stream = regression.stream()
    stream.push(values[:2])
    stream.save(tmp_path / "state")
    good = (tmp_path / "state").read_bytes()
    (tmp_path / "folder").mkdir()
    save_file({"state_0": np.zeros(3)}, tmp_path / "weights")
    for content, name, message in (
        (b"", "empty", "is not the state of a stream"),
        (b"no state", "text", "is not the state of a stream"),
        (b"\xff" * 100, "bytes", "is not the state of a stream"),
        (good[:-1], "cut", "is not the state of a stream"),
        (None, "weights", "is not the state of a stream"),
        (None, "folder", "is a folder: give the state of a stream"),
        (None, "nowhere", "does not exist"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            stream.restore(tmp_path / name)
    state = stream.state()
    for name, array, message in (
        ("state_0", np.zeros((1, 9), np.float32), "does not fit this stream"),
        ("state_0", np.zeros((1, 8), np.float64), "does not fit this stream"),
        ("state_1", np.full((1, 8), np.nan, np.float32), "holds NaN or infinity"),
        ("front.steps", np.array([-1, 0]), "is damaged"),
        ("more", np.zeros(1), "does not fit this stream"),
    ):
        changed = dataclasses.replace(state, arrays={**state.arrays, name: array})
        with pytest.raises(InputError, match=message):
            stream.restore(changed)
    np.testing.assert_allclose(stream.push(values[2:]).last, expected[-1], rtol=1e-5)
    assert set(load_file(tmp_path / "state")) == set(state.arrays)
