"""Targets with faults of every kind, and some without: does the fuzz see what it is there for?"""

import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import click

from edgewright.runtime.errors import InputError, RecipeError
from tests.fuzz.trial import MEMORY, Target, Trial


def _raise(error: Exception) -> object:
    raise error


def _fills_memory() -> object:
    return len(bytearray(b"x" * (MEMORY * 2)))


def _sometimes(trial: Trial) -> object:
    number = trial.random.randrange(10)
    trial.tried = f"the number {number}"
    assert number != 7, "seven"
    return number


RIGHT: dict[str, Callable[[], object]] = {
    "answers": lambda: 3,
    "refuses": lambda: _raise(InputError("it is none: give one")),
    "names-every-problem": lambda: _raise(RecipeError("one\ntwo")),
    "wrong-usage": lambda: _raise(click.UsageError("no such option")),
}
WRONG: dict[str, tuple[str, Callable[[], object]]] = {
    "uncaught": ("ValueError in planted.py", lambda: _raise(ValueError("uncaught"))),
    "several-lines": ("InputError says nothing", lambda: _raise(InputError(" "))),
    "warns": ("warns: careful", lambda: warnings.warn("careful", stacklevel=1)),
    "prints": ("writes on stderr: a library in C", lambda: os.write(2, b"a library in C\n")),
    "hangs": ("hangs", lambda: time.sleep(600)),
    "crashes": ("ends the process (SIGABRT)", os.abort),
    "leaves": ("ends the process (exit status 3)", lambda: os._exit(3)),
    "grows": ("MiB of memory", _fills_memory),
    "grows-beyond": ("MemoryError in planted.py", lambda: bytearray(1 << 40)),
}


def _target(name: str, call: Callable[[], object]) -> Target:
    def attack(state: Any, trial: Trial) -> object:
        return call()

    return Target(name, 3, lambda folder: None, attack, 1.0 if name == "hangs" else 60.0)


TARGETS = (
    *(_target(name, call) for name, call in RIGHT.items()),
    *(_target(name, call) for name, (_, call) in WRONG.items()),
    Target("sometimes", 200, lambda folder: None, lambda state, trial: _sometimes(trial)),
)
