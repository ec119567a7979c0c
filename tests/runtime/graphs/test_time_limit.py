"""A run that does not come to an end is stopped, where there is a limit."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime import Engine, selftest
from edgewright.runtime.errors import InputError, MachineError
from edgewright.runtime.graphs.session import open_session
from edgewright.runtime.graphs.time_limit import run_within
from tests.messages import refused
from tests.runtime.loops import loop_bundle, write_loop
from tests.runtime.small_bundle import colour_image

ENDLESS = [(None, "Identity"), (1 << 60, "MatMul"), (1 << 62, "Identity")]


@pytest.mark.parametrize(("rounds", "step"), ENDLESS)
def test_a_loop_that_does_not_end_is_stopped(bundle: Path, rounds: int | None, step: str) -> None:
    before = threading.active_count()
    with Engine(loop_bundle(bundle, rounds, step), provider="cpu", threads=1, timeout=0.2) as engine:
        for raw in (colour_image(0), [colour_image(1), colour_image(2)]):
            started = time.monotonic()
            with refused(MachineError):
                engine(raw)
            assert 0.2 <= time.monotonic() - started < 5.0
    assert threading.active_count() <= before + 1


def test_the_golden_samples_are_replayed_within_a_limit(bundle: Path) -> None:
    first, second = selftest(loop_bundle(bundle, None), provider="cpu", threads=1, timeout=0.2)
    assert not first.passed and "it ran for more than 0.2 s" in first.reason
    assert second.passed


@pytest.mark.parametrize("rounds", [0, 1, 1000])
def test_a_loop_that_ends_in_time_is_left_alone(tmp_path: Path, rounds: int) -> None:
    write_loop(tmp_path / "loop.onnx", rounds)
    images = np.random.default_rng(0).normal(size=(2, 3, 16, 16)).astype(np.float32)
    for timeout in (None, 60.0):
        session = open_session(tmp_path / "loop.onnx", "cpu", 1, timeout=timeout)
        for _ in range(3):
            found = session.run({"pixel_values": images})["logits"]
            np.testing.assert_allclose(found, images.mean((2, 3)), rtol=1e-4, atol=1e-6)


def test_a_run_that_was_stopped_harms_no_other(tmp_path: Path) -> None:
    write_loop(tmp_path / "loop.onnx", None)
    endless = open_session(tmp_path / "loop.onnx", "cpu", 1, timeout=0.3)
    images = np.ones((1, 3, 16, 16), np.float32)
    started = time.monotonic()
    stopped: list[float] = []

    def run() -> None:
        try:
            endless.run({"pixel_values": images})
        except MachineError:
            stopped.append(time.monotonic() - started)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        time.sleep(0.05 * number)
    for thread in threads:
        thread.join(10)
    assert len(stopped) == 3 and all(seconds >= 0.3 for seconds in stopped)


def test_other_failures_keep_their_own_words() -> None:
    def fail(options: Any) -> None:
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"):
        run_within(60.0, fail, "model.onnx")


@pytest.mark.parametrize("timeout", [0, -1, 0.0, float("nan"), float("inf"), "2", True, 1e300])
def test_a_limit_that_is_none(bundle: Path, timeout: Any) -> None:
    with refused(InputError):
        Engine(bundle, provider="cpu", timeout=timeout)
