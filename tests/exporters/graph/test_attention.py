"""Attention without what a device need not compute: the same answers from fewer nodes, other forms left alone."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgewright.exporters.graph import transformers as encoders
from edgewright.exporters.graph.attention import simplify_attention
from edgewright.exporters.graph.transformers import encoder_batch
from tests.exporters.graph.test_transformers import EXAMPLE, INPUTS, LONGEST, Tiny, export

LAYERS = 1


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """A BERT of one layer as the exporter writes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoders, "simplify_attention", lambda model: model)
        path = export(Tiny("mean").eval(), tmp_path_factory.mktemp("written") / "model.onnx").path
    return onnx.load(path)


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(model.SerializeToString())


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def answers(model: onnx.ModelProto, batch: int, time: int) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = encoder_batch(EXAMPLE, INPUTS, batch, time)
    found: np.ndarray = session.run(
        None, {name: one.numpy() for name, one in zip(INPUTS, given, strict=True)}
    )[0]
    return found


def test_fewer_nodes_give_the_same_answers(written: onnx.ModelProto) -> None:
    made = simplify_attention(copy_of(written))
    onnx.checker.check_model(made, full_check=True)
    gone = kinds(written) - kinds(made)
    assert (gone["Where"], gone["Transpose"], gone["Mul"], gone["Reshape"]) == (
        LAYERS, LAYERS, LAYERS, 2 * LAYERS
    )  # fmt: skip
    assert not kinds(made) - kinds(written)
    for batch, time in ((1, 1), (1, 9), (2, LONGEST), (7, 20)):
        wanted = answers(written, batch, time)
        assert np.abs(answers(made, batch, time) - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_what_is_simple_stays(written: onnx.ModelProto) -> None:
    made = simplify_attention(copy_of(written))
    assert simplify_attention(copy_of(made)).SerializeToString() == made.SerializeToString()


def other_guard(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "Less":
            node.op_type = "Greater"


def other_scale_of_keys(model: onnx.ModelProto) -> None:
    factor = next(
        tensor for tensor in model.graph.initializer if tensor.name == scale_of_keys(model)[0].input[1]
    )
    model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(factor) * 2, "other"))
    for node in scale_of_keys(model):
        node.input[1] = "other"


def other_order_of_keys(model: onnx.ModelProto) -> None:
    makers = {output: node for node in model.graph.node for output in node.output}
    for node in scale_of_keys(model):
        back = makers[node.input[0]]
        parts = makers[back.input[1]]
        parts.input[0], parts.input[1] = parts.input[1], parts.input[0]


def scale_of_keys(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    makers = {output: node for node in model.graph.node for output in node.output}
    found = []
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in makers:
            maker = makers[node.input[1]]
            found += [maker] if maker.op_type == "Mul" else []
    assert len(found) == LAYERS
    return found


@pytest.mark.parametrize(
    ("alter", "kept"),
    [(other_guard, "Where"), (other_scale_of_keys, "Transpose"), (other_order_of_keys, "Transpose")],
)
def test_what_only_looks_alike_is_left_alone(
    written: onnx.ModelProto, alter: Callable[[onnx.ModelProto], None], kept: str
) -> None:
    altered = copy_of(written)
    alter(altered)
    assert kinds(simplify_attention(copy_of(altered)))[kept] == kinds(altered)[kept]


def test_the_export_is_simple_already(tmp_path: Path) -> None:
    made = onnx.load(export(Tiny("tokens").eval(), tmp_path / "model.onnx").path)
    assert "Where" not in kinds(made)
