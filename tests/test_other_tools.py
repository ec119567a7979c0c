"""What others do with the graphs of a bundle: onnx checks them, onnxruntime writes them as .ort."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgewright.runtime import Engine, open_bundle
from edgewright.runtime.graphs.session_options import session_options
from tests.command import Shipped


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8-dynamic", "int8-static"])
def test_a_graph_is_checked_and_becomes_ort(shipped: Shipped, variant: str, tmp_path: Path) -> None:
    bundle = open_bundle(shipped.bundle)
    if variant not in {one.name for one in bundle.manifest.variants}:
        rows = {row["name"]: row["reason"] for row in shipped.report["verdict"]["rows"]}
        assert rows[variant], "a variant is missing without a reason"
        return
    path = bundle.path(bundle.manifest.variant(variant).graphs["model"])
    onnx.checker.check_model(path, full_check=True)
    options = session_options(1, True)
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    there = onnxruntime.InferenceSession(tmp_path / "model.ort", providers=["CPUExecutionProvider"])
    with Engine(bundle, variant=variant, provider="cpu", threads=1, cache=False) as engine:
        raws = [bundle.path(sample.file) for sample in bundle.manifest.golden.samples]
        feeds = engine.task.collate(list(map(engine.task.encode, raws)))
        wanted = engine.infer(feeds)["logits"]
    (found,) = there.run(["logits"], feeds)
    tolerance = bundle.manifest.variant(variant).tolerance.relative
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()
