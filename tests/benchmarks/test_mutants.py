"""Planted faults: where they stand, how they are found again in another arrangement, and which tests are near them."""

import ast
from pathlib import Path

from benchmarks.mutants import PACKAGES, Mutant, choose, find_mutants, locate, planted
from benchmarks.tests_of import Imports

ROOT = Path(__file__).parents[2]

BEFORE = '''
"""A module."""

LIMIT = 3


def small(value: int) -> bool:
    """Not too large."""
    if value < LIMIT and value:  # a comment
        return True
    value += 1
    return value == (
        4
    )


def halves(values):
    return [value / 2 for value in values if value], f"{1 + 1}"
'''

AFTER = '''
"""The same functions elsewhere, in a class and with other comments."""


class Numbers:
    def small(self, value: int) -> bool:
        if value < LIMIT and value:
            return True
        value += 1
        return value == 4


def halves(values):
    return [value / 2 for value in values if value], f"{1 + 1}"
'''


def checkout(folder: Path, name: str, source: str) -> list[Mutant]:
    file = folder / "runtime" / "edgewright" / "runtime" / name
    file.parent.mkdir(parents=True)
    file.write_text(source)
    return find_mutants(folder)


def test_every_place_of_a_function_is_found_once(tmp_path: Path) -> None:
    found = {(one.kind, one.before, one.after) for one in checkout(tmp_path, "old.py", BEFORE)}
    assert found == {
        ("constant", "3", "4"),
        ("compare", "value < LIMIT", "(value <= LIMIT)"),
        ("condition", "value < LIMIT and value", "(value < LIMIT or value)"),
        ("condition", "value < LIMIT and value", "(not (value < LIMIT and value))"),
        ("return", "True", "(not (True))"),
        ("constant", "True", "False"),
        ("compute", "value += 1", "value -= 1"),
        ("constant", "1", "2"),
        ("return", "value == 4", "(not (value == 4))"),
        ("compare", "value == 4", "(value != 4)"),
        ("constant", "4", "5"),
        ("return", "([value / 2 for value in values if value], f'{1 + 1}')", "None"),
        ("compute", "value / 2", "(value * 2)"),
        ("constant", "2", "3"),
        ("condition", "value", "(not value)"),
    }


def test_a_planted_fault_is_a_program_and_another_one(tmp_path: Path) -> None:
    for mutant in checkout(tmp_path, "old.py", BEFORE):
        changed = planted(BEFORE.encode(), mutant).decode()
        assert ast.unparse(ast.parse(changed)) != ast.unparse(ast.parse(BEFORE)), mutant


def test_a_fault_is_found_again_where_its_function_has_moved(tmp_path: Path) -> None:
    old = checkout(tmp_path / "old", "old.py", BEFORE)
    new = checkout(tmp_path / "new", "inner/new.py", AFTER)
    found = locate([mutant.key for mutant in old], new)
    lost = [mutant for mutant, other in zip(old, found, strict=True) if other is None]
    assert [mutant.before for mutant in lost] == ["3"]
    for mutant, other in zip(old, found, strict=True):
        assert other is None or (other.before, other.after) == (mutant.before, mutant.after)
    assert {other.room for other in found if other} == {"runtime/inner"}
    assert {mutant.room for mutant in old} == {"runtime/old.py"}


def test_a_seed_chooses_the_same_faults_from_every_room() -> None:
    mutants = find_mutants(ROOT)
    chosen = choose(mutants, 40, seed=0)
    assert chosen == choose(mutants, 40, seed=0) != choose(mutants, 40, seed=1)
    rooms = {mutant.room for mutant in mutants}
    assert len({mutant.room for mutant in chosen}) == min(40, len(rooms))
    assert {mutant.file.split("/")[0] for mutant in chosen} == set(PACKAGES)
    assert len({mutant.key for mutant in chosen}) == 40


FILES = {
    "runtime/edgewright/runtime/floor.py": "",
    "runtime/edgewright/runtime/room/inner.py": "from edgewright.runtime import floor",
    "pipeline/edgewright/pipeline/by_name.py": 'name = "edgewright.runtime.room.inner:Inner"',
    "pipeline/edgewright/pipeline/cli/main.py": 'module = f"edgewright.pipeline.cli.{command}"',
    "pipeline/edgewright/pipeline/cli/fit.py": "from edgewright.pipeline import by_name",
    "pipeline/edgewright/pipeline/alone.py": "",
    "tests/conftest.py": (
        "import pytest\n\n\n@pytest.fixture\ndef cli():\n    from edgewright.pipeline.cli.main import main"
    ),
    "tests/helper.py": "from edgewright.runtime.room.inner import x",
    "tests/runtime/test_floor.py": "import edgewright.runtime.floor",
    "tests/runtime/test_both.py": "from edgewright.runtime import floor\nfrom tests import helper",
    "tests/runtime/test_inner.py": "def test():\n    from tests.helper import x",
    "tests/cli/test_fit.py": "def test(cli):\n    pass",
    "tests/cli/test_nothing.py": "",
}


def test_the_tests_that_import_a_module_come_first(tmp_path: Path) -> None:
    for name, source in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    imports = Imports(tmp_path)

    def nearest(module: str) -> list[str]:
        return [file.stem.removeprefix("test_") for file in imports.nearest_tests(Path(module))]

    assert nearest("runtime/edgewright/runtime/floor.py") == ["floor", "both", "inner", "fit"]
    assert nearest("runtime/edgewright/runtime/room/inner.py") == ["both", "inner", "fit"]
    assert nearest("pipeline/edgewright/pipeline/cli/fit.py") == ["fit"]
    assert nearest("pipeline/edgewright/pipeline/alone.py") == []
