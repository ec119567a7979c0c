"""A limit to the time of one run of a graph: what a graph computes, and for how long, is written by whoever made it."""

import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from edgewright.runtime.errors import InputError, MachineError
from edgewright.runtime.graphs.providers import load_onnxruntime

T = TypeVar("T")


def check_timeout(timeout: float | None) -> float | None:
    """Seconds that a run may take, None for any number. Raises `InputError` for what is no such number."""
    if timeout is None:
        return None
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not number or not 0 < timeout <= threading.TIMEOUT_MAX or math.isnan(timeout):
        raise InputError(f"timeout is {timeout!r}: give seconds above 0, or leave it out")
    return float(timeout)


def run_within(seconds: float, run: Callable[[Any], T], graph: str) -> T:
    """What `run` gives, called with options of ONNX Runtime by which it is stopped after `seconds`.

    ONNX Runtime looks at them between two operators, also of those in the body of a loop: a run ends with the operator
    that is at work. It costs a thread for each run. Raises `MachineError` for a run that was stopped, and what `run`
    raises.
    """
    options = load_onnxruntime().RunOptions()
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        options.terminate = True

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        return run(options)
    except Exception:
        if not stopped.is_set():
            raise
        raise MachineError(
            f"{graph} was stopped, it ran for more than {seconds:g} s: "
            "give it more time, a shorter input, or take another variant"
        ) from None
    finally:
        timer.cancel()
