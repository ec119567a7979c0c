"""How strong the tests are: small faults planted one at a time, and whether the tests nearest to each notice it.

    python -m benchmarks.mutations --count 40 --list              which faults the seed chooses
    python -m benchmarks.mutations --count 40                     plants each in a copy, and runs tests on it: an hour

Operators are swapped, constants changed, conditions negated, returned values replaced, in every room of the product in
turn. Two commits are compared on the same faults, also where a function has moved to another file:

    python -m benchmarks.mutations --shared-with ../before --write-plan plan.json
    python -m benchmarks.mutations --plan plan.json --checkout ../before --results before.json
    python -m benchmarks.mutations --plan plan.json --against before.json

A fault is caught when a test fails that passes without it; tests that fail anyway are left out. The tests are those
that import the changed module, nearest first (`benchmarks/tests_of.py`), at most --files of them and --limit seconds;
--whole runs all of the quick suite behind them. A fault that no test notices may also be one that changes nothing. Exit
status 1 where --against names a fault that was caught there and is not here.
"""

import argparse
import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.mutants import PACKAGES, Key, Mutant, choose, find_mutants, locate, planted
from benchmarks.tests_of import Imports

_IGNORED = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", "__pycache__", ".hypothesis", "runs", "bundles", "build", "dist"
)
_PYTEST = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout", "240", "--hypothesis-seed", "0")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", flags=re.MULTILINE)
_NO_TESTS = 5
"""Exit status of pytest that found none."""

CAUGHT, SURVIVED, LATE, BROKEN, LOST = "caught", "survived", "out of time", "broken before", "not found"


@dataclass(frozen=True)
class Outcome:
    """What came of one fault: one of the five words, the test that failed, seconds."""

    word: str
    test: str = ""
    seconds: float = 0.0


