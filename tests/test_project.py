"""What the project promises about itself: recipes load, written commands exist, every dependency is pinned."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edgewright.pipeline.cli.main import COMMANDS, command_line
from edgewright.pipeline.recipe.load import load_recipe
from edgewright.runtime.tasks import TASKS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPES = sorted((ROOT / "examples").rglob("*.yaml"))


def requirements() -> list[Requirement]:
    """Every dependency that pyproject.toml names, of the base, of the extras and of the build."""
    project = PROJECT["project"]
    lists = [project["dependencies"], PROJECT["build-system"]["requires"]]
    lists += project["optional-dependencies"].values()
    found = [Requirement(line) for lines in lists for line in lines]
    return [
        requirement for requirement in found if requirement.name != project["name"]
    ]  # one extra inside another


def pins() -> dict[str, str]:
    """Package to exact version, of constraints.txt."""
    found: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text:
            requirement = Requirement(text)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", line
            assert requirement.url is None, line
            found[canonicalize_name(requirement.name)] = specifier.version
    return found


def blocks(kind: str) -> list[str]:
    """The fenced code blocks of the README that begin with ```kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def commands_in(text: str) -> list[list[str]]:
    """Every `edgewright ...` in a text: the lines of code blocks, and what stands between backticks."""
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))
    found = re.findall(r"^(edgewright .*)$", fenced, flags=re.MULTILINE)
    found += re.findall(r"`(edgewright [^`\n]*)`", text)
    return [shlex.split(line.replace("[", "").replace("]", ""), comments=True) for line in found]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    version = pins().get(canonicalize_name(requirement.name))
    assert version is not None, f"constraints.txt does not pin {requirement.name}"
    assert requirement.specifier.contains(version)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: str(recipe.relative_to(ROOT)))
def test_every_example_recipe_loads(recipe: Path, tmp_path: Path) -> None:
    weights = re.search(r"^weights: (\S+)", recipe.read_text(encoding="utf-8"), flags=re.MULTILINE)
    overrides = []
    if weights is not None and weights[1].endswith(".safetensors"):
        # Another example trains these weights; what counts here is the rest of the recipe.
        (tmp_path / "weights.safetensors").touch()
        overrides = [f"weights={tmp_path / 'weights.safetensors'}"]
    assert load_recipe(recipe, overrides).task in TASKS


def test_there_are_the_promised_examples() -> None:
    assert {"digits.yaml", "photos.yaml"} <= {recipe.name for recipe in RECIPES}


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_recipe_in_the_readme_loads(text: str, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.yaml").model


@pytest.mark.parametrize(
    "document", ["README.md", "CONTRIBUTING.md", "examples/photos.yaml", "examples/digits.yaml"]
)
def test_every_command_that_is_written_down_exists_with_its_options(document: str) -> None:
    for words in commands_in((ROOT / document).read_text(encoding="utf-8")):
        name = words[1] if len(words) > 1 else "--help"
        if name.startswith("-"):
            continue
        assert name in COMMANDS, words
        command = command_line.get_command(click.Context(command_line), name)
        assert command is not None
        known = {"--help"} | {option for parameter in command.params for option in parameter.opts}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, words


def test_make_targets_that_are_written_down_exist() -> None:
    targets = set(
        re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    for document in ("README.md", "CONTRIBUTING.md", ".ci/run"):
        text = (ROOT / document).read_text(encoding="utf-8")
        written = re.findall(r"(?:^|`)make ([a-z]+)", text, flags=re.MULTILINE)
        assert set(written) <= targets, document


def test_files_that_the_readme_links_to_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_warning_is_an_error() -> None:
    assert PROJECT["tool"]["pytest"]["ini_options"]["filterwarnings"][0] == "error"


def test_the_readme_is_finished() -> None:
    assert "@@" not in README and "TODO" not in README


def test_the_parity_table_has_every_torchvision_model_and_all_hold() -> None:
    from edgewright.pipeline.models.vision.torchvision_models import model_names

    lines = (ROOT / "benchmarks" / "parity.jsonl").read_text(encoding="utf-8").splitlines()
    rows = {row["model"]: row for row in map(json.loads, lines)}
    assert set(model_names()) <= set(rows)
    assert [name for name, row in rows.items() if not row["holds"]] == []
    held = re.search(r"(\d+) of (\d+) models hold", README)
    assert held is not None and held[1] == held[2] == str(len(rows))


@pytest.mark.slow
def test_the_transfer_example_runs_and_prints_its_table() -> None:
    script = ROOT / "examples" / "digits_transfer" / "run.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=1200)
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[5:8]] == [
        "from scratch", "fine-tuning", "feature extraction",
    ]  # fmt: skip


@pytest.mark.xdist_group("together")
def test_what_is_to_run_in_one_process_does(request: pytest.FixtureRequest) -> None:
    """pytest-xdist sends tests with `@group` in their name to one worker; some versions of pytest keep the name."""
    workers = "PYTEST_XDIST_WORKER" in os.environ and getattr(request.config.option, "loadgroup", False)
    assert request.node.nodeid.endswith("@together") == workers
