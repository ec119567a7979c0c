"""The house: imports go one way, no arrow runs back up, the runtime stays light, names are where they should be."""

import ast
import functools
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from edgewright.pipeline.catalog import FAMILIES, TASKS

ROOT = Path(__file__).parent.parent
SOURCES = {name: ROOT / name / "edgewright" / name for name in ("pipeline", "exporters", "runtime")}
FILES = [file for folder in SOURCES.values() for file in sorted(folder.rglob("*.py"))]

ALLOWED = {
    "pipeline": {"pipeline", "exporters", "runtime"},
    "exporters": {"exporters", "runtime"},
    "runtime": {"runtime"},
}
FLOORS = {
    "runtime": (
        "contracts hints printable telemetry", "errors", "arguments", "bundle inputs options", "graphs images tables",
        "running series text", "sound", "tasks", "streams", "engine", "self_test", "__init__",
    ),
    "exporters": (
        "__init__ distance graph part table verdict", "recording reference", "precision", "bundle", "judge",
    ),
    "pipeline": (
        "__init__ catalog progress run_dir", "recipe", "models", "data", "fitted", "families tasks", "training",
        "stages", "cli", "__main__",
    ),
    "pipeline/models": (
        "__init__ entry model pickles saved_states", "conversion conversion_child layers weights",
        "recurrent text_encoders vision",
    ),
    "pipeline/data": (
        "__init__ classes content digits samples", "drawing", "split", "files", "series sound", "text", "builtin",
        "readers", "sources",
    ),
}  # fmt: skip
"""The rooms of each part of the house, folders and loose files, from the ground floor up: nobody imports from above,
nor from another room of the same floor.
"""
HEAVY = {
    "accelerate", "datasets", "onnx", "onnxscript", "optimum", "pydantic", "rich", "scipy", "sklearn", "timm",
    "torch", "torchmetrics", "torchvision", "transformers", "yaml",
}  # fmt: skip
UNPICKLING = {"torch.load", "torch.save", "pickle.load", "pickle.dump", "joblib.load"}


@functools.cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def module_of(file: Path) -> str:
    """The dotted name by which a file of the product is imported."""
    part = file.relative_to(ROOT).parts[0]
    names = file.relative_to(ROOT / part).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


MODULES = {module_of(file): file for file in FILES}


def imported(file: Path, everywhere: bool = True) -> Iterator[str]:
    """Dotted names that `file` imports; without `everywhere`, only those imported when it is."""
    for node in ast.walk(tree_of(file)) if everywhere else iter(tree_of(file).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in MODULES else node.module or ""


def heavy(file: Path, everywhere: bool) -> set[str]:
    return {module.split(".")[0] for module in imported(file, everywhere)} & HEAVY


def test_imports_go_one_way() -> None:
    for file in FILES:
        part = file.relative_to(ROOT).parts[0]
        for module in imported(file):
            names = module.split(".")
            assert names[0] != "edgewright" or names[1] in ALLOWED[part], f"{file} imports {module}"


def test_no_arrow_runs_back_up() -> None:
    for house, floors in FLOORS.items():
        height = {room: level for level, rooms in enumerate(floors) for room in rooms.split()}
        base = SOURCES[house.split("/")[0]].joinpath(*house.split("/")[1:])
        there = {
            path.stem for path in base.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
        }
        assert there - {"__init__"} == set(height) - {"__init__"}, f"the rooms of {house} have changed"
        prefix = "edgewright." + house.replace("/", ".")
        for file in base.rglob("*.py"):
            room = file.relative_to(base).with_suffix("").parts[0]
            for module in imported(file):
                other = module.removeprefix(f"{prefix}.").split(".")[0]
                if module.startswith(f"{prefix}.") and other != room:
                    assert height[other] < height[room], f"{file} imports {module}, which is not below it"


def test_no_circle() -> None:
    arrows = {
        name: {other for other in imported(file) if other in MODULES and other != name}
        for name, file in MODULES.items()
    }
    graphlib.TopologicalSorter(arrows).prepare()


def test_what_is_light_imports_nothing_heavy() -> None:
    pipeline = SOURCES["pipeline"]
    for file in SOURCES["runtime"].rglob("*.py"):
        assert not heavy(file, everywhere=True), file
    for file in [
        *(pipeline / "cli").glob("*.py"),
        *(pipeline / "families").glob("*.py"),
        pipeline / "catalog.py",
    ]:
        assert not heavy(file, everywhere=False), file
        assert "onnxruntime" not in set(imported(file, everywhere=False)), file


def test_every_module_says_what_it_is() -> None:
    for file in FILES:
        assert ast.get_docstring(tree_of(file)), f"{file} has no docstring"
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, (
            f"{file} is long: is it still one job?"
        )


def test_no_pickle() -> None:
    child = "edgewright.pipeline.models.conversion_child"
    for name, file in MODULES.items():
        calls = {
            ast.unparse(node.func): node for node in ast.walk(tree_of(file)) if isinstance(node, ast.Call)
        }
        if name == child:  # `edgewright convert`, asked for by name, in a process of its own
            keywords = {word.arg: ast.unparse(word.value) for word in calls.pop("torch.load").keywords}
            assert keywords["weights_only"] == "True"
        assert not UNPICKLING & set(calls), file
        assert child not in imported(file), file


def test_packages_alone_say_what_is_public() -> None:
    for file in FILES:
        public = [
            node.value
            for node in tree_of(file).body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]
        assert not public or file.name == "__init__.py", f"{file} has an __all__"
        for names in map(ast.literal_eval, public):
            assert len(names) == len(set(names)), file
    assert not [name for name in SOURCES if (ROOT / name / "edgewright" / "__init__.py").exists()]


def texts_of(file: Path) -> Iterator[str]:
    """The strings of a file that are no docstrings."""
    said = {id(node.value) for node in ast.walk(tree_of(file)) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_tasks_and_families_are_asked_for_by_name_in_their_own_files_alone() -> None:
    pipeline = SOURCES["pipeline"]
    own = [
        SOURCES["runtime"] / "tasks", pipeline / "tasks", pipeline / "families", pipeline / "catalog.py",
        *(folder for folder in (pipeline / "models").iterdir() if folder.is_dir()),
    ]  # fmt: skip
    for file in FILES:
        if not any(file.is_relative_to(place) for place in own):
            names = {*TASKS, *FAMILIES} if file.is_relative_to(pipeline) else {*TASKS}
            assert not names & set(texts_of(file)), f"{file} names a task or a family"


def test_tests_mirror_the_rooms() -> None:
    for part, folder in SOURCES.items():
        for file in (ROOT / "tests" / part).rglob("test_*.py"):
            room = folder / file.parent.relative_to(ROOT / "tests" / part)
            assert (room / "__init__.py").exists(), f"{file} stands in no room of {part}"


def test_importing_the_runtime_loads_none_of_the_workstation() -> None:
    script = "import edgewright.runtime, sys, json; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {name.split(".")[0] for name in json.loads(done.stdout)} & HEAVY