class Copy:
    """A copy of a checkout, where faults are planted; its packages win over the installed ones."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.checkout, self.root, self._scratch = checkout, folder / "copy", folder / "scratch"
        self._broken: set[str] = set()
        shutil.copytree(checkout, self.root, ignore=_IGNORED)
        told = self._python(60, "-c", "import edgewright.runtime as found; print(found.__file__)")
        if told is None or not Path(told[1].strip()).is_relative_to(self.root):
            raise SystemExit(f"{self.root}: the installed edgewright wins over the copy: {told}")

    @contextlib.contextmanager
    def with_fault(self, mutant: Mutant) -> Iterator[None]:
        """Plant a fault; afterwards the file is as it was. Byte code goes by whole seconds and would outlive both."""
        file = self.root / mutant.file
        before = file.read_bytes()
        try:
            self._write(file, planted(before, mutant))
            yield
        finally:
            self._write(file, before)

    def _write(self, file: Path, source: bytes) -> None:
        file.write_bytes(source)
        for stale in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            stale.unlink()

    def test(self, seconds: float, *files: str) -> tuple[int, str] | None:
        """Run pytest on `files` until one fails: exit status and what it printed, None after more than `seconds`. Tests
        that are known to fail without a fault are left out.
        """
        left_out = [word for test in sorted(self._broken) for word in ("--deselect", test)]
        return self._python(seconds, *_PYTEST, "--basetemp", str(self._scratch), *left_out, *files)

    def fails_anyway(self, test: str, seconds: float) -> bool:
        """Whether a test fails, or takes longer than `seconds`, as things stand; from then on it is left out."""
        told = self.test(seconds, test)
        if told is not None and told[0] == 0:
            return False
        self._broken.add(test)
        return True

    def _python(self, seconds: float, *words: str) -> tuple[int, str] | None:
        paths = os.pathsep.join(str(self.root / package) for package in reversed(PACKAGES))
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        process = subprocess.Popen(
            [str(self.checkout / ".venv" / "bin" / "python"), *words], cwd=self.root, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            printed = process.communicate(timeout=seconds)[0]
            return process.returncode, printed
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what its tests started
            process.wait()


def try_fault(place: Copy, mutant: Mutant, tests: Sequence[str], limit: float, whole: bool) -> Outcome:
    """Whether the tests notice a fault: the files `tests` and, with `whole`, behind them every other."""
    began = time.monotonic()
    for files in [tests, ["tests"]] if whole else [tests]:
        while files:
            with place.with_fault(mutant):
                told = place.test(limit, *files)
            seconds = time.monotonic() - began
            if told is None:
                return Outcome(LATE, seconds=seconds)
            if told[0] in (0, _NO_TESTS):
                break
            failed = _FAILED.search(told[1])
            test = failed[1] if failed is not None else files[0]
            if not place.fails_anyway(test, limit):
                return Outcome(CAUGHT, test, seconds)
            if failed is None:
                return Outcome(BROKEN, test, seconds)
    return Outcome(SURVIVED, seconds=time.monotonic() - began)


def try_all(checkout: Path, mutants: Sequence[Mutant | None], arguments: argparse.Namespace) -> list[Outcome]:
    """Try every fault, some at a time, each in a copy that no other uses; prints a line for each as it comes."""
    imports = Imports(checkout)
    places: queue.Queue[Copy] = queue.Queue()

    def one(mutant: Mutant | None) -> Outcome:
        if mutant is None:
            return Outcome(LOST)
        tests = [file.as_posix() for file in imports.nearest_tests(Path(mutant.file))[: arguments.files]]
        place = places.get()
        try:
            outcome = try_fault(place, mutant, tests, arguments.limit, arguments.whole)
        finally:
            places.put(place)
        by = f"  by {outcome.test}" if outcome.test else ""
        print(f"{outcome.word:14}{mutant}{by}  ({outcome.seconds:.0f} s)", flush=True)
        return outcome

    with tempfile.TemporaryDirectory(prefix="edgewright-mutations-") as folder:
        for number in range(arguments.jobs):
            places.put(Copy(checkout, Path(folder) / str(number)))
        with ThreadPoolExecutor(arguments.jobs) as pool:
            return list(pool.map(one, mutants))


def planned(checkout: Path, arguments: argparse.Namespace) -> tuple[list[Key], list[Mutant | None]]:
    """The faults of a plan, or those that the seed chooses, and where each stands in `checkout`."""
    mutants = find_mutants(checkout)
    if arguments.plan is not None:
        keys = [_key(row) for row in json.loads(arguments.plan.read_text(encoding="utf-8"))]
        return keys, locate(keys, mutants)
    if arguments.shared_with is not None:
        there = locate([mutant.key for mutant in mutants], find_mutants(arguments.shared_with))
        mutants = [mutant for mutant, other in zip(mutants, there, strict=True) if other is not None]
    chosen = choose(mutants, arguments.count, arguments.seed)
    return [mutant.key for mutant in chosen], list(chosen)


def _key(row: dict[str, Any]) -> Key:
    return row["function"], row["statement"], row["place"]


def _row(key: Key, **more: Any) -> dict[str, Any]:
    return {"function": key[0], "statement": key[1], "place": key[2], **more}


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def no_longer_caught(path: Path, keys: Sequence[Key], outcomes: Sequence[Outcome]) -> list[Key]:
    """The faults that were caught where the results in `path` come from, and are not here."""
    before = {_key(row) for row in json.loads(path.read_text(encoding="utf-8")) if row["outcome"] == CAUGHT}
    now = {key for key, outcome in zip(keys, outcomes, strict=True) if outcome.word == CAUGHT}
    return [key for key in keys if key in before - now]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--checkout", type=Path, default=Path(), help="default: the current folder")
    parser.add_argument(
        "--shared-with", type=Path, metavar="CHECKOUT", help="only faults that exist there too"
    )
    parser.add_argument("--plan", type=Path, metavar="FILE", help="these faults instead of a seed's")
    parser.add_argument("--write-plan", type=Path, metavar="FILE", help="write down the faults and leave")
    parser.add_argument("--list", action="store_true", help="print the faults and leave")
    parser.add_argument("--results", type=Path, metavar="FILE", help="write down what came of each")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", help="results of another checkout to compare with"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many are tried at once")
    parser.add_argument("--files", type=int, default=20, help="how many test files at most")
    parser.add_argument("--limit", type=float, default=360, help="seconds of tests for each fault")
    parser.add_argument("--whole", action="store_true", help="the quick suite too where these notice nothing")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    checkout = arguments.checkout.resolve()
    keys, mutants = planned(checkout, arguments)
    if not arguments.list and arguments.write_plan is None:
        return report(keys, mutants, try_all(checkout, mutants, arguments), arguments)
    for key, mutant in zip(keys, mutants, strict=True):
        print(f"{LOST:28}{key[0]}: {key[1]}" if mutant is None else f"{mutant.room:28}{mutant}")
    if arguments.write_plan is not None:
        rows = zip(keys, mutants, strict=True)
        _write(arguments.write_plan, [_row(key, fault=str(mutant)) for key, mutant in rows])
    return 0


def report(
    keys: Sequence[Key],
    mutants: Sequence[Mutant | None],
    outcomes: Sequence[Outcome],
    arguments: argparse.Namespace,
) -> int:
    """Count and write down what came of the faults; the exit status."""
    words = [outcome.word for outcome in outcomes]
    found = [
        f"{words.count(word)} {word}" for word in (CAUGHT, SURVIVED, LATE, BROKEN, LOST) if word in words
    ]
    print(f"{len(keys)} faults: {', '.join(found)}")
    if arguments.results is not None:
        rows = zip(keys, mutants, outcomes, strict=True)
        _write(
            arguments.results,
            [_row(key, fault=str(one), outcome=end.word, test=end.test) for key, one, end in rows],
        )
    missed = no_longer_caught(arguments.against, keys, outcomes) if arguments.against is not None else []
    for key in missed:
        print(f"no longer caught: {key[0]}: {key[1]}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
