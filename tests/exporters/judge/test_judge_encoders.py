"""Every task of encoders judged by its own decisions; answers that are read once give the same interval."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgewright.exporters.bundle.write import Candidate
from edgewright.exporters.graph.export import save_model
from edgewright.exporters.judge.agreement import decide
from edgewright.exporters.judge.judge import judge
from edgewright.exporters.reference import Reference, Samples
from edgewright.exporters.verdict import Budget, Verdict
from tests.answering import run_all
from tests.exporters.trained import torch_graphs
from tests.pipeline.tasks.test_encoder_tasks import samples_of, training
from tests.runtime.encoder_bundle import CASES, INPUTS, case


class TableModule(nn.Module):
    """What the example's graph computes, for torch's side."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.net = case(name).net

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        feeds = dict(zip(INPUTS, (tensor.numpy() for tensor in tensors), strict=True))
        return tuple(torch.from_numpy(value) for value in self.net.run(feeds).values())


def reference_of(name: str) -> Reference:
    outputs = tuple(spec.name for spec in case(name).net.outputs)
    graphs = torch_graphs(TableModule(name), INPUTS, outputs)
    return Reference(graphs, case(name).device_task(), training(name).metric())


def samples(name: str) -> Samples:
    found = samples_of(name)
    device = case(name).device_task()
    return Samples(
        tuple(one.id for one in found), [one.raw for one in found], training(name).truths(found, device)
    )


def judged(name: str, reference: Reference, folder: Path, seed: int = 1) -> Verdict:
    """The example with itself as fp32, and with a table of other numbers as a variant."""
    graphs = {}
    for variant, net in (
        ("fp32", case(name).net),
        ("int8-dynamic", dataclasses.replace(case(name).net, seed=seed)),
    ):
        net.write(folder / f"{variant}.onnx")
        graphs[variant] = save_model(
            onnx.load(folder / f"{variant}.onnx"), folder / f"model_{variant}.onnx", "by hand"
        )
    candidate = Candidate(
        task=case(name).task,
        model="table",
        device_task=reference.task,
        graphs={variant: {"model": graph} for variant, graph in graphs.items()},
        licence="MIT",
        seed=0,
        versions={"edgewright": "0"},
    )
    return judge(reference, candidate, samples(name), Budget(), provider="cpu", threads=1, seconds=0.05)


@pytest.mark.parametrize("name", CASES)
def test_every_task_is_judged_by_what_it_decides(name: str, tmp_path: Path) -> None:
    reference = reference_of(name)
    verdict = judged(name, reference, tmp_path)
    fp32, other = verdict.row("fp32"), verdict.row("int8-dynamic")
    assert (fp32.status, fp32.agreement, fp32.agreement_clear, fp32.drop) == ("PASS", 1.0, 1.0, 0.0), (
        fp32.reason
    )
    assert other.relative is not None and other.relative > 0.1 and other.worst_sample in samples(name).ids
    device, encoded = reference.task, [reference.task.encode(raw) for raw in samples(name).raws]
    nets = (case(name).net, dataclasses.replace(case(name).net, seed=1))
    ours, theirs = (decide(device, run_all(device, encoded, net.run), encoded) for net in nets)
    assert other.agreement == np.mean([one == two for one, two in zip(ours, theirs, strict=True)])
    assert (verdict.ladder is not None and verdict.ladder.first_failed is None) or other.status == "FAIL"
    near = [note for note in other.notes if "nearest samples" in note]
    assert bool(near) == (case(name).task == "sentence-embedding")


@pytest.mark.parametrize("name", CASES)
def test_every_answer_is_read_once(name: str, tmp_path: Path) -> None:
    read: list[Any] = []
    metric = training(name).metric()

    def counted(answer: Any, truth: Any) -> Any:
        read.append(answer)
        return metric.evidence(answer, truth)

    once = dataclasses.replace(
        reference_of(name), metric=dataclasses.replace(metric, evidence=counted, outcomes=None)
    )
    row = judged(name, once, tmp_path).rows[1]
    assert len(read) == 5 * len(samples(name))  # torch, and two variants alone and in lists
    assert row.interval_method == "paired bootstrap"
