"""Recurrent models of every task, judged and packed: step graphs, answers of any length, mere numbers."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgewright.exporters.bundle.write import Candidate, write_bundle
from edgewright.exporters.graph.export import Graph, load_graph
from edgewright.exporters.judge.judge import judge
from edgewright.exporters.judge.ladder import climb
from edgewright.exporters.verdict import FAIL, PASS, Budget, Verdict, verdict_from_json, verdict_to_json
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import ExportError
from edgewright.runtime.self_test import selftest
from tests.exporters.sequences import Recurrent, make, network
from tests.exporters.trained import golden_outputs
from tests.messages import refused

pytestmark = pytest.mark.xdist_group("exporters-judge-sequences")  # what these tests share is made once

PRECISIONS = ("fp16", "int8-dynamic", "int4")
BUDGET = Budget(max_drop=0.05, smaller_by=-1.0)
"""Of graphs of a few kilobytes no variant is much smaller, and it need not be: that is tested elsewhere."""


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Recurrent:
    """A GRU that has learnt to smooth: an answer for every step, of sequences of 1 to 23 steps."""
    folder = tmp_path_factory.mktemp("regression")
    return make("sequence-regression", folder, network("gru"), PRECISIONS, train=True)


@pytest.fixture(scope="module")
def verdict(regression: Recurrent) -> Verdict:
    return judge(regression.reference, regression.candidate, regression.samples, BUDGET, seconds=0.5)


@pytest.fixture(scope="module")
def bundle(regression: Recurrent, verdict: Verdict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("packed") / "bundle"
    return write_bundle(target, regression.candidate, verdict, regression.samples)


def test_numbers_that_decide_nothing_are_judged_by_their_metric(verdict: Verdict) -> None:
    assert [row.status for row in verdict.rows] == [PASS] * 4
    for row in verdict.rows:
        assert row.agreement is None and row.agreement_clear is None
        assert row.metric is not None and row.metric > 0.9
        assert row.interval is not None and row.interval_method == "paired bootstrap"
    fp32 = verdict.row("fp32")
    assert fp32.relative is not None and fp32.relative < 1e-5 and fp32.notes == ()
    assert verdict_from_json(verdict_to_json(verdict)) == verdict


def test_a_row_has_both_graphs_in_size_and_time(regression: Recurrent, verdict: Verdict) -> None:
    candidate = regression.candidate
    for row in verdict.rows:
        assert row.size == sum(graph.size for graph in candidate.graphs[row.name].values())
        assert row.step_p50_us is not None and 0 < row.step_p50_us < 1000
        assert row.torch_step_p50_us is not None and row.step_speed_vs_torch is not None
        # Torch takes some 150 microseconds for a step, onnxruntime less than ten: no noise turns that around.
        assert row.step_speed_vs_torch > 2
        assert row.step_speed_vs_fp32 is not None


def test_weights_only_is_said(verdict: Verdict) -> None:
    notes = verdict.row("int8-dynamic").notes
    assert any("GRU with int8 weights computed in fp32" in note for note in notes)


def test_the_stream_is_a_rung_of_its_own(verdict: Verdict) -> None:
    assert verdict.ladder is not None and verdict.ladder.first_failed is None
    rungs = {rung.variant: rung for rung in verdict.ladder.rungs if rung.name == "stream"}
    assert set(rungs) == {"fp32", *PRECISIONS}
    assert {rung.status for rung in rungs.values()} == {"ok"}
    assert rungs["fp32"].figure is not None and rungs["fp32"].figure < 1e-6
    assert [rung.name for rung in verdict.ladder.rungs][-1] == "stream"


def test_the_bundle_streams_and_passes_its_self_test(bundle: Path, verdict: Verdict) -> None:
    opened = open_bundle(bundle)
    assert opened.manifest.streaming is not None
    for entry in opened.manifest.variants:
        assert set(entry.graphs) == {"model", "step"}
        assert entry.graphs["step"] == entry.graphs["model"].replace("model", "step")
        assert opened.path(entry.graphs["step"]).is_file()
    rows = selftest(opened, provider="cpu")
    assert [row.reason for row in rows if not row.passed] == []
    assert all(row.streamed is not None for row in rows)


def test_golden_outputs_are_as_long_as_their_samples(regression: Recurrent, verdict: Verdict) -> None:
    lengths = [len(regression.samples.raw(name).values) for name in verdict.golden.ids]
    assert len(lengths) == 8 and len(set(lengths)) > 3
    outputs = golden_outputs(verdict.golden)
    assert [one["prediction"].shape for one in outputs] == [(length, 1) for length in lengths]
    assert verdict.golden.decisions == ([],) * 8


def test_engine_stream_and_torch_agree(bundle: Path, regression: Recurrent) -> None:
    with Engine(bundle, variant="fp32", provider="cpu", cache=False) as engine:
        for raw in regression.samples.raws[:6]:
            sample = regression.reference.task.encode(raw)
            (outputs,) = regression.reference.task.run([sample], regression.reference.graphs)
            wanted = regression.reference.task.decode(outputs, sample).values
            assert np.abs(engine(raw).values - wanted).max() < 1e-5
            with engine.stream() as stream:
                steps = [answer.values for answer in stream.push_all(raw)]
            assert np.abs(np.concatenate(steps).reshape(wanted.shape) - wanted).max() < 1e-5


def test_packed_twice_is_the_same(
    bundle: Path, regression: Recurrent, verdict: Verdict, tmp_path: Path
) -> None:
    stored = verdict_from_json(verdict_to_json(verdict))
    again = write_bundle(tmp_path / "again", regression.candidate, stored, regression.samples)
    for file in bundle.rglob("*"):
        if file.is_file():
            assert (again / file.relative_to(bundle)).read_bytes() == file.read_bytes(), file.name


def test_the_card_says_how_to_stream(bundle: Path) -> None:
    card = (bundle / "README.md").read_text()
    assert "stream.push(row)" in card and "Answers every step with torque" in card
    assert "us a step" in card and 'pipeline_tag: "tabular-regression"' in card
    config = json.loads((bundle / "config.json").read_text())
    assert config["features"] == ["heat", "load"] and config["targets"] == ["torque"]


def altered(graph: Graph, path: Path) -> Graph:
    """A copy whose recurrent weights are off by a tenth."""
    model = onnx.load(graph.path)
    node = next(node for node in model.graph.node if node.op_type == "GRU")
    for tensor in model.graph.initializer:
        if tensor.name == node.input[2]:
            tensor.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.1), tensor.name)
            )
    onnx.save(model, path)
    return load_graph(path)


def with_graph(candidate: Candidate, precision: str, role: str, graph: Graph | None) -> Candidate:
    """The candidate with another graph in one place, or with none."""
    graphs = {role: one for role, one in candidate.graphs[precision].items()}
    if graph is None:
        del graphs[role]
    else:
        graphs[role] = graph
    return dataclasses.replace(candidate, graphs={**candidate.graphs, precision: graphs})


def test_a_step_graph_of_other_weights_lets_nothing_ship(regression: Recurrent, tmp_path: Path) -> None:
    step = altered(regression.candidate.graphs["fp32"]["step"], tmp_path / "step.onnx")
    candidate = with_graph(regression.candidate, "fp32", "step", step)
    found = judge(regression.reference, candidate, regression.samples, BUDGET, seconds=0.1)
    assert found.ships is None and "the ladder fails at stream" in found.reason
    assert found.ladder is not None and found.ladder.first_failed is not None
    assert (found.ladder.first_failed.name, found.ladder.first_failed.variant) == ("stream", "fp32")
    assert found.ladder.first_failed.worst_sample in regression.samples.ids


def test_a_whole_graph_of_other_weights_is_blamed_on_its_layer(regression: Recurrent, tmp_path: Path) -> None:
    whole = altered(regression.candidate.graphs["fp32"]["model"], tmp_path / "model.onnx")
    candidate = with_graph(regression.candidate, "fp32", "model", whole)
    found = judge(regression.reference, candidate, regression.samples, BUDGET, seconds=0.1)
    assert found.ships is None and found.ladder is not None and found.ladder.first_failed is not None
    assert found.ladder.first_failed.name == "export"
    assert found.ladder.first_failed.node.endswith("of layers.0")


def test_a_step_graph_of_another_variant_fails_that_variant_alone(
    regression: Recurrent, tmp_path: Path
) -> None:
    step = altered(regression.candidate.graphs["fp32"]["step"], tmp_path / "step_fp16.onnx")
    candidate = with_graph(regression.candidate, "fp16", "step", step)
    found = judge(regression.reference, candidate, regression.samples, BUDGET, seconds=0.1)
    row = found.row("fp16")
    assert row.status == FAIL and "the ladder fails at stream" in row.reason
    assert found.ships is not None and "fp16" not in found.ranking


def test_a_step_graph_that_does_not_run_fails_its_variant(regression: Recurrent, tmp_path: Path) -> None:
    (tmp_path / "step_fp16.onnx").write_bytes(b"no graph")
    step = regression.candidate.graphs["fp16"]["step"]
    broken = dataclasses.replace(step, path=tmp_path / "step_fp16.onnx")
    candidate = with_graph(regression.candidate, "fp16", "step", broken)
    found = judge(regression.reference, candidate, regression.samples, BUDGET, seconds=0.1)
    assert found.row("fp16").status == FAIL and found.row("fp16").reason.startswith("its step graph: ")
    assert found.ships is not None and "fp16" not in found.ranking


def test_a_precision_without_a_step_graph_is_a_failure(regression: Recurrent) -> None:
    candidate = with_graph(regression.candidate, "int4", "step", None)
    assert set(candidate.graphs) == {"fp32", "fp16", "int8-dynamic"}
    assert "no step graph in int4" in candidate.failures["int4"]
    for role in ("model", "step"):
        with refused(ExportError):
            with_graph(regression.candidate, "fp32", role, None)


def test_the_ladder_climbs_a_bundle_from_disk(bundle: Path, regression: Recurrent, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    ladder = climb(regression.reference, copy, regression.samples, BUDGET)
    assert ladder.first_failed is None
    assert [rung.variant for rung in ladder.rungs if rung.name == "stream"] == [
        entry.name for entry in open_bundle(copy).manifest.variants
    ]


def judged(task: str, cell: str, folder: Path, **more: object) -> tuple[Recurrent, Verdict, Path]:
    found = make(task, folder, network(cell, **more), PRECISIONS[1:2])
    verdict = judge(found.reference, found.candidate, found.samples, BUDGET, seconds=0.2)
    assert verdict.ladder is not None and verdict.ladder.first_failed is None, verdict.ladder
    assert [row.status for row in verdict.rows] == [PASS, PASS], verdict.rows
    bundle = write_bundle(folder / "bundle", found.candidate, verdict, found.samples)
    assert [row.reason for row in selftest(bundle, provider="cpu") if not row.passed] == []
    return found, verdict, bundle


def config(bundle: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((bundle / "config.json").read_text())
    return found


def test_a_forecast_is_compared_at_its_last_step(tmp_path: Path) -> None:
    found, verdict, bundle = judged("forecasting", "rnn", tmp_path)
    rungs = [rung for rung in verdict.ladder.rungs if rung.name == "stream"] if verdict.ladder else []
    assert len(rungs) == 2 and all(rung.status == "ok" for rung in rungs)
    assert [one["prediction"].shape for one in golden_outputs(verdict.golden)] == [(4, 1)] * 8
    assert (config(bundle)["prediction_length"], config(bundle)["context_length"]) == (4, 8)
    answer = Engine(bundle, provider="cpu", cache=False)(found.samples.raws[0])
    assert answer.times is not None and answer.values.shape == (4, 1)
    assert "Answers with the next 4 steps of heat" in (bundle / "README.md").read_text()


def test_text_brings_its_tokenizer_and_does_not_stream(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    found, verdict, bundle = judged("text-classification", "lstm", tmp_path)
    manifest = open_bundle(bundle).manifest
    assert manifest.assets == {"tokenizer": "tokenizer.json"} and manifest.streaming is None
    assert verdict.row("fp32").step_p50_us is None and "stream.push" not in (bundle / "README.md").read_text()
    text = found.samples.raws[3]
    ours = found.reference.task.encode(text)["input_ids"].tolist()
    assert AutoTokenizer.from_pretrained(bundle)(text)["input_ids"] == ours


@pytest.mark.slow
def test_sound_keeps_its_waves(tmp_path: Path) -> None:
    _, _, bundle = judged("audio-classification", "gru", tmp_path, readout="max")
    manifest = open_bundle(bundle).manifest
    assert all(sample.file.endswith(".wav") for sample in manifest.golden.samples)
    assert config(bundle)["sampling_rate"] == 8000
    assert "stream.push(chunk)" in (bundle / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_integer_cells_stream_as_they_answer(cell: str, tmp_path: Path) -> None:
    _, verdict, _ = judged("sequence-classification", cell, tmp_path, hidden=384, readout="mean")
    assert any("as a cell of integer products" in note for note in verdict.row("int8-dynamic").notes)
    assert verdict.row("int8-dynamic").size_ratio is not None


@pytest.mark.slow
def test_both_directions_do_not_stream(tmp_path: Path) -> None:
    found, _, bundle = judged("sequence-classification", "lstm", tmp_path, bidirectional=True, layers=2)
    assert isinstance(found.candidate, Candidate) and found.candidate.graphs["fp32"].keys() == {"model"}
    assert set(open_bundle(bundle).manifest.variants[0].graphs) == {"model"}
