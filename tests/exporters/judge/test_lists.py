"""Variants whose answers depend on their neighbours: judged in lists as well as alone, and told."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgewright.exporters.bundle.write import Candidate, write_bundle
from edgewright.exporters.graph.export import export_graph
from edgewright.exporters.judge.judge import judge
from edgewright.exporters.judge.measure import LIST
from edgewright.exporters.precision.registry import make_variant
from edgewright.exporters.reference import Metric, Reference, Samples
from edgewright.exporters.verdict import FAIL, PASS, Budget, Verdict
from edgewright.pipeline.cli.verdict_text import verdict_table
from edgewright.runtime import Engine
from tests.exporters.judge.test_measure import in_windows
from tests.exporters.trained import LABELS, SETTINGS, candidate_of, reference_of

COUNT = 2 * LIST
WIDE = Budget(max_drop=1.0, smaller_by=-1e9)
"""Lets everything pass that runs: of so small graphs no variant is smaller."""


class Tint(nn.Module):
    """Which colour is strongest, by the mean of each."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, len(LABELS))
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.fill_(-9.0)
            self.head.bias[:3] = 0.0
            self.head.weight[:3] = 50.0 * torch.eye(3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(image.mean((2, 3)))
        return found


@dataclass(frozen=True)
class Judged:
    """A model with its int8-dynamic variant; of its samples those called "quiet" are of one strength."""

    reference: Reference
    candidate: Candidate
    quiet: Samples
    mixed: Samples

    def judge(self, samples: Samples, budget: Budget = WIDE, metric: Metric | None = None) -> Verdict:
        reference = self.reference
        if metric is not None:
            reference = dataclasses.replace(reference, metric=metric)
        return judge(reference, self.candidate, samples, budget, provider="cpu", threads=1, seconds=0.05)


def pictures(loud: bool) -> Samples:
    """Dark pictures with a tint of half a grey level, where `loud` a bright one among each dozen."""
    random, raws, truths = np.random.default_rng(0), [], []
    for place in range(COUNT):
        picture, colour = np.full((32, 32, 3), 3, np.uint8), place % 3
        picture[..., colour] += (random.random((32, 32)) < 0.5).astype(np.uint8)
        if loud and place % 12 == 5:
            picture[:] = 40
            picture[..., colour] = 255
        raws.append(picture)
        truths.append(colour)
    return Samples(tuple(f"picture {place}" for place in range(COUNT)), raws, truths)


def of_images(folder: Path) -> Judged:
    module = Tint().eval()
    plain = dataclasses.replace(SETTINGS, mean=(0.0,) * 3, std=(1.0,) * 3)
    reference = reference_of(module, plain)
    fp32 = export_graph(module, (torch.zeros(2, 3, 32, 32),), folder / "model.onnx")
    graphs = {"fp32": fp32, "int8-dynamic": make_variant(fp32, "int8-dynamic", (), folder / "int8.onnx")}
    return Judged(reference, candidate_of(reference, graphs), pictures(loud=False), pictures(loud=True))


class Votes(nn.Module):
    """The words good, bad and very vote for a class each, quietly; film is loud and votes for none."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(10, 4), nn.Linear(4, 3)
        self.volume: torch.Tensor
        self.register_buffer("volume", torch.tensor([0.01, 0.01, 0.01, 50.0]))
        with torch.no_grad():
            self.words.weight.zero_()
            for column, word in enumerate((1, 2, 6, 3)):
                self.words.weight[word, column] = 1.0
            self.head.weight.zero_()
            self.head.weight[:, :3] = 300.0 * torch.eye(3)
            self.head.bias.zero_()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        there = attention_mask.unsqueeze(2).float()
        found: torch.Tensor = self.head((self.words(input_ids) * there).sum(1) / there.sum(1) * self.volume)
        return found


def texts(loud: bool) -> Samples:
    """Texts of one to three windows in which one word has the most votes, where `loud` a loud one among each dozen."""
    random, raws, truths = np.random.default_rng(1), [], []
    for place in range(COUNT):
        truth, votes = place % 3, ("good", "bad", "very")
        words = [votes[truth]] * int(random.integers(2, 6)) + [votes[(truth + 1) % 3]]
        if loud and place % 12 == 5:
            words.append("film")
        raws.append(" ".join(words))
        truths.append(truth)
    return Samples(tuple(f"text {place}" for place in range(COUNT)), raws, truths)


def of_texts(folder: Path) -> Judged:
    task, reference, fp32 = in_windows(Votes(), folder)
    graphs = {"fp32": fp32, "int8-dynamic": make_variant(fp32, "int8-dynamic", (), folder / "int8.onnx")}
    candidate = dataclasses.replace(
        candidate_of(reference, graphs), task=task.name, model="votes", device_task=task
    )
    return Judged(reference, candidate, texts(loud=False), texts(loud=True))


@pytest.fixture(scope="module", params=[of_images, of_texts])
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    found: Judged = request.param(tmp_path_factory.mktemp("lists"))
    return found


def test_a_variant_that_answers_otherwise_in_lists_fails(judged: Judged) -> None:
    verdict = judged.judge(judged.mixed, dataclasses.replace(WIDE, max_drop=0.1))
    fp32, int8 = verdict.row("fp32"), verdict.row("int8-dynamic")
    assert (fp32.status, fp32.same_in_list, fp32.metric_in_list) == (PASS, 1.0, fp32.metric)
    assert int8.drop is not None and int8.drop <= 0.1, "alone it may pass"
    assert int8.metric is not None and int8.metric_in_list is not None and int8.same_in_list is not None
    assert int8.metric - int8.metric_in_list > 0.2 and int8.same_in_list < 0.8
    assert int8.status == FAIL
    assert f"in lists of {LIST} {verdict.metric_name} falls by" in int8.reason
    assert verdict.ships == "fp32"


def test_answers_that_depend_on_neighbours_fail_whatever_the_metric_says(judged: Judged) -> None:
    blind = Metric(name="blind", evidence=lambda answer, truth: 1.0, figure=lambda each: each.mean())
    verdict = judged.judge(judged.mixed, dataclasses.replace(WIDE, max_drop=0.1), blind)
    row = verdict.row("int8-dynamic")
    assert row.status == FAIL and row.metric_in_list == row.metric == 1.0
    assert row.reason.startswith("its answers depend on their neighbours: in lists of 32 ")
    assert row.reason.endswith("of the clear decisions are others than alone, 10.00% is allowed")


def test_the_interval_has_to_hold_in_lists_too(judged: Judged) -> None:
    proven = dataclasses.replace(WIDE, max_drop=0.9, require="interval")
    assert judged.judge(judged.quiet, proven).row("int8-dynamic").status == PASS
    near = judged.judge(judged.mixed).row("int8-dynamic")
    assert near.metric_torch is not None and near.metric_in_list is not None
    drop = near.metric_torch - near.metric_in_list
    found = judged.judge(judged.mixed, dataclasses.replace(proven, max_drop=drop + 1e-3)).row("int8-dynamic")
    assert found.status == FAIL and found.reason.startswith(f"not proven: in lists of {LIST} ")


def test_where_neighbours_are_alike_nothing_changes(judged: Judged) -> None:
    verdict = judged.judge(judged.quiet, dataclasses.replace(WIDE, max_drop=0.1))
    for row in verdict.rows:
        assert (row.status, row.same_in_list) == (PASS, 1.0), row.reason
        assert not any("neighbours" in note for note in row.notes)


def test_what_is_said_is_what_an_engine_does(judged: Judged, tmp_path: Path) -> None:
    verdict = judged.judge(judged.mixed)
    row = verdict.row("int8-dynamic")
    bundle = write_bundle(tmp_path / "bundle", judged.candidate, verdict, judged.mixed)
    raws = list(judged.mixed.raws)
    with Engine(bundle, "int8-dynamic", "cpu", threads=1) as engine:
        assert engine.batch_size == LIST
        alone = [engine(raw).index for raw in raws]
        lists = [answer.index for start in (0, LIST) for answer in engine(raws[start : start + LIST])]
    assert row.same_in_list is not None
    assert row.same_in_list == np.mean(np.equal(alone, lists)) < 1.0
    assert row.metric_in_list == np.mean(np.equal(lists, judged.mixed.truths))
    assert row.status == PASS and any(
        note
        == f"{1 - row.same_in_list:.2%} of its decisions change with their neighbours in a list of {LIST}"
        for note in row.notes
    )
    text = verdict_table(verdict)
    assert "in lists" in text and f"{row.same_in_list:.4f}" in text
    card = (bundle / "README.md").read_text()
    assert "| same in a list |" in card and f"| {row.same_in_list:.2%} |" in card
