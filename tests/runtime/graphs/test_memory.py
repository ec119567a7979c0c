"""Too little memory is called that, and not a broken bundle."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgewright.runtime import Engine
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.errors import InputError, MachineError, out_of_memory
from edgewright.runtime.graphs.providers import step_failed
from edgewright.runtime.graphs.session import MOST_THREADS, open_session
from tests.command import COMMAND, environment
from tests.messages import refused
from tests.runtime.small_bundle import colour_image, write_graph, write_manifest


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose first graph has 120 MB of weights, the other one nothing to speak of."""
    from tests.runtime.small_bundle import make_bundle

    bundle = make_bundle(tmp_path_factory.mktemp("large") / "bundle")
    manifest = open_bundle(bundle).manifest
    path = bundle / "onnx" / "model.onnx"
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((30, 1000, 1000), np.float32), "more"))
    model.graph.node.append(onnx.helper.make_node("ReduceSum", ["more"], ["sum"], keepdims=0))
    model.graph.node.append(onnx.helper.make_node("Sub", ["sum", "sum"], ["nothing"]))
    model.graph.node.append(onnx.helper.make_node("Add", ["mean", "nothing"], ["mean2"]))
    model.graph.node[3].input[0] = "mean2"
    nodes = [model.graph.node[place] for place in (0, 1, 2, 4, 5, 6, 3)]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    onnx.save(model, path)
    colour_image(1).save(bundle.parent / "green.png")
    return write_manifest(bundle, manifest)


def predict(bundle: Path, megabytes: int, *arguments: str) -> "subprocess.CompletedProcess[str]":
    limit = (megabytes << 20,) * 2
    return subprocess.run(
        [*COMMAND, "predict", str(bundle), str(bundle.parent / "green.png"), "--threads", "1", *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limit),
    )


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of address space is known from Linux")
@pytest.mark.parametrize("megabytes", [170, 300, 340])
def test_an_address_space_that_is_too_small(large: Path, megabytes: int) -> None:
    done = predict(large, megabytes)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "there is not enough memory to" in done.stderr, done.stderr
    assert "fresh copy" not in done.stderr


def test_the_way_out_leads_out(large: Path) -> None:
    done = predict(large, 340, "--variant", "copy")
    assert (done.returncode, done.stderr) == (0, "") and "green" in done.stdout


@pytest.mark.parametrize("threads", [0, -1, MOST_THREADS + 1, 10**9, 2**70, True, 1.5, "4"])
def test_threads_out_of_bounds(bundle: Path, threads: Any) -> None:
    with refused(InputError):
        Engine(bundle, provider="cpu", threads=threads)


@pytest.mark.parametrize(
    "fails",
    [MemoryError, lambda: RuntimeError("can't start new thread"), lambda: RuntimeError("std::bad_alloc")],
)
def test_memory_that_runs_out_while_a_graph_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Callable[[], Exception]
) -> None:
    write_graph(tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx", "cpu", 1)

    def run(*_: Any) -> Any:
        raise fails()

    monkeypatch.setattr(session, "_run", run)
    with refused(MachineError):
        session.run({"pixel_values": np.zeros((1, 3, 16, 16), np.float32)})
    assert "not enough memory for a step" in str(step_failed(fails()))


@pytest.mark.parametrize(
    ("said", "memory"),
    [
        ("Unable to allocate 7.45 GiB for an array", True),
        (
            "[ONNXRuntimeError] : 1 : FAIL : BFCArena::AllocateRawInternal Available memory of 1 is smaller",
            True,
        ),
        ("libcudart.so: failed to map segment from shared object", True),
        ("Protobuf parsing failed", False),
        ("Load model failed: Unknown model file format version", False),
    ],
)
def test_what_counts_as_memory(said: str, memory: bool) -> None:
    assert out_of_memory(RuntimeError(said)) == memory
