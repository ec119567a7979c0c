"""A stream used by several threads at once says so, and goes on as if nothing had been asked."""

import copy
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime import Engine, Series
from edgewright.runtime.errors import InputError
from tests.messages import refused
from tests.runtime.recurrent_bundle import case, series_values
from tests.runtime.streams.stream_helpers import engine_of


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return engine_of(tmp_path, case("sequence-regression"))


def test_calls_while_a_stream_is_at_work(engine: Engine) -> None:
    values, stream = series_values(60_000), engine.stream()
    whole: list[Any] = []
    worker = threading.Thread(target=lambda: whole.extend(stream.outputs(values)))
    worker.start()
    said = set()
    calls = [
        lambda: stream.push(values[0]),
        lambda: stream.push_all(values[:2]),
        lambda: stream.outputs(values[:2]),
        stream.reset,
        stream.state,
    ]
    done = 0
    while worker.is_alive():
        for call in calls[:1] if done else calls:
            try:
                call()
            except InputError as error:
                said.add(str(error))
        done += 1
        time.sleep(0.001)
    worker.join()
    assert len(said) == 1 and "at work in another thread" in said.pop()
    with engine.stream() as alone:
        expected = alone.outputs(values)
    np.testing.assert_array_equal(np.array(whole)[:1000], np.array(expected)[:1000])


@pytest.mark.parametrize("kind", ["stream", "group"])
def test_eight_threads_on_one_stream(engine: Engine, kind: str) -> None:
    row = series_values(1)[0]
    piece = row if kind == "stream" else np.stack((row, row))

    def state_of(one: Any) -> Any:
        return (one.state() if kind == "stream" else one.state(0)).arrays

    def begin() -> Any:
        return engine.stream() if kind == "stream" else engine.streams(2)

    shared, answered, told = begin(), [0] * 8, set()

    def work(number: int) -> None:
        for _ in range(300):
            try:
                shared.push(piece)
                answered[number] += 1
            except InputError as error:
                told.add(str(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("at work in another thread" in text for text in told)
    alone = begin()
    for _ in range(sum(answered)):
        alone.push(piece)
    for name, array in state_of(alone).items():
        np.testing.assert_array_equal(state_of(shared)[name], array, err_msg="a step was lost or made twice")


def test_a_refused_piece_gives_the_stream_free(engine: Engine) -> None:
    with engine.stream() as stream:
        for _ in range(3):
            with pytest.raises(InputError, match="values"):
                stream.push(np.zeros(9))
            with pytest.raises(InputError):
                stream.push_all("nothing")
        stream.push(series_values(1)[0])


def test_streams_are_not_copied_but_their_states_are(engine: Engine) -> None:
    values = series_values(40)
    stream, group = engine.stream(), engine.streams(3)
    for row in values[:20]:
        stream.push(row)
        group.push(np.stack([row] * 3))
    for thing in (stream, group):
        for take in (copy.copy, copy.deepcopy, pickle.dumps):
            with refused(InputError):
                take(thing)
    other = pickle.loads(pickle.dumps(engine))
    carried = pickle.loads(pickle.dumps(stream.state()))
    for state in (carried, copy.deepcopy(stream.state()), group.state(2)):
        going_on = other.stream()
        going_on.restore(state)
        for row in values[20:]:
            found = going_on.push(row)
        expected = engine(Series(values))
        np.testing.assert_allclose(found.last, expected.last, rtol=1e-5, atol=1e-5)
