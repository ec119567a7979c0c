"""A graph made ready for the quantisers: shapes known, constants folded; however many weights it has."""

import importlib
import tempfile
from pathlib import Path
from typing import Any

import onnx
from onnx.external_data_helper import load_external_data_for_model

from edgewright.exporters.graph import export as onnx_graph


def is_large(source: Path) -> bool:
    """Whether the weights of the graph at `source` lie in a file beside it, as one message cannot hold them."""
    return source.with_name(source.name + ".data").exists()


def load_with_shapes(source: Path) -> onnx.ModelProto:
    """The graph at `source` with its weights and the shapes of its tensors, of whatever size."""
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        inferred = Path(folder) / "inferred.onnx"
        onnx.shape_inference.infer_shapes_path(str(source), str(inferred))
        model = onnx.load(inferred, load_external_data=False)
    load_external_data_for_model(model, str(source.parent))
    return model


def save_scratch(model: onnx.ModelProto, path: Path) -> None:
    """Write `model` for a moment's use, its weights beside it where they are too many; it is not to be used again."""
    # Asking the message itself for its size fails beyond 2 GiB.
    large = sum(len(tensor.raw_data) for tensor in model.graph.initializer) > onnx_graph.ONE_FILE_LIMIT
    onnx.save_model(model, path, save_as_external_data=large, location=path.name + ".data")


def preprocess(source: Path, folder: Path) -> Path:
    """A copy in `folder` after shape inference and constant folding, without which tensors of unknown shape stay fp32.

    The weights of a large graph lie beside the copy too.
    """
    # ONNX Runtime's symbolic shape inference is left out: it learns nothing that plain inference does not, and where it
    # gives up on a graph it leaves all weights in the working directory.
    quantization = importlib.import_module("onnxruntime.quantization")
    target = folder / "preprocessed.onnx"
    beside: dict[str, Any] = {}
    if is_large(source):
        beside = {
            "save_as_external_data": True,
            "all_tensors_to_one_file": True,
            "external_data_location": target.name + ".data",
        }
    quantization.quant_pre_process(source, target, skip_symbolic_shape=True, **beside)
    return target
