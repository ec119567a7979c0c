"""int8 on a CPU whose sums of products would saturate: emulated, for x86 with VNNI cannot show the fault."""

import ast
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgewright.runtime.graphs import session_options
from edgewright.runtime.graphs.cpu import read_cpu
from edgewright.runtime.graphs.session_options import UNSIGNED_WEIGHTS, cpu_session, products_saturate
from tests.command import Shipped, environment

ROOT = Path(__file__).parent.parent
VNNI = {"avx512_vnni", "avx_vnni", "amx_int8"}

SELFTEST = """
import dataclasses, json, sys
from edgewright.runtime import selftest
from edgewright.runtime.graphs import session_options

def rows(*variants):
    found = selftest(sys.argv[1], variants, provider="cpu", threads=1)
    return {row.variant: dataclasses.asdict(row) for row in found}

saturates = session_options.products_saturate()
guarded = rows("int8-static", "int8-dynamic")
session_options.products_saturate = lambda: False
print(json.dumps({"saturates": saturates, "guarded": guarded, "unguarded": rows("int8-static")}))
"""


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


def test_int8_is_right_on_a_cpu_without_vnni(shipped: Shipped) -> None:
    """The self-test there, and again with the guard taken out: then it must say no."""
    words = [emulator(), "-cpu", "Haswell", sys.executable, "-W", "ignore", "-c", SELFTEST]
    done = subprocess.run(
        [*words, str(shipped.bundle)], capture_output=True, text=True, check=False, env=environment()
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["saturates"]
    assert {name: row["reason"] for name, row in found["guarded"].items()} == {
        "int8-static": "",
        "int8-dynamic": "",
    }
    row = found["unguarded"]["int8-static"]
    assert not row["passed"] and "outputs differ from torch's" in row["reason"]


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
