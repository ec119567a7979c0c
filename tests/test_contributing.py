"""CONTRIBUTING is true: what it names is there, and who follows its steps to a task and a family has one that ships."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgewright.runtime.tasks.base import Task
from tests.command import environment

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGES = ("runtime", "exporters", "pipeline")
BASES = (
    ROOT,
    *(ROOT / name / "edgewright" / name for name in PACKAGES),
    ROOT / "tests" / "pipeline" / "families",
)

LABEL = re.compile(r"`([A-Z_]{4,}|[A-Z][A-Za-z]+)` (?:\(|of (?:the `Library` protocol \()?)`([\w/]+\.py)`")
"""A name, and the module that it is in: "`CELLS` of `models/recurrent/network.py`", "`Family` (`families/base.py`)"."""


def section(title: str) -> str:
    """The text below a heading."""
    return TEXT.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def found(path: str) -> Path | None:
    """The file or folder that a page calls `path`."""
    return next((base / path for base in BASES if (base / path).exists()), None)


def test_every_path_is_there() -> None:
    named = [word for word in re.findall(r"`([^`\n]+)`", TEXT) if re.fullmatch(r"[\w./-]+(\.\w+|/)", word)]
    assert len(named) > 30
    assert [word for word in named if "/" in word and found(word) is None] == []


def test_every_name_is_where_it_is_said_to_be() -> None:
    pairs = LABEL.findall(TEXT)
    assert len(pairs) >= 8
    for name, path in pairs:
        file = found(path)
        assert file is not None, path
        relative = file.relative_to(
            next(ROOT / package for package in PACKAGES if (ROOT / package) in file.parents)
        )
        module = importlib.import_module(relative.with_suffix("").as_posix().replace("/", "."))
        assert hasattr(module, name), f"{path} has no {name}"


def test_every_method_of_a_device_task_is_named() -> None:
    methods = [name for name in vars(Task) if not name.startswith("_")]
    assert [name for name in methods if f"`{name}`" not in section("Add a task")] == []


DEVICE = """
from edgewright.runtime.tasks.image_classification import ImageClassification


class MoodClassification(ImageClassification):
    name = "mood-classification"
"""
TRAINING = """
from dataclasses import dataclass

from edgewright.pipeline.tasks.image_classification import ImageClassification, options


@dataclass(frozen=True)
class MoodClassification(ImageClassification):
    name: str = "mood-classification"


make = MoodClassification
"""
RECIPE = """\
task: mood-classification
model: toy-linear
data: {source: "builtin:digits", classes: [0, 1, 2], train_per_class: 40}
training: {epochs: 4, batch_size: 32, lr: 2e-2}
variants: [fp32]
"""


def template(title: str, word: str) -> list[str]:
    """The files that a section says to write, with `word` for what stands in angle brackets."""
    paths = re.findall(r"`([\w/]+)/<(?:task|family)>\.py`", section(title))
    return [f"{path}/{word}.py" for path in paths]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the product."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def enter(file: Path, table: str, entry: str) -> None:
    """Write an entry into a table of the catalogue."""
    text = file.read_text(encoding="utf-8")
    begin = re.search(rf"^{table}: [^\n]*= {{\n", text, flags=re.MULTILINE)
    assert begin is not None, f"{file} has no {table}"
    file.write_text(f"{text[: begin.end()]}    {entry}\n{text[begin.end() :]}", encoding="utf-8")


def test_the_steps_to_a_task_and_a_family_end_in_a_bundle_that_answers(house: Path) -> None:
    device, training = template("Add a task", "mood_classification")
    (house / device).write_text(DEVICE, encoding="utf-8")
    (house / training).write_text(TRAINING, encoding="utf-8")
    (family,) = template("Add a family of models", "toy_family")
    shutil.copy(ROOT / "tests" / "pipeline" / "families" / "toy_family.py", house / family)
    catalogue = house / "pipeline" / "edgewright" / "pipeline" / "catalog.py"
    enter(catalogue, "FAMILIES", '"toy": "edgewright.pipeline.families.toy_family:ToyFamily",')
    enter(
        catalogue,
        "TASKS",
        '"mood-classification": TaskSpec(f"{_TASKS}.mood_classification", f"{_READERS}:IMAGES", '
        '{"toy": FamilyTask()}, _CLASSIFICATION, frozenset({"input"}), _FILE | _CLASSES, ("digits",)),',
    )
    enter(
        house / "runtime" / "edgewright" / "runtime" / "tasks" / "__init__.py",
        "TASKS",
        '"mood-classification": "edgewright.runtime.tasks.mood_classification:MoodClassification",',
    )
    (house / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    paths = os.pathsep.join(str(house / package) for package in PACKAGES)
    program = (
        "import sys, edgewright.pipeline as one\n"
        f"assert one.__file__.startswith({str(house)!r})\n"
        "from edgewright.pipeline.cli.main import main\n"
        "main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "ship", "recipe.yaml", "--out", "bundle", "--json"],
        cwd=house, env=environment(PYTHONPATH=paths), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"]["rows"][0]["status"] == "PASS"
    answered = subprocess.run(
        [sys.executable, "-c", program, "predict", "bundle", "bundle/golden/0.png", "--json"],
        cwd=house, env=environment(PYTHONPATH=paths), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout)["answers"][0]["labels"][0]["label"] in {"0", "1", "2"}
