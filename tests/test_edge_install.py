"""A device: the wheel in a bare environment, with ONNX Runtime and without, and never with torch."""

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgewright.runtime import open_bundle
from tests.command import Answer, Shipped, environment

pytestmark = pytest.mark.xdist_group("edge-install")

ROOT = Path(__file__).parent.parent
WORKSTATION = (
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "transformers",
    "timm",
    "sklearn",
    "scipy",
    "pydantic",
)


@dataclass(frozen=True)
class Device:
    """An environment with nothing in it but the wheel and what the wheel asks for."""

    folder: Path

    def run(self, program: str, *arguments: object) -> Answer:
        """Run a program of this environment, away from the checkout."""
        variables = {name: value for name, value in environment().items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            [str(self.folder / "bin" / program), *map(str, arguments)],
            capture_output=True, text=True, check=False, cwd=self.folder, env=variables,
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)


def uv() -> str | None:
    """The installer that belongs to this environment, or the one on the path."""
    return shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")


def run(*words: object) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def install(folder: Path, *requirements: str) -> Device:
    """Make an environment and install into it, in the versions of constraints.txt, from the machine's own index."""
    python = folder / "bin" / "python"
    requirements = ("--constraint", str(ROOT / "constraints.txt"), *requirements)
    if (tool := uv()) is not None:
        run(tool, "venv", "--quiet", "--python", sys.executable, folder)
        run(tool, "pip", "install", "--quiet", "--python", python, *requirements)
    else:
        run(sys.executable, "-m", "venv", folder)
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
    return Device(folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (found,) = folder.glob("edgewright-*.whl")
    return found


@pytest.fixture(scope="module")
def device(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Device:
    return install(tmp_path_factory.mktemp("device") / "env", f"{wheel}[cpu]")


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Device:
    return install(tmp_path_factory.mktemp("bare") / "env", str(wheel))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
    version = wheel.name.split("-")[1]
    assert {name.split("/")[0] for name in names} == {"edgewright", f"edgewright-{version}.dist-info"}
    assert {name.split("/")[1] for name in names if name.startswith("edgewright/")} == {
        "pipeline", "exporters", "runtime",
    }  # fmt: skip
    assert "edgewright/__init__.py" not in names
    sources = {
        file.relative_to(ROOT / part).as_posix()
        for part in ("pipeline", "exporters", "runtime")
        for file in (ROOT / part / "edgewright").rglob("*.py")
    }
    assert sources <= set(names)


def test_the_device_has_nothing_of_the_workstation(device: Device) -> None:
    program = f"import importlib.util; print([n for n in {WORKSTATION} if importlib.util.find_spec(n)])"
    assert device.run("python", "-c", program) == Answer(0, "[]\n", "")
    place = device.run("python", "-c", "import edgewright.runtime as r; print(r.__file__)").out
    assert place.startswith(str(device.folder))


def test_the_device_predicts_as_the_workstation(device: Device, shipped: Shipped) -> None:
    manifest = open_bundle(shipped.bundle).manifest
    answer = device.run("edgewright", "predict", shipped.bundle, shipped.bundle / "golden", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["variant"] == manifest.default_variant
    assert [entry["labels"][0]["label"] for entry in answer.json["answers"]] == [
        manifest.labels[decision] for decision in manifest.golden.decisions
    ]


def test_the_device_says_yes_to_a_good_bundle(device: Device, shipped: Shipped) -> None:
    answer = device.run("edgewright", "verify", shipped.bundle)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == "yes: this device gives torch's answers"


def test_the_device_benches_and_looks_at_itself(device: Device, shipped: Shipped) -> None:
    answer = device.run("edgewright", "bench", shipped.bundle, "--seconds", 0.1, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert len(answer.json) == 4
    found = device.run("edgewright", "doctor", "--no-hub", "--json")
    assert found.json["versions"]["torch"] is None
    assert any("edgewright[train]" in advice for advice in found.json["advice"])


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "recipe.yaml", "--out", "run"),
        ("ship", "recipe.yaml", "--out", "bundle"),
        ("export", "run", "--out", "bundle"),
        ("models",),
        ("layers", "resnet18"),
    ],
)
def test_the_device_says_what_the_workstation_s_commands_need(device: Device, words: tuple[str, ...]) -> None:
    line = device.run("edgewright", *words).error()
    assert "pip install 'edgewright[train]'" in line


def test_the_device_cannot_climb_the_ladder_and_says_so(device: Device, shipped: Shipped) -> None:
    for command in ("verify", "bench"):
        words = (command, shipped.bundle, "--against", shipped.run)
        assert "pip install 'edgewright[train]'" in device.run("edgewright", *words).error()


def test_help_works_on_the_device(device: Device) -> None:
    for name in ("ship", "fit", "export", "verify", "predict", "bench", "models", "layers", "doctor"):
        answer = device.run("edgewright", name, "--help")
        assert (answer.code, answer.err) == (0, "")
        assert answer.out.startswith(f"Usage: edgewright {name}")


def test_without_onnxruntime_it_names_both_extras(bare: Device, shipped: Shipped) -> None:
    for words in (("predict", shipped.bundle, shipped.bundle / "golden"), ("verify", shipped.bundle)):
        line = bare.run("edgewright", *words).error()
        assert "edgewright[cpu]" in line
        assert "edgewright[gpu]" in line
    line = bare.run("edgewright", "bench", shipped.bundle, "--seconds", 0.1).error()
    assert "edgewright[cpu]" in line


def test_without_onnxruntime_the_doctor_says_so(bare: Device) -> None:
    found = json.loads(bare.run("edgewright", "doctor", "--no-hub", "--json").out)
    assert not any(provider["starts"] for provider in found["providers"])
    assert any("edgewright[cpu]" in advice for advice in found["advice"])
