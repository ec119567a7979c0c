"""Makes a small but real bundle: a convolutional net of three colours, written with onnx and answered by
numpy.

The net averages each channel of a 16x16 image and scores "red", "green" and "blue" by that mean.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.numpy import save

from edgewright.runtime.bundle.files import sha256_of_file
from edgewright.runtime.bundle.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Golden,
    GoldenSample,
    Manifest,
    Tolerance,
    Variant,
    manifest_to_json,
)
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import GraphSpec, Tensors, TensorSpec
from edgewright.runtime.images.encoding import ImageSettings
from edgewright.runtime.tasks.image_classification import ImageClassification

LABELS = ("red", "green", "blue")
SETTINGS = ImageSettings(16, (16, 16), "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def golden_file(outputs: Sequence[Tensors]) -> bytes:
    """The file of what torch answered to the golden samples."""
    named = {f"{index}.{name}": value for index, one in enumerate(outputs) for name, value in one.items()}
    content: bytes = save({name: np.ascontiguousarray(value) for name, value in named.items()})
    return content


def colour_weights() -> NDArray[np.float32]:
    """Convolution weights [3, 3, 3, 3]: each output channel is the blurred input channel of its place."""
    weights = np.zeros((3, 3, 3, 3), np.float32)
    for channel in range(3):
        weights[channel, channel] = np.arange(1, 10, dtype=np.float32).reshape(3, 3) / 45
    return weights


def write_graph(path: Path, weights: NDArray[np.float32] | None = None, classes: int = 3) -> None:
    """Write image [batch, 3, 16, 16] -> Conv -> Relu -> mean -> logits [batch, classes]."""
    kernel = colour_weights() if weights is None else weights
    nodes = [
        helper.make_node("Conv", ["pixel_values", "weights"], ["blurred"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["blurred"], ["kept"]),
        helper.make_node("GlobalAveragePool", ["kept"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(kernel, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def reference_logits(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the graph must answer, computed by numpy in double precision."""
    weights = colour_weights().astype(np.float64)
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    blurred = np.einsum("bchwij,ocij->bohw", windows, weights)
    result: NDArray[np.float32] = np.maximum(blurred, 0).mean(axis=(2, 3)).astype(np.float32)
    return result


def colour_image(index: int, size: tuple[int, int] = (20, 24), seed: int = 0) -> Image.Image:
    """A noisy RGB image of (height, width) `size` in which channel `index` is the brightest."""
    pixels = np.random.default_rng(seed).integers(0, 120, (*size, 3), dtype=np.uint8)
    pixels[:, :, index] += 120
    return Image.fromarray(pixels)


def make_bundle(root: Path, change: Callable[[Manifest], Manifest] = lambda manifest: manifest) -> Path:
    """Write a bundle with the variants fp32 and copy; `change` may alter the manifest before that."""
    write_graph(root / "onnx" / "model.onnx")
    write_graph(root / "onnx" / "model_copy.onnx", colour_weights() * np.float32(1.001))
    (root / "golden").mkdir()
    task = ImageClassification(to_plain(SETTINGS), LABELS)
    samples = []
    for index, label in enumerate(LABELS):
        file = f"golden/{index}.png"
        colour_image(index, seed=index).save(root / file)
        samples.append(GoldenSample(f"{label}/photo.png", file))
    encoded = task.collate([task.encode(root / sample.file) for sample in samples])
    rows = [{"logits": row} for row in reference_logits(encoded["pixel_values"])]
    (root / "golden.safetensors").write_bytes(golden_file(rows))
    manifest = Manifest(
        task="image-classification",
        model="colours",
        processor=task.processor,
        graphs={
            "model": GraphSpec(
                (TensorSpec("pixel_values", "float32", ("batch", 3, 16, 16)),),
                (TensorSpec("logits", "float32", ("batch", 3)),),
            )
        },
        labels=LABELS,
        variants=(
            Variant("fp32", {"model": "onnx/model.onnx"}, Tolerance(1e-4)),
            Variant("copy", {"model": "onnx/model_copy.onnx"}, Tolerance(1e-2)),
        ),
        default_variant="fp32",
        files=(),
        golden=Golden(tuple(samples), "golden.safetensors", (0, 1, 2)),
        verdict={},
        versions={},
        licence="Apache-2.0",
        seed=0,
    )
    return write_manifest(root, change(manifest))


def with_graph(manifest: Manifest, role: str = "model", **parts: Any) -> Manifest:
    """The manifest with other `parts` of what the graph of `role` takes and gives."""
    graph = dataclasses.replace(manifest.graphs[role], **parts)
    return dataclasses.replace(manifest, graphs={**manifest.graphs, role: graph})


def write_manifest(root: Path, manifest: Manifest) -> Path:
    """Write `manifest` into the bundle `root`, with the digests of the files that are there now."""
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)
    files = tuple(
        FileEntry(path.relative_to(root).as_posix(), sha256_of_file(path), path.stat().st_size)
        for path in paths
    )
    text = manifest_to_json(dataclasses.replace(manifest, files=files))
    (root / MANIFEST_NAME).write_bytes(text.encode("utf-8", "surrogatepass"))
    return root


def only(value: Any) -> Any:
    """The single element of a sequence."""
    (element,) = value
    return element
