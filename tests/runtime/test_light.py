"""What a device must load, and what it must not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import edgewright.runtime
from tests.runtime.encoder_bundle import CASES, make_encoder_bundle
from tests.runtime.recurrent_bundle import RECURRENT, case, make_recurrent_bundle

TRAINING = (
    "torch", "torchvision", "transformers", "onnx", "onnxscript", "optimum", "accelerate", "datasets", "timm",
    "sklearn", "scipy", "pandas", "pyarrow", "librosa", "pydantic", "yaml", "rich", "click",
)  # fmt: skip


def modules_after(program: str, *arguments: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after `program`."""
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{program}\nimport sys, json\nprint(json.dumps(list(sys.modules)))",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert finished.stderr == ""
    return {name.partition(".")[0] for name in json.loads(finished.stdout)}


def test_the_import_loads_neither_training_libraries_nor_onnxruntime() -> None:
    loaded = modules_after("from edgewright.runtime import *")
    assert loaded.isdisjoint({*TRAINING, "onnxruntime", "safetensors", "soundfile", "tokenizers"})
    assert "numpy" in loaded
    assert "numpy" not in modules_after("import edgewright.runtime"), "a start need not wait for it"


def test_answering_and_the_self_test_load_no_training_library(bundle: Path) -> None:
    program = (
        "import sys\nfrom edgewright.runtime import Engine, selftest\n"
        "assert Engine(sys.argv[1])(sys.argv[1] + '/golden/1.png').label == 'green'\n"
        "assert all(row.passed for row in selftest(sys.argv[1]))"
    )
    loaded = modules_after(program, str(bundle))
    assert loaded.isdisjoint(TRAINING)
    assert "onnxruntime" in loaded


@pytest.mark.parametrize("task", RECURRENT)
def test_recurrent_bundles_load_no_training_library(tmp_path: Path, task: str) -> None:
    example = case(task)
    bundle = make_recurrent_bundle(tmp_path / "b", example)
    golden = sorted((bundle / "golden").glob("0.*"))[0]
    program = (
        "import sys, pathlib\nfrom edgewright.runtime import Engine, selftest\n"
        "engine = Engine(sys.argv[1])\nraw = pathlib.Path(sys.argv[2])\nengine(raw)\n"
        "assert all(row.passed for row in selftest(sys.argv[1]))\n"
        "if engine.manifest.streaming is not None:\n"
        "    stream = engine.stream()\n"
        "    for piece in engine.task.pieces(raw): stream.push(piece)"
    )
    loaded = modules_after(program, str(bundle), str(golden))
    assert loaded.isdisjoint(TRAINING)
    assert ("soundfile" in loaded) == (task == "audio-classification")
    assert ("tokenizers" in loaded) == (task == "text-classification")


def test_an_encoder_answers_without_transformers(tmp_path: Path) -> None:
    bundle = make_encoder_bundle(tmp_path / "encoder", CASES["one label"])
    loaded = modules_after(
        "import sys\nfrom edgewright.runtime import Engine\nEngine(sys.argv[1])('good film')", str(bundle)
    )
    assert loaded.isdisjoint({*TRAINING, "huggingface_hub"})
    assert "tokenizers" in loaded


def test_answering_needs_no_network(bundle: Path) -> None:
    program = (
        "import socket, sys\n"
        "def refuse(*arguments, **options): raise AssertionError('network')\n"
        "socket.socket = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from edgewright.runtime import Engine\n"
        "Engine(sys.argv[1])(sys.argv[1] + '/golden/1.png')"
    )
    modules_after(program, str(bundle))


def test_public_names_are_what_is_there() -> None:
    public = edgewright.runtime.__all__
    assert sorted(public) == public
    for name in public:
        assert getattr(edgewright.runtime, name).__doc__
    with pytest.raises(AttributeError):
        _ = edgewright.runtime.torch  # type: ignore[attr-defined]
