"""Torch and variants over all samples: samples that are several rows of the graph, outputs of which few are kept."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgewright.exporters.distance import distance
from edgewright.exporters.graph.export import Graph, export_graph
from edgewright.exporters.judge.measure import Setting, ladder_rows, measure
from edgewright.exporters.reference import Metric, Reference, Samples
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.tasks.text_classification import EncoderTextClassification
from edgewright.runtime.text.settings import EncoderTextSettings
from tests.exporters.trained import torch_graphs
from tests.runtime.recurrent_bundle import LABELS, tokenizer_json

NAMES = ("input_ids", "attention_mask")


class Bag(nn.Module):
    """The mean of the words that are there, to three classes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.head = nn.Embedding(10, 8), nn.Linear(8, 3)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        there = attention_mask.unsqueeze(2).float()
        found: torch.Tensor = self.head((self.words(input_ids) * there).sum(1) / there.sum(1))
        return found


class Ranged(Bag):
    """As int8-dynamic: what one row gives hangs on the others of its batch."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        found = super().forward(input_ids, attention_mask)
        return found / found.abs().max()


def in_windows(module: nn.Module, folder: Path) -> tuple[EncoderTextClassification, Reference, Graph]:
    """A task that reads windows of four tokens, `module` as its reference, and the graph of it."""
    settings = EncoderTextSettings(max_tokens=4, policy="stride", stride=1, inputs=NAMES)
    task = EncoderTextClassification(to_plain(settings), LABELS, {"tokenizer": tokenizer_json()})
    axes = {name: {0: "batch", 1: "time"} for name in NAMES}
    example = [torch.ones(2, 4, dtype=torch.int64) for _ in NAMES]
    graph = export_graph(module, example, folder / "model.onnx", NAMES, ("logits",), axes)
    metric = Metric(
        name="agreement",
        evidence=lambda answer, truth: float(answer.index == truth),
        figure=lambda each: each.mean(),
    )
    return task, Reference(torch_graphs(module, NAMES, ("logits",)), task, metric), graph


def setting_of(reference: Reference, samples: Samples) -> Setting:
    return Setting(reference, samples, reference.task.signatures, "cpu", 1)


def test_the_windows_of_a_text_share_a_batch_as_in_the_engine(tmp_path: Path) -> None:
    task, reference, graph = in_windows(Ranged().eval(), tmp_path)
    texts = ["good film", "a very very boring film was not good the film was bad"]
    samples = Samples(tuple("ab"), texts, [0, 0])
    found = measure(setting_of(reference, samples), {"fp32": {"model": graph.path}})
    graphs = found.graphs["fp32"]
    for text, few in zip(texts, found.variants["fp32"].few, strict=True):
        sample = task.encode(text)
        outputs = graphs.run("model", task.collate(task.windows(sample)))
        rows = [{"logits": row} for row in outputs["logits"]]
        np.testing.assert_allclose(few["logits"], task.merge(rows, sample, graphs)["logits"], rtol=1e-6)


def test_a_long_text_is_one_sample_however_many_windows_it_has(tmp_path: Path) -> None:
    task, reference, graph = in_windows(Bag().eval(), tmp_path)
    texts = [
        "good film",
        "a very very boring film was not good the film was bad",
        "bad",
        "the film was a good film",
    ]
    samples = Samples(tuple("abcd"), texts, [0, 1, 2, 0])
    found = measure(setting_of(reference, samples), {"fp32": {"model": graph.path}})
    assert found.errors == {} and found.rows == [0, 1, 2, 3]
    assert len(task.windows(task.encode(texts[1]))) > 2  # the test is about this
    assert [few["logits"].shape for few in found.torch.few] == [(3,)] * 4
    assert found.apart["fp32"] == distance(found.torch.few, found.variants["fp32"].few)
    assert found.apart["fp32"].relative < 1e-5
    assert found.lengths is not None and found.lengths[1] > 4
    best = [int(few["logits"].argmax()) for few in found.torch.few]
    assert found.torch.evidence.tolist() == [
        one == truth for one, truth in zip(best, [0, 1, 2, 0], strict=True)
    ]
    assert found.variants["fp32"].evidence.tolist() == found.torch.evidence.tolist()
    assert found.torch.decided.each == found.variants["fp32"].decided.each == best


def test_of_many_samples_few_outputs_are_kept(tmp_path: Path) -> None:
    _, reference, graph = in_windows(Bag().eval(), tmp_path)
    words = ("good", "bad", "film", "boring")
    texts = [f"{words[row % 4]} {words[row // 4 % 4]} film" for row in range(150)]
    samples = Samples(tuple(map(str, range(150))), texts, [row % 3 for row in range(150)])
    rows = [3, 31, 32, 149]
    setting, variants = setting_of(reference, samples), {"fp32": {"model": graph.path}}
    found = measure(setting, variants, rows=rows)
    for side in (found.torch, found.variants["fp32"]):
        assert len(side.few) == 4
        assert len(side.evidence) == len(side.decided.each) == 150
    alone = setting.again(variants, rows)
    for few, again in zip(found.torch.few, alone["torch"], strict=True):
        np.testing.assert_allclose(few["logits"], again["logits"], rtol=1e-5)
    for few, again in zip(found.variants["fp32"].few, alone["fp32"], strict=True):
        np.testing.assert_array_equal(few["logits"], again["logits"])
    assert len(ladder_rows(150)) == 64 and ladder_rows(3) == [0, 1, 2] and ladder_rows(150, 2) == [0, 149]


def test_of_outputs_that_are_not_finite_nothing_is_read(tmp_path: Path) -> None:
    module = Bag().eval()
    _, reference, graph = in_windows(module, tmp_path)
    with torch.no_grad():
        module.head.bias[0] = torch.nan
    broken = in_windows(module, tmp_path / "broken")[2]
    module.load_state_dict(Bag().state_dict())
    samples = Samples(tuple("ab"), ["good film", "bad"], [0, 1])
    variants = {"fp32": {"model": graph.path}, "fp16": {"model": broken.path}}
    found = measure(setting_of(reference, samples), variants)
    assert found.errors == {} and set(found.variants) == {"fp32", "fp16"}
    assert found.apart["fp32"].finite and len(found.variants["fp32"].evidence) == 2
    assert not found.apart["fp16"].finite and not len(found.variants["fp16"].evidence)
    assert found.variants["fp32"].finite and not found.variants["fp16"].finite


def test_outputs_of_another_shape_are_infinitely_far_apart() -> None:
    short, long = np.ones((3, 1), np.float32), np.ones((5, 1), np.float32)
    same = distance([{"tokens": short}, {"tokens": long}], [{"tokens": short}, {"tokens": long}])
    assert same.max_abs == 0.0 and same.sqnr_db is None
    apart = distance([{"tokens": short}, {"tokens": short}], [{"tokens": short}, {"tokens": long}])
    assert apart.relative == apart.max_abs == apart.passing_tolerance == float("inf")
    assert apart.worst == 1 and apart.finite and apart.sqnr_db == -float("inf")
