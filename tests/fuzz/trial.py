"""What a target of the fuzz is, and one case of it: what may come of it, and what is a fault."""

import os
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import click

from edgewright.runtime.errors import EdgewrightError, RecipeError

MEMORY = 512 << 20
"""Bytes that one case may add to the largest size of the process."""

_LONGEST = 20_000
"""Characters of a message that someone may still read."""


@dataclass
class Trial:
    """One case: the same `random` for the same seed, target and number; an empty folder; what is tried, in words."""

    random: Random
    folder: Path
    tried: str = ""


@dataclass(frozen=True)
class Target:
    """A part of the project that reads what others wrote.

    `prepare` makes valid inputs, once in each process; `attack` damages one and hands it over. It is right when it
    returns, or raises an `EdgewrightError` of one line or a usage error of click.
    """

    name: str
    cases: int
    prepare: Callable[[Path], Any]
    attack: Callable[[Any, Trial], object]
    seconds: float = 20.0
    """How long one case may take, a busy machine included."""


@dataclass(frozen=True)
class Fault:
    """A case that is not right; `kind` is what several cases of one fault share."""

    target: str
    case: int
    seed: int
    kind: str
    told: str = field(compare=False, default="")

    @property
    def repeat(self) -> str:
        """The command that repeats exactly this case."""
        return f"python -m tests.fuzz --target {self.target} --case {self.case} --seed {self.seed}"


class Prepared:
    """A target with its valid inputs, ready for any of its cases."""

    def __init__(self, target: Target, seed: int) -> None:
        self.target, self.seed = target, seed
        self._scratch = tempfile.TemporaryDirectory(prefix="edgewright-fuzz-")
        root = Path(self._scratch.name)
        self._state = target.prepare(_folder(root / "valid"))
        self._folder = root / "case"
        self._stderr = root / "stderr"

    def __enter__(self) -> "Prepared":
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()

    def fault_of(self, case: int) -> tuple[Fault | None, bool]:
        """What is wrong with the outcome of a case, and whether it was answered (else it was refused)."""
        trial = Trial(Random(f"{self.seed}/{self.target.name}/{case}"), _folder(self._folder))
        before = _peak()
        try:
            with _heard(self._stderr) as heard:
                kind, told, answered = _outcome(self.target, self._state, trial, heard)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        grown = _peak() - before
        if not kind and grown > MEMORY:
            kind = f"took {grown >> 20} MiB of memory"
        if not kind:
            return None, answered
        tried = f"tried: {trial.tried}\n" if trial.tried else ""
        return Fault(self.target.name, case, self.seed, kind, f"{tried}{told}"), answered


def _outcome(target: Target, state: Any, trial: Trial, heard: "_Heard") -> tuple[str, str, bool]:
    """What is wrong, in one line and at length, and whether there was an answer."""
    answered, kind, told = False, "", ""
    try:
        target.attack(state, trial)
        answered = True
    except EdgewrightError as error:
        kind = _wrong_message(error)
        told = str(error)
    except click.UsageError as error:
        told = error.format_message()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a library in Rust that panics raises no Exception
        kind = f"{type(error).__name__} in {_place(error)}"
        told = traceback.format_exc()
    if not kind and heard.warnings:
        kind = f"warns: {_first(str(heard.warnings[0].message))}"
        told = "\n".join(f"{one.filename}:{one.lineno}: {one.message}" for one in heard.warnings)
    if not kind and (written := heard.written()):
        kind, told = f"writes on stderr: {_first(written)}", written
    return kind, told, answered


def _wrong_message(error: EdgewrightError) -> str:
    text = str(error)
    if not text.strip():
        return f"{type(error).__name__} says nothing"
    if "\n" in text and not isinstance(error, RecipeError):  # which has a line for each problem
        return f"{type(error).__name__} of several lines"
    return f"{type(error).__name__} of {len(text)} characters" if len(text) > _LONGEST else ""


def _place(error: BaseException) -> str:
    """The last line of our own that the error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/edgewright/" in frame.filename] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}"


def _first(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]


class _Heard:
    """What a case warned of, and what was written on the stderr of the process, by libraries in C too."""

    def __init__(self, path: Path, caught: list[warnings.WarningMessage]) -> None:
        self._path, self.warnings = path, caught

    def written(self) -> str:
        sys.stderr.flush()
        return self._path.read_text(encoding="utf-8", errors="replace")


@contextmanager
def _heard(path: Path) -> Iterator[_Heard]:
    sys.stderr.flush()
    kept = os.dup(2)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 2)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", append=True)  # behind what hides a warning from everybody
            yield _Heard(path, caught)
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(file)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def _peak() -> int:
    """The largest size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
