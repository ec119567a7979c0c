"""The house: imports go one way, the runtime stays light, names are where they should be."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = {name: ROOT / name / "edgewright" / name for name in ("pipeline", "exporters", "runtime")}
FILES = [file for folder in SOURCES.values() for file in sorted(folder.rglob("*.py"))]

ALLOWED = {
    "pipeline": {"pipeline", "exporters", "runtime"},
    "exporters": {"exporters", "runtime"},
    "runtime": {"runtime"},
}
HEAVY = {
    "accelerate", "datasets", "onnx", "onnxscript", "optimum", "pydantic", "rich", "scipy", "sklearn", "timm",
    "torch", "torchmetrics", "torchvision", "transformers", "yaml",
}  # fmt: skip


def imported_modules(file: Path, everywhere: bool) -> Iterator[str]:
    """Dotted names that `file` imports; without `everywhere`, only those imported when it is."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_one_way(file: Path) -> None:
    part = file.relative_to(ROOT).parts[0]
    for module in imported_modules(file, everywhere=True):
        names = module.split(".")
        if names[0] == "edgewright":
            assert names[1] in ALLOWED[part], f"{file} imports {module}"


@pytest.mark.parametrize(
    "file", [file for file in FILES if "runtime" in file.parts], ids=lambda file: file.name
)
def test_the_runtime_imports_nothing_heavy_anywhere(file: Path) -> None:
    for module in imported_modules(file, everywhere=True):
        assert module.split(".")[0] not in HEAVY, f"{file} imports {module}"


@pytest.mark.parametrize(
    "file", sorted((SOURCES["pipeline"] / "cli").glob("*.py")), ids=lambda file: file.name
)
def test_the_command_line_imports_nothing_heavy_up_front(file: Path) -> None:
    for module in imported_modules(file, everywhere=False):
        assert module.split(".")[0] not in HEAVY | {"onnxruntime"}, f"{file} imports {module}"


def test_there_is_no_init_in_the_namespace() -> None:
    assert not [name for name in SOURCES if (ROOT / name / "edgewright" / "__init__.py").exists()]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_module_says_what_it_is(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{file} has no docstring"
    assert len(text.splitlines()) <= 400, f"{file} is long: is it still one job?"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_pickle(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    calls = {ast.unparse(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if file.name == "conversion_child.py":  # `edgewright convert`, asked for by name, in a process of its own
        keywords = {word.arg: ast.unparse(word.value) for word in calls.pop("torch.load").keywords}
        assert keywords["weights_only"] == "True"
    assert not {"torch.load", "torch.save", "pickle.load", "pickle.dump", "joblib.load"} & set(calls)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nobody_imports_the_process_that_reads_pickles(file: Path) -> None:
    assert "edgewright.pipeline.models.conversion_child" not in imported_modules(file, everywhere=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_exported_names_exist(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    exported: list[str] = []
    defined: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            defined.update(names)
            if names == ["__all__"]:
                exported = [ast.literal_eval(element) for element in node.value.elts]  # type: ignore[attr-defined]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            defined.add(node.target.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defined.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.If):
            defined.update(
                name.id for inner in ast.walk(node) if isinstance(inner, ast.Assign)
                for name in inner.targets if isinstance(name, ast.Name)
            )  # fmt: skip
    if "__getattr__" not in defined:
        assert set(exported) <= defined, f"{file}: {set(exported) - defined}"
    assert len(exported) == len(set(exported))


def loaded_modules(code: str) -> set[str]:
    """Top-level names of the modules a fresh interpreter holds after `code`."""
    script = (
        f"{code}\nimport sys, json\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_runtime_loads_none_of_the_workstation() -> None:
    assert not loaded_modules("import edgewright.runtime") & HEAVY
