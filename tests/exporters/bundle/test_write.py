"""The bundle that is written: opens, answers, repeats byte for byte, and never holds what did not pass."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from edgewright.exporters.bundle.write import Candidate, write_bundle
from edgewright.exporters.graph import export as onnx_graph
from edgewright.exporters.graph.export import save_model
from edgewright.exporters.reference import Samples
from edgewright.exporters.verdict import FAIL, Verdict, verdict_from_json, verdict_to_json
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import ExportError, MachineError
from edgewright.runtime.self_test import selftest
from tests.exporters.trained import LABELS, Trained, golden_outputs
from tests.messages import refused


@pytest.fixture(scope="module")
def bundle(
    trained: Trained, candidate: Candidate, verdict: Verdict, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "bundle", candidate, verdict, trained.evaluation)


def test_it_opens_and_passes_its_own_self_test(bundle: Path, verdict: Verdict) -> None:
    opened = open_bundle(bundle)
    assert {entry.name for entry in opened.manifest.variants} == set(verdict.ranking)
    assert opened.manifest.default_variant == verdict.ships
    rows = selftest(opened, provider="cpu")
    assert [row.reason for row in rows if not row.passed] == []
    assert all(row.samples == 8 for row in rows)


def test_the_manifest_tells_all_rows(bundle: Path, verdict: Verdict) -> None:
    found = json.loads((bundle / "edgewright.json").read_text())["verdict"]
    assert [row["name"] for row in found["rows"]] == [row.name for row in verdict.rows]
    assert found["ships"] == verdict.ships and found["ladder"]["rungs"]


def test_the_engine_gives_the_answers_of_torch(bundle: Path, trained: Trained) -> None:
    engine = Engine(bundle, variant="fp32", provider="cpu", cache=False)
    raws = list(trained.evaluation.raws[:20])
    task, encoded = trained.reference.task, [trained.reference.task.encode(raw) for raw in raws]
    outputs = task.run(encoded, trained.reference.graphs)
    wanted = [answer.label for answer in map(task.decode, outputs, encoded)]
    assert [answer.label for answer in engine(raws)] == wanted
    assert set(wanted) <= set(LABELS)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_two_packs_of_a_stored_verdict_are_byte_identical(
    bundle: Path, trained: Trained, candidate: Candidate, verdict: Verdict, tmp_path: Path
) -> None:
    stored = verdict_from_json(verdict_to_json(verdict))
    again = write_bundle(tmp_path / "elsewhere", candidate, stored, trained.evaluation)
    assert contents(bundle) == contents(again)


def test_golden_samples_are_spread_and_clear(trained: Trained, verdict: Verdict) -> None:
    assert len(verdict.golden.ids) == len(set(verdict.golden.ids)) == 8
    assert len(set(verdict.golden.decisions)) >= 7
    logits = np.sort([outputs["logits"] for outputs in golden_outputs(verdict.golden)], axis=1)
    assert (logits[:, -1] - logits[:, -2]).min() > 0.02 * np.abs(logits).max()
    assert verdict.golden.tolerances["fp32"].relative == pytest.approx(1e-4)


def test_what_other_tools_read(bundle: Path) -> None:
    config = json.loads((bundle / "config.json").read_text())
    assert config["id2label"] == {str(index): label for index, label in enumerate(LABELS)}
    processor = json.loads((bundle / "preprocessor_config.json").read_text())
    assert processor["image_mean"] == [0.3, 0.3, 0.3] and processor["size"] == {"shortest_edge": 32}
    card = (bundle / "README.md").read_text()
    assert card.startswith('---\nlicense: "bsd-3-clause"\n') and "int8-static" in card
    assert (bundle / "onnx/model.onnx").is_file()


def test_the_best_int8_has_the_name_that_others_look_for(bundle: Path, verdict: Verdict) -> None:
    best = next(name for name in verdict.ranking if name.startswith("int8-"))
    graphs = {entry.name: entry.graphs["model"] for entry in open_bundle(bundle).manifest.variants}
    assert graphs[best] == "onnx/model_quantized.onnx" and graphs["fp32"] == "onnx/model.onnx"


def test_the_manifest_lists_the_operators_of_each_variant(bundle: Path) -> None:
    opened = open_bundle(bundle)
    for variant in opened.manifest.variants:
        model = onnx.load(opened.path(variant.graphs["model"]))
        used = {node.domain for node in model.graph.node}
        assert set(variant.domains) == used <= {"", "com.microsoft"}
        assert {entry.domain for entry in model.opset_import} == used | {""}, "and imports no others"
        assert not model.functions


def test_operators_that_no_bundle_may_use(
    trained: Trained, candidate: Candidate, verdict: Verdict, tmp_path: Path
) -> None:
    model = onnx.load(trained.graph.path)
    model.graph.node.append(onnx.helper.make_node("Odd", [], ["odd"], domain="elsewhere"))
    model.opset_import.append(onnx.helper.make_opsetid("elsewhere", 1))
    odd = save_model(model, tmp_path / "odd.onnx", "torch.export")
    changed = dataclasses.replace(candidate, graphs={**candidate.graphs, "fp32": {"model": odd}})
    with refused(ExportError):
        write_bundle(tmp_path / "bundle", changed, verdict, trained.evaluation)
    assert not (tmp_path / "bundle").exists()


def test_what_failed_is_not_inside(
    trained: Trained, candidate: Candidate, verdict: Verdict, tmp_path: Path
) -> None:
    rows = tuple(dataclasses.replace(row, status=FAIL) if row.name == "fp16" else row for row in verdict.rows)
    ranking = tuple(name for name in verdict.ranking if name != "fp16")
    changed = dataclasses.replace(verdict, rows=rows, ranking=ranking)
    found = open_bundle(write_bundle(tmp_path / "bundle", candidate, changed, trained.evaluation))
    assert "fp16" not in {entry.name for entry in found.manifest.variants}
    assert not (found.root / "onnx/model_fp16.onnx").exists()
    assert "fp16" in {row["name"] for row in found.manifest.verdict["rows"]}


def test_nothing_that_passed_is_nothing_written(
    trained: Trained, candidate: Candidate, verdict: Verdict, tmp_path: Path
) -> None:
    nothing = dataclasses.replace(verdict, ranking=(), reason="fp32 does not give torch's answers")
    with refused(ExportError):
        write_bundle(tmp_path / "bundle", candidate, nothing, trained.evaluation)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_bundle_is_left_alone(
    trained: Trained, candidate: Candidate, verdict: Verdict, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.jpg").write_text("mine")
    with refused(MachineError):
        write_bundle(tmp_path / "photos", candidate, verdict, trained.evaluation)
    assert contents(tmp_path / "photos") == {"one.jpg": b"mine"}


def test_a_bundle_is_replaced_whole(
    trained: Trained, candidate: Candidate, verdict: Verdict, tmp_path: Path
) -> None:
    target = write_bundle(tmp_path / "bundle", candidate, verdict, trained.evaluation)
    (target / "extra").write_text("not of this bundle")
    write_bundle(target, candidate, verdict, trained.evaluation)
    open_bundle(target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_raw_files_are_kept_byte_for_byte(
    trained: Trained, candidate: Candidate, verdict: Verdict, tmp_path: Path
) -> None:
    paths = []
    for index, raw in enumerate(trained.evaluation.raws):
        path = tmp_path / "photos" / f"{index}.image"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(raw).save(path, format="BMP")
        paths.append(path)
    samples = Samples(trained.evaluation.ids, paths, trained.evaluation.truths)
    opened = open_bundle(write_bundle(tmp_path / "bundle", candidate, verdict, samples))
    for sample in opened.manifest.golden.samples:
        assert sample.file.endswith(".bmp")
        assert opened.path(sample.file).read_bytes() == samples.raw(sample.id).read_bytes()


def test_weights_beyond_the_limit_have_a_file_of_their_own(
    trained: Trained, candidate: Candidate, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_graph, "ONE_FILE_LIMIT", 1_000_000)
    large = save_model(onnx.load(trained.graph.path), tmp_path / "made.onnx", "torch.export")
    assert [file.name for file in large.files] == ["made.onnx", "made.onnx.data"]
    split = dataclasses.replace(candidate, graphs={**candidate.graphs, "fp32": {"model": large}})
    target = write_bundle(tmp_path / "bundle", split, verdict, trained.evaluation)
    assert (target / "onnx/model.onnx.data").stat().st_size > 40_000_000
    assert all(row.passed for row in selftest(target, ["fp32"], provider="cpu"))
