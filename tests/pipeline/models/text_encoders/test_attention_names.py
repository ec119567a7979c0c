"""A configuration names a way to compute attention: never does transformers fetch code for that."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgewright.pipeline.models.text_encoders.attention_names import check_attention
from edgewright.pipeline.models.text_encoders.build import rebuild_encoder
from edgewright.pipeline.models.text_encoders.checkpoint import open_checkpoint
from edgewright.runtime.errors import ModelError
from tests.messages import refused
from tests.pipeline.models.text_encoders.checkpoints import built, checkpoint

STUB = """
import os
from pathlib import Path

def get_kernel(*given, **more):
    with open(os.environ["KERNELS_CALLED"], "a") as file:
        file.write(repr(given) + "\\n")
    raise RuntimeError("the stub was called")

def register_kernel_mapping(*given, **more):
    pass

class _Anything:
    def __init__(self, *given, **more):
        pass
    def __call__(self, first=None, *given, **more):
        return first

def replace_kernel_forward_from_hub(*given, **more):
    pass

def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Anything
"""

SCRIPT = """
import os, sys
from pathlib import Path
from transformers import AutoConfig, AutoModel
from edgewright.pipeline.models.text_encoders.build import build_encoder
from edgewright.pipeline.models.text_encoders.checkpoint import open_checkpoint
from edgewright.pipeline.models.text_encoders.load import load_encoder
from edgewright.runtime.errors import ModelError
from edgewright.runtime.text.settings import EncoderTextSettings

record = Path(os.environ["KERNELS_CALLED"])
*folders, proof = sys.argv[1:]
for folder in folders:
    try:
        found = open_checkpoint(folder)
        settings = EncoderTextSettings(found.max_tokens, inputs=found.inputs, vocabulary=found.vocabulary)
        build_encoder("text-classification", folder, settings, 2, {})
        load_encoder(found)
        print("loaded")
    except ModelError as error:
        print("refused", error)
assert not record.exists(), record.read_text()
try:
    AutoModel.from_config(AutoConfig.from_pretrained(proof))
except Exception:
    pass
assert record.exists(), "the stub is one that transformers would have called"
"""

OTHERS: list[dict[str, Any]] = [
    {"attn_implementation": "kernels-community/flash-attn"},
    {"_attn_implementation": "somebody/kernel@main:attention"},
    {"attn_implementation": {"": "somebody/kernel", "text_config": "sdpa"}},
    {"text_config": {"attn_implementation": "somebody/kernel"}},
    {"sub": [{"deep": {"_attn_implementation_internal": "paged|somebody/kernel"}}]},
    {"experts_implementation": "somebody/experts"},
    {"attn_implementation": 7},
    {"quantization_config": {"quant_method": "mxfp4"}},
    {"use_kernels": True, "kernel_config": {"RMSNorm": "somebody/norm"}},
]
KNOWN: list[dict[str, Any]] = [
    {"attn_implementation": "eager"},
    {"attn_implementation": "sdpa"},
    {"_attn_implementation": "flash_attention_2"},
    {"attn_implementation": "flash_attention_3"},
    {"_attn_implementation_internal": "flash_attention_2"},
    {"attn_implementation": None},
]


def changed(place: Path, changes: dict[str, Any], file: str = "config.json") -> Path:
    shutil.copytree(checkpoint("bert"), place)
    path = place / file
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **changes}))
    return place


@pytest.mark.parametrize("changes", OTHERS)
def test_other_names_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with refused(ModelError):
        open_checkpoint(str(changed(tmp_path / "model", changes)))


@pytest.mark.parametrize("changes", OTHERS[1:3])
def test_other_names_for_generation(tmp_path: Path, changes: dict[str, Any]) -> None:
    with refused(ModelError):
        open_checkpoint(str(changed(tmp_path / "model", changes, "generation_config.json")))


@pytest.mark.parametrize("changes", OTHERS[:3])
def test_other_names_in_the_record_of_a_run(changes: dict[str, Any]) -> None:
    record = dict(built(checkpoint("bert"), "text-classification", 2).build)
    rebuild_encoder(record)
    with refused(ModelError):
        rebuild_encoder({**record, "config": {**record["config"], **changes}})


@pytest.mark.parametrize("changes", KNOWN)
def test_known_names_change_nothing(changes: dict[str, Any]) -> None:
    check_attention("config.json", changes)


def test_no_kernel_is_fetched(tmp_path: Path) -> None:
    stub = tmp_path / "packages"
    (stub / "kernels").mkdir(parents=True)
    (stub / "kernels" / "__init__.py").write_text(STUB)
    from transformers.utils.import_utils import KERNELS_MIN_VERSION as VERSION

    info = stub / f"kernels-{VERSION}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: kernels\nVersion: {VERSION}\n")
    (info / "RECORD").write_text("kernels/__init__.py,,\n")
    (info / "top_level.txt").write_text("kernels\n")
    cases = [*OTHERS[:5], *KNOWN]
    folders = [changed(tmp_path / str(place), changes) for place, changes in enumerate(cases)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, folders), str(folders[0])],
        env={**os.environ, "PYTHONPATH": str(stub), "KERNELS_CALLED": str(tmp_path / "called")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    assert [line.partition(" ")[0] for line in said] == ["refused"] * 5 + ["loaded"] * len(KNOWN)
