"""A saved graph asks for what it uses: functions are written out, idle imports are gone."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from edgewright.exporters.graph.export import save_model
from edgewright.runtime.bundle.onnx_file import read_onnx_file


def model_with_functions(inner: str) -> onnx.ModelProto:
    """y = f(f(x)), where f calls a function of another domain, which calls `inner`."""
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("b", 1)]
    last = helper.make_function("b", "G", ["x"], ["y"], [helper.make_node(inner, ["x"], ["y"])], opset[:1])
    first = helper.make_function(
        "a", "F", ["x"], ["y"], [helper.make_node("G", ["x"], ["y"], domain="b")], opset
    )
    nodes = [
        helper.make_node("F", ["x"], ["middle"], domain="a"),
        helper.make_node("F", ["middle"], ["y"], domain="a"),
    ]
    given, found = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy")
    imports = [*opset, helper.make_opsetid("a", 1), helper.make_opsetid("ai.onnx.training", 1)]
    graph = helper.make_graph(nodes, "functions", [given], [found])
    return helper.make_model(graph, functions=[first, last], opset_imports=imports, ir_version=10)


def test_functions_are_written_out(tmp_path: Path) -> None:
    values = np.array([-0.5, 0.0, 2.0], np.float32)
    for inner, wanted in (("Exp", np.exp(np.exp(values))), ("Neg", values)):
        saved = save_model(model_with_functions(inner), tmp_path / f"{inner}.onnx", "torch.export")
        found = read_onnx_file(saved.path)
        assert found.domains == {""} and not found.functions
        assert [entry.domain for entry in onnx.load(saved.path).opset_import] == [""]
        session = onnxruntime.InferenceSession(saved.path, providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(session.run(None, {"x": values})[0], wanted, rtol=1e-6)


def test_what_a_graph_inside_uses_stays_imported(tmp_path: Path) -> None:
    inside = helper.make_graph(
        [helper.make_node("Gelu", ["x"], ["out"], domain="com.microsoft")],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [3])],
    )
    nodes = [helper.make_node("If", ["go"], ["y"], then_branch=inside, else_branch=inside)]
    graph = helper.make_graph(
        nodes,
        "inside",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [3]),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
    )
    imports = [helper.make_opsetid(name, 1) for name in ("org.pytorch.aten", "com.microsoft")]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), *imports], ir_version=10)
    saved = save_model(model, tmp_path / "model.onnx", "torch.export")
    assert [entry.domain for entry in onnx.load(saved.path).opset_import] == ["", "com.microsoft"]
