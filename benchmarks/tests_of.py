"""Which test files can notice a change of a module: those of its room that import it, then others, the nearest first.

Read from the imports alone, wherever in a file they stand, so that it works for any arrangement of modules and tests.
Test helpers, fixtures and benchmarks cost nothing on the way; each module of the product between a test and the changed
one makes the test farther. A string that is the name of a module counts as an import of it: what is loaded by name.
"""

import ast
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from benchmarks.mutants import PACKAGES

_HELPERS = ("tests", "benchmarks", "examples")


def _mirror(room: Path) -> Path:
    """The folder of the tests of a room: "runtime/edgewright/runtime/text" to "tests/runtime/text"."""
    package, *inner = room.parts
    return Path("tests", package, *inner[2:])


class Imports:
    """The modules of one checkout and what each imports."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self.files = dict(self._modules())
        self._trees = {name: ast.parse(file.read_bytes()) for name, file in self.files.items()}
        self._imports = {name: self._imported(name) for name in self.files}
        tests = [name for name in self.files if name.rpartition(".")[2].startswith("test_")]
        self._reached = {name: self._distances(name) for name in tests}

    def _modules(self) -> Iterator[tuple[str, Path]]:
        roots = [(self.checkout / package, self.checkout / package / "edgewright") for package in PACKAGES]
        roots += [(self.checkout, self.checkout / folder) for folder in _HELPERS]
        for root, folder in roots:
            for file in sorted(folder.rglob("*.py")):
                yield ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"), file

    def nearest_tests(self, changed: Path) -> list[Path]:
        """The test files that reach the module in the file `changed`, relative to the checkout.

        Those that mirror its room come first. Of either, first those that import it themselves, then those with one
        module between, and so on; of equally near ones, the lightest.
        """
        room = _mirror(changed.parent)
        module = next(name for name, file in self.files.items() if file == self.checkout / changed)
        rows = []
        for test, distances in self._reached.items():
            if module in distances:
                file = self.files[test].relative_to(self.checkout)
                elsewhere = not file.parent.is_relative_to(room)
                rows.append((elsewhere, distances[module], len(distances), file.as_posix()))
        return [Path(name) for *_, name in sorted(rows)]

    def _distances(self, test: str) -> dict[str, int]:
        """The modules of the product that a test reaches, each with how many others lie between at least."""
        found: dict[str, int] = {}
        waiting = deque([(test, -1), *((fixture, -1) for fixture in self._fixtures(test))])
        seen: dict[str, int] = {}
        while waiting:
            name, steps = waiting.popleft()
            if seen.get(name, steps + 1) <= steps:
                continue
            seen[name] = steps
            if name.startswith("edgewright."):
                found[name] = steps
            for other in self._imports[name]:
                if other.startswith("edgewright."):
                    waiting.append((other, steps + 1))
                else:
                    waiting.appendleft((other, steps))
        return found

    def _fixtures(self, test: str) -> Iterator[str]:
        """The files of fixtures above a test, of which it names one or which work unasked."""
        words = {node.arg for node in ast.walk(self._trees[test]) if isinstance(node, ast.arg)}
        parts = test.split(".")
        for depth in range(1, len(parts)):
            name = ".".join([*parts[:depth], "conftest"])
            if name in self.files and any(one in words or unasked for one, unasked in self._defined(name)):
                yield name

    def _defined(self, conftest: str) -> Iterator[tuple[str, bool]]:
        """The fixtures of a conftest.py, and whether each works unasked."""
        for node in self._trees[conftest].body:
            if isinstance(node, ast.FunctionDef):
                marks = " ".join(ast.unparse(mark) for mark in node.decorator_list)
                if "fixture" in marks:
                    yield node.name, "autouse" in marks

    def _imported(self, name: str) -> frozenset[str]:
        return frozenset(
            other
            for node in ast.walk(self._trees[name])
            for other in self._named(node)
            if other in self.files
        ) - {name}

    def _named(self, node: ast.AST) -> Iterator[str]:
        """The modules that a node of the source may mean; not all of them exist."""
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from inner
            if not all(name in self.files for name in inner):
                yield node.module
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value.partition(":")[0]
            yield text
            yield f"{text}.__main__"
            if re.fullmatch(r"edgewright\.[\w.]+\.", text):  # the rest is put behind it
                yield from (name for name in self.files if name.rpartition(".")[0] == text[:-1])
