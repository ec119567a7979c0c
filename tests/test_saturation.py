"""int8 on a CPU whose sums of products would saturate: emulated, for x86 with VNNI cannot show the fault."""

import ast
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgewright.exporters.graph.export import load_graph
from edgewright.exporters.precision.registry import make_variant
from edgewright.runtime import open_bundle
from edgewright.runtime.graphs import session_options
from edgewright.runtime.graphs.cpu import read_cpu
from edgewright.runtime.graphs.session_options import UNSIGNED_WEIGHTS, cpu_session, products_saturate
from edgewright.runtime.tasks.image_classification import ImageClassification
from tests.command import Shipped, environment

ROOT = Path(__file__).parent.parent
VNNI = {"avx512_vnni", "avx_vnni", "amx_int8"}

SELFTEST = """
import dataclasses, json, sys
from edgewright.runtime import Engine, selftest
from edgewright.runtime.graphs import session_options

def rows(*variants):
    found = selftest(sys.argv[1], variants, provider="cpu", threads=1)
    return {row.variant: dataclasses.asdict(row) for row in found}

def auto():
    with Engine(sys.argv[1], provider="cpu", threads=1) as engine:
        return [engine.variant, engine.proven.how]

found = {"class": session_options.cpu_class(), "saturates": session_options.products_saturate(), "first": auto()}
found["guarded"] = rows("int8-static", "int8-dynamic")
found["then"] = auto()
session_options.products_saturate = lambda: False
print(json.dumps({**found, "unguarded": rows("int8-static", "int8-dynamic")}))
"""

BARE = """
import json, sys
import numpy as np
import onnxruntime

pixels = np.load(sys.argv[1])["arr_0"]
found = {}
for path in sys.argv[2:]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found[path] = session.run(None, {session.get_inputs()[0].name: pixels})[0].tolist()
print(json.dumps(found))
"""
"""What another tool does with a bundle's graphs: no option is set."""


def emulator() -> str:
    """What runs a program on an x86 CPU of another make."""
    if platform.machine() != "x86_64":
        pytest.skip("the programs of this machine are not those of an x86 CPU")
    found = shutil.which("qemu-x86_64")
    if found is None:
        missing = "qemu-user is not installed: apt-get install qemu-user"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def emulated(program: str, *words: object, cache: str | Path = "off") -> Any:
    """What a program prints, as JSON, on a CPU without VNNI."""
    command = [emulator(), "-cpu", "Haswell", sys.executable, "-W", "ignore", "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(cache))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_int8_is_right_on_a_cpu_without_vnni(shipped: Shipped, tmp_path: Path) -> None:
    """The self-test there, with the option that guards 8 bits and without it; `auto` before it and then."""
    found = emulated(SELFTEST, shipped.bundle, cache=tmp_path / "cache")
    assert found["saturates"] and found["class"] == "x86-64 with AVX2"
    for name in ("guarded", "unguarded"):
        reasons = {variant: row["reason"] for variant, row in found[name].items()}
        assert reasons == {"int8-static": "", "int8-dynamic": ""}
    best = next(name for name in shipped.report["verdict"]["ranking"] if name.startswith("int8-"))
    assert found["first"] == ["fp32", "not"]
    assert found["then"] == [best, "measured"]  # of all others nothing is known there


def test_a_bare_session_gives_our_answers_on_a_cpu_without_vnni(shipped: Shipped, tmp_path: Path) -> None:
    """`model_quantized.onnx` does without an option; the file for VNNI does not, and has another name."""
    task = ImageClassification(open_bundle(shipped.bundle).manifest.processor, ("0", "1", "2", "3"))
    encoded = [task.encode(file) for file in sorted((shipped.bundle / "golden").glob("*.png"))]
    batch = task.collate(encoded)
    (pixels,) = batch.values()
    np.savez(tmp_path / "feeds.npz", pixels)
    graph = load_graph(shipped.run / "export" / "model.onnx")
    eight_bits = make_variant(
        graph, "int8-static-vnni", [batch], tmp_path / "model_int8_static_vnni.onnx"
    ).path
    seven_bits = make_variant(graph, "int8-static", [batch], tmp_path / "model_int8_static.onnx").path
    quantized = shipped.bundle / "onnx" / "model_quantized.onnx"
    files = (quantized, seven_bits, eight_bits)
    found = emulated(BARE, tmp_path / "feeds.npz", *files)
    apart = {}
    for file in files:
        wanted = cpu_session(file).run(None, batch)[0]
        apart[file] = np.abs(np.array(found[str(file)]) - wanted).max() / np.abs(wanted).max()
    assert apart[quantized] < 1e-4 and apart[seven_bits] < 1e-4
    assert apart[eight_bits] > 1e-2


def product_graph() -> tuple[bytes, NDArray[np.int8]]:
    """values uint8 [batch, 64] -> MatMulInteger with weights that reach as far as int8 does -> products [batch, 8]."""
    weights = np.random.default_rng(0).choice(np.array([-127, 90, 127], np.int8), (64, 8))
    weights[:, 0] = 127
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["values", "weights"], ["products"])],
        "product",
        [helper.make_tensor_value_info("values", TensorProto.UINT8, ["batch", 64])],
        [helper.make_tensor_value_info("products", TensorProto.INT32, ["batch", 8])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString(), weights


def test_products_are_exact_on_this_cpu() -> None:
    graph, weights = product_graph()
    values = np.random.default_rng(1).integers(200, 256, (5, 64), dtype=np.uint8)
    found = cpu_session(graph).run(None, {"values": values})[0]
    np.testing.assert_array_equal(found, values.astype(np.int32) @ weights.astype(np.int32))


def test_the_trial_says_what_the_flags_say() -> None:
    flags = read_cpu().flags
    if not flags or platform.machine() != "x86_64":
        assert not products_saturate() or platform.machine() in ("x86_64", "AMD64")
    else:
        assert products_saturate() == ("avx2" in flags and not flags & VNNI)


@pytest.mark.parametrize("optimise", [True, False])
def test_the_option_is_set_where_products_saturate(monkeypatch: pytest.MonkeyPatch, optimise: bool) -> None:
    monkeypatch.setattr(session_options, "products_saturate", lambda: True)
    options = session_options.session_options(optimise=optimise)
    assert options.get_session_config_entry(UNSIGNED_WEIGHTS) == "1"
    monkeypatch.setattr(session_options, "products_saturate", lambda: False)
    with pytest.raises(RuntimeError):  # it costs speed where it is of no use
        session_options.session_options(optimise=optimise).get_session_config_entry(UNSIGNED_WEIGHTS)


def test_a_build_without_integer_products_gets_what_is_right_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_options, "_PRODUCT", b"no graph")
    products_saturate.cache_clear()
    try:
        assert products_saturate()
    finally:
        products_saturate.cache_clear()


def test_every_session_is_opened_with_these_options() -> None:
    """One place makes options; beside it a provider is tried with one float, and a session is opened with options."""
    folders = (
        *(ROOT / part / "edgewright" for part in ("pipeline", "exporters", "runtime")),
        ROOT / "benchmarks",
    )
    users: dict[str, set[str]] = {"SessionOptions": set(), "InferenceSession": set()}
    for file in (file for folder in folders for file in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func).split(".")[-1]) in users:
                users[name].add(file.name)
    assert users == {
        "SessionOptions": {"session_options.py", "probe.py"},
        "InferenceSession": {"session_options.py", "probe.py", "session.py"},
    }
