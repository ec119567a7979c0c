"""The verdict: its numbers, its reasons, and that it never calls a bad variant good."""

import copy
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgewright.exporters.bundle.write import Candidate
from edgewright.exporters.graph.export import Graph, export_graph, save_model
from edgewright.exporters.judge.judge import judge
from edgewright.exporters.precision.registry import make_variant
from edgewright.exporters.reference import Metric, Reference, Samples
from edgewright.exporters.verdict import (
    FAIL,
    PASS,
    REJECTED,
    Budget,
    Verdict,
    verdict_from_json,
    verdict_to_json,
)
from edgewright.runtime.errors import DataError, ExportError
from tests.exporters.trained import SETTINGS, Trained, candidate_of, reference_of
from tests.messages import refused

if TYPE_CHECKING:
    from torchvision.models import ResNet


class Small(nn.Module):
    """A convolution and a head: quick to export, to quantise and to break."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.relu = nn.ReLU()
        self.head = nn.Linear(8, 10)
        self.scale = scale

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.relu(self.conv(image)).mean((2, 3))) * self.scale
        return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Graph]:
    module = Small()
    path = tmp_path_factory.mktemp("small") / "model.onnx"
    return module, export_graph(module, (torch.zeros(2, 3, 32, 32),), path)


def test_every_number_of_a_row(trained: Trained, candidate: Candidate, verdict: Verdict) -> None:
    assert [row.name for row in verdict.rows] == ["fp32", "fp16", "int8-dynamic", "int8-static"]
    fp32 = verdict.row("fp32")
    encoded = np.stack(
        [trained.reference.task.encode(raw)["pixel_values"] for raw in trained.evaluation.raws]
    )
    outputs = trained.reference.graphs.run("model", {"pixel_values": encoded})
    assert fp32.metric_torch == np.mean(outputs["logits"].argmax(axis=1) == trained.evaluation.truths)
    assert number(fp32.metric_torch) > 0.85
    assert (fp32.status, fp32.agreement, fp32.drop) == (PASS, 1.0, 0.0)
    for row in verdict.rows:
        assert row.metric is not None and row.relative is not None and row.interval is not None
        assert row.drop == pytest.approx(number(row.metric_torch) - row.metric)
        assert row.interval[0] <= number(row.drop) <= row.interval[1]
        assert row.size == candidate.graphs[row.name]["model"].size
        assert row.p50_ms is not None and row.p95_ms is not None and 0 < row.p50_ms <= row.p95_ms
        assert row.provider == "cpu" and row.worst_sample in trained.evaluation.ids
        assert row.passing_tolerance is not None and 0 < row.passing_tolerance <= number(row.max_abs)
    assert number(fp32.relative) < 1e-5 < number(verdict.row("int8-static").relative)
    noise = [number(verdict.row(name).sqnr_db) for name in ("fp32", "fp16", "int8-static")]
    assert noise == sorted(noise, reverse=True)
    assert number(verdict.row("int8-static").size_ratio) < 0.28
    assert verdict.samples == 300 and verdict.threads == 1


def test_the_best_ships(verdict: Verdict) -> None:
    passed = {row.name for row in verdict.rows if row.status == PASS}
    assert "fp32" in passed and set(verdict.ranking) == passed and verdict.ships == verdict.ranking[0]


def test_json_gives_back_the_same_verdict(verdict: Verdict) -> None:
    text = verdict_to_json(verdict)
    assert verdict_from_json(text) == verdict
    assert verdict_to_json(verdict_from_json(text)) == text


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"metric_name": 3}'])
def test_a_broken_verdict_is_one_line(text: str) -> None:
    with refused(ExportError) as caught:
        verdict_from_json(text)
    assert "\n" not in str(caught.value)


def test_a_graph_of_another_model_fails_and_nothing_ships(trained: Trained, tmp_path: Path) -> None:
    other = export_graph(Small(), (torch.zeros(2, 3, 32, 32),), tmp_path / "model.onnx")
    found = judge(
        trained.reference,
        candidate_of(trained.reference, {"fp32": other}),
        trained.evaluation,
        Budget(),
        seconds=0.1,
    )
    assert found.ships is None and found.row("fp32").status == FAIL and "fp32" in found.reason
    assert found.ladder is not None and found.ladder.first_failed is not None
    assert found.ladder.first_failed.name == "export"


def number(value: float | None) -> float:
    assert value is not None
    return value


def few(trained: Trained, count: int = 60) -> Samples:
    return trained.evaluation.take(range(count))


def test_what_wins_nothing_is_rejected(small: tuple[Small, Graph], trained: Trained, tmp_path: Path) -> None:
    module, graph = small
    reference = reference_of(module)
    same = make_variant(graph, "fp32", [], tmp_path / "same.onnx")
    budget = Budget(faster_by=3.0)
    found = judge(
        reference, candidate_of(reference, {"fp32": graph, "fp16": same}), few(trained), budget, seconds=0.2
    )
    row = found.row("fp16")
    assert row.status == REJECTED and "does not earn its place" in row.reason
    assert found.ranking == ("fp32",)


def test_numbers_beyond_fp16_fail(trained: Trained, tmp_path: Path) -> None:
    module = Small(scale=1e6)
    reference = reference_of(module)
    graph = export_graph(module, (torch.zeros(2, 3, 32, 32),), tmp_path / "model.onnx")
    half = make_variant(graph, "fp16", [], tmp_path / "half.onnx")
    found = judge(
        reference, candidate_of(reference, {"fp32": graph, "fp16": half}), few(trained), Budget(), seconds=0.1
    )
    assert found.row("fp16").status == FAIL and "cannot hold" in found.row("fp16").reason
    assert found.ships == "fp32"


def test_outputs_that_are_not_finite_fail(
    small: tuple[Small, Graph], trained: Trained, tmp_path: Path
) -> None:
    module, graph = small
    reference = reference_of(module)
    model = onnx.load(graph.path)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "head.bias")
    bias.raw_data = np.full(10, np.nan, np.float32).tobytes()
    bad = save_model(model, tmp_path / "bad.onnx", "int8-static")
    found = judge(
        reference,
        candidate_of(reference, {"fp32": graph, "int8-static": bad}),
        few(trained),
        Budget(),
        seconds=0.1,
    )
    assert found.row("int8-static").status == FAIL and "not finite" in found.row("int8-static").reason
    assert found.ships == "fp32"
    assert verdict_from_json(verdict_to_json(found)) == found


def test_a_variant_that_could_not_be_made_has_a_row(small: tuple[Small, Graph], trained: Trained) -> None:
    module, graph = small
    reference = reference_of(module)
    candidate = candidate_of(reference, {"fp32": graph}, failures={"int4": "no matrix product"})
    found = judge(reference, candidate, few(trained), Budget(), seconds=0.1)
    assert found.row("int4").status == FAIL and found.row("int4").reason == "no matrix product"
    assert found.ships == "fp32"


def test_a_variant_that_does_not_open_fails(
    small: tuple[Small, Graph], trained: Trained, tmp_path: Path
) -> None:
    module, graph = small
    reference = reference_of(module)
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    broken = dataclasses.replace(graph, path=tmp_path / "broken.onnx")
    found = judge(
        reference,
        candidate_of(reference, {"fp32": graph, "fp16": broken}),
        few(trained),
        Budget(),
        seconds=0.1,
    )
    assert found.row("fp16").status == FAIL and "not a graph" in found.row("fp16").reason
    assert found.ships == "fp32"


def test_require_interval_wants_proof(small: tuple[Small, Graph], trained: Trained, tmp_path: Path) -> None:
    module, graph = small
    reference = reference_of(module)
    half = make_variant(graph, "fp16", [], tmp_path / "half.onnx")
    candidate = candidate_of(reference, {"fp32": graph, "fp16": half})
    lenient = judge(reference, candidate, few(trained), Budget(smaller_by=0.01), seconds=0.1)
    strict = judge(
        reference, candidate, few(trained), Budget(smaller_by=0.01, require="interval"), seconds=0.1
    )
    assert lenient.row("fp16").status == PASS
    assert any("not proven" in note for note in lenient.row("fp16").notes)
    assert strict.row("fp16").status == FAIL and "not proven" in strict.row("fp16").reason
    assert strict.ships == "fp32"


@pytest.mark.parametrize("greater", [True, False])
def test_a_metric_that_is_no_mean_gets_a_bootstrap(
    small: tuple[Small, Graph], trained: Trained, tmp_path: Path, greater: bool
) -> None:
    module, graph = small

    spread = Metric(
        name="spread",
        evidence=lambda answer, truth: np.array(answer.probabilities),
        figure=lambda each: np.exp(-each.std()),
        greater=greater,
    )
    reference = dataclasses.replace(reference_of(module), metric=spread)
    half = make_variant(graph, "fp16", [], tmp_path / "half.onnx")
    found = judge(
        reference, candidate_of(reference, {"fp32": graph, "fp16": half}), few(trained), Budget(), seconds=0.1
    )
    row = found.row("fp16")
    assert row.interval_method == "paired bootstrap" and row.interval is not None
    assert row.interval[0] <= number(row.drop) <= row.interval[1]
    fall = number(row.metric_torch) - number(row.metric)
    assert row.drop == (fall if greater else -fall) != 0.0


def test_a_fall_within_one_sample_of_the_budget_is_within_it(verdict: Verdict) -> None:
    from edgewright.exporters.judge.judge import _decide

    row = dataclasses.replace(verdict.row("fp16"), drop=1.0 - 0.99, interval=(0.0, 0.0))
    assert _decide(row, "accuracy", Budget()).status == PASS
    assert _decide(dataclasses.replace(row, drop=0.0101), "accuracy", Budget()).status == FAIL


def test_samples_have_to_be_whole() -> None:
    with refused(DataError):
        Samples((), [], [])
    with refused(DataError):
        Samples(("a",), [1, 2], [0, 0])
    with refused(DataError):
        Samples(("a", "a"), [1, 2], [0, 0])


def test_a_candidate_needs_fp32(small: tuple[Small, Graph]) -> None:
    with refused(ExportError):
        candidate_of(reference_of(small[0]), {"fp16": small[1]})


def rescaled(module: "ResNet") -> "ResNet":
    """The same function: every channel between the two convolutions of a block times 1 to 1000, and back."""
    twin = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(0)
    for layer in (twin.layer1, twin.layer2, twin.layer3, twin.layer4):
        for block in layer.children():
            factors = 10 ** (3 * torch.rand(block.bn1.num_features, generator=generator))
            with torch.no_grad():
                block.bn1.weight *= factors
                block.bn1.bias *= factors
                block.conv2.weight /= factors[None, :, None, None]
    return twin.eval()


def test_rescaled_channels_ruin_per_tensor_int8_and_the_verdict_says_so(
    trained: Trained, tmp_path: Path
) -> None:
    module = rescaled(trained.module)
    reference: Reference = reference_of(module, SETTINGS)
    before = trained.reference.graphs.run("model", trained.calibration[0])["logits"]
    after = reference.graphs.run("model", trained.calibration[0])["logits"]
    assert np.abs(before - after).max() < 1e-3 * np.abs(before).max()
    graph = export_graph(module, (torch.zeros(2, 3, 32, 32),), tmp_path / "model.onnx")
    coarse = make_variant(
        graph, "int8-static", trained.calibration, tmp_path / "int8.onnx", "minmax", per_channel=False
    )
    found = judge(
        reference,
        candidate_of(reference, {"fp32": graph, "int8-static": coarse}),
        few(trained, 200),
        Budget(),
        seconds=0.3,
    )
    row = found.row("int8-static")
    assert row.drop is not None and row.drop > 0.20
    assert row.status == FAIL and "accuracy falls" in row.reason
    assert any("parts from fp32 first at" in note for note in row.notes)
    assert found.ships == "fp32" and "int8-static" not in found.ranking
    assert found.ladder is not None and found.ladder.first_failed is not None
    assert (found.ladder.first_failed.name, found.ladder.first_failed.variant) == ("precision", "int8-static")
