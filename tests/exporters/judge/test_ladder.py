"""The blame ladder: a fault planted on each rung has to be named, with the sample and the node."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgewright.exporters.bundle.write import Candidate, write_bundle
from edgewright.exporters.judge.ladder import climb
from edgewright.exporters.reference import Samples
from edgewright.exporters.verdict import Budget, Ladder, Rung, Verdict
from edgewright.runtime.bundle.files import sha256_of_file
from edgewright.runtime.bundle.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    manifest_from_json,
    manifest_to_json,
)
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import BundleError, ProviderError
from edgewright.runtime.graphs.session import Session, open_session
from tests.exporters.trained import Trained


@pytest.fixture(scope="module")
def sound(
    trained: Trained, candidate: Candidate, verdict: Verdict, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write_bundle(tmp_path_factory.mktemp("ladder") / "bundle", candidate, verdict, trained.evaluation)


@pytest.fixture
def bundle(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def samples(trained: Trained) -> Samples:
    return trained.evaluation.take(range(0, 300, 5))


def rewrite(bundle: Path, change: Callable[[Manifest], Manifest] = lambda manifest: manifest) -> None:
    """Change the manifest and bring every digest up to date, as an honest but wrong packer would."""
    manifest = change(manifest_from_json((bundle / MANIFEST_NAME).read_bytes()))
    files = tuple(
        FileEntry(entry.path, sha256_of_file(bundle / entry.path), (bundle / entry.path).stat().st_size)
        for entry in manifest.files
    )
    (bundle / MANIFEST_NAME).write_text(manifest_to_json(dataclasses.replace(manifest, files=files)))


def first(ladder: Ladder) -> Rung:
    assert ladder.first_failed is not None, ladder
    return ladder.first_failed


def change_weights(path: Path, name: str, factor: float) -> onnx.ModelProto:
    model = onnx.load(path)
    tensor = next(entry for entry in model.graph.initializer if entry.name == name)
    value = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array((value * factor).astype(value.dtype), name))
    onnx.save(model, path)
    return model


def test_a_sound_bundle_climbs_to_the_top(
    trained: Trained, sound: Path, samples: Samples, verdict: Verdict
) -> None:
    ladder = climb(trained.reference, sound, samples, Budget(max_drop=0.05))
    assert ladder.first_failed is None and ladder.samples == 60
    names = [rung.name for rung in ladder.rungs]
    assert list(dict.fromkeys(names)) == ["encode", "export", "fusion", "precision", "provider", "decode"]
    assert [rung.figure for rung in ladder.rungs if rung.name == "encode"] == [0.0]
    for rung in ladder.rungs:
        if rung.name in ("export", "fusion"):
            assert rung.figure is not None and 0 <= rung.figure < 1e-5
    precision = {rung.variant for rung in ladder.rungs if rung.name == "precision"}
    assert precision == set(verdict.ranking) - {"fp32"}


def test_a_wrong_mean_is_named_encode(trained: Trained, bundle: Path, samples: Samples) -> None:
    def wrong_mean(manifest: Manifest) -> Manifest:
        return dataclasses.replace(manifest, processor={**manifest.processor, "mean": [0.3, 0.31, 0.3]})

    rewrite(bundle, wrong_mean)
    rung = first(climb(trained.reference, bundle, samples, Budget()))
    assert rung.name == "encode" and rung.worst_sample in samples.ids
    assert rung.figure == pytest.approx(0.01 / 0.35, rel=1e-3)


def test_a_broken_node_is_named_export(trained: Trained, bundle: Path, samples: Samples) -> None:
    change_weights(bundle / "onnx/model.onnx", "layer3.0.conv2.weight", 1.2)
    rewrite(bundle)
    rung = first(climb(trained.reference, bundle, samples, Budget()))
    assert rung.name == "export" and rung.worst_sample in samples.ids
    assert rung.node.endswith("(Conv) of layer3.0.bn2")


def test_a_fault_of_the_optimiser_is_named_fusion(
    trained: Trained, sound: Path, samples: Samples, tmp_path: Path
) -> None:
    wrong = tmp_path / "fused.onnx"
    shutil.copyfile(sound / "onnx/model.onnx", wrong)
    change_weights(wrong, "fc.weight", 1.2)

    def opener(path: Path, **how: Any) -> Session:
        return open_session(wrong if path.name == "model.onnx" and how.get("optimise", True) else path, **how)

    rung = first(climb(trained.reference, sound, samples, Budget(), opener=opener))
    assert rung.name == "fusion" and rung.worst_sample in samples.ids


def test_a_wrong_scale_is_named_precision(trained: Trained, bundle: Path, samples: Samples) -> None:
    manifest = manifest_from_json((bundle / MANIFEST_NAME).read_bytes())
    path = bundle / manifest.variant("int8-static").graphs["model"]
    model = onnx.load(path)
    quantizers = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    node = quantizers[len(quantizers) // 2]
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(0.02), scale.name))
    onnx.save(model, path)
    rewrite(bundle)
    rung = first(climb(trained.reference, bundle, samples, Budget()))
    assert (rung.name, rung.variant) == ("precision", "int8-static")
    assert rung.node and rung.worst_sample in samples.ids


class Elsewhere:
    """A session on "the other provider" whose answers are off."""

    provider = "cuda"

    def __init__(self, session: Session, off: float) -> None:
        self._session, self._off = session, off
        self.inputs, self.outputs = session.inputs, session.outputs

    def run(self, feeds: Tensors) -> Tensors:
        return {name: value * self._off for name, value in self._session.run(feeds).items()}


@pytest.mark.parametrize(("off", "name"), [(1.0, None), (4.0, "provider")])
def test_a_fault_of_the_other_provider_is_named(
    trained: Trained, sound: Path, samples: Samples, off: float, name: str | None
) -> None:
    def opener(path: Path, provider: str, **how: Any) -> Any:
        session = open_session(path, provider="cpu", **how)
        return Elsewhere(session, off) if provider == "cuda" else session

    ladder = climb(trained.reference, sound, samples, Budget(max_drop=0.05), provider="cpu", opener=opener)
    assert (None if ladder.first_failed is None else ladder.first_failed.name) == name
    assert all(rung.status != "not run" for rung in ladder.rungs)


def test_no_other_provider_is_not_a_failure(trained: Trained, sound: Path, samples: Samples) -> None:
    def opener(path: Path, provider: str, **how: Any) -> Session:
        if provider == "cuda":
            raise ProviderError("no such provider")
        return open_session(path, provider="cpu", **how)

    ladder = climb(trained.reference, sound, samples, Budget(max_drop=0.05), opener=opener)
    rungs = [rung for rung in ladder.rungs if rung.name == "provider"]
    assert ladder.first_failed is None and {rung.status for rung in rungs} == {"not run"}
    assert all("no such provider" in rung.reason for rung in rungs)


def test_swapped_labels_are_named_decode(trained: Trained, bundle: Path, samples: Samples) -> None:
    def swapped(manifest: Manifest) -> Manifest:
        labels = list(manifest.labels)
        labels[3], labels[4] = labels[4], labels[3]
        return dataclasses.replace(manifest, labels=tuple(labels))

    rewrite(bundle, swapped)
    ladder = climb(trained.reference, bundle, samples, Budget(max_drop=0.05))
    rung = first(ladder)
    assert rung.name == "decode" and rung.worst_sample in samples.ids and rung.figure is not None
    assert [entry.status for entry in ladder.rungs if entry.name != "decode"].count("failed") == 0


def test_an_altered_file_does_not_even_open(trained: Trained, bundle: Path, samples: Samples) -> None:
    change_weights(bundle / "onnx/model.onnx", "fc.weight", 1.2)
    with pytest.raises(BundleError):
        climb(trained.reference, bundle, samples, Budget())
