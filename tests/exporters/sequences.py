"""Small recurrent models of every task, as a run would hand them over: torch module, graphs, samples, metric."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgewright.exporters.bundle.write import Candidate
from edgewright.exporters.graph.export import Graph, export_graph
from edgewright.exporters.part import Part
from edgewright.exporters.precision.registry import make_variant, role_file
from edgewright.exporters.reference import Metric, Reference, Samples
from edgewright.pipeline.models.recurrent.model import RecurrentModel
from edgewright.pipeline.models.recurrent.network import Dimensions, Network
from edgewright.pipeline.models.recurrent.step import step_part
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import MODEL, STEP, GraphSpec, Tensors
from edgewright.runtime.series.settings import ForecastSettings, Series, SeriesSettings
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import Task
from tests.exporters.trained import ACCURACY, torch_graphs
from tests.runtime.recurrent_bundle import AUDIO, LABELS, TEXT, sound, tokenizer_json

FEATURES = ("heat", "load")
SERIES = SeriesSettings(FEATURES, (20.0, 1.0), (5.0, 0.5))
REGRESSION = SeriesSettings(
    FEATURES, (20.0, 1.0), (5.0, 0.5), targets=("torque",), target_mean=(3.0,), target_std=(2.0,)
)
FORECAST = SeriesSettings(
    FEATURES,
    (20.0, 1.0),
    (5.0, 0.5),
    targets=("heat",),
    time_column="when",
    step=60.0,
    forecast=ForecastSettings(4, 3, 8, ("load",), "seasonal", (1.0,), (0.5,)),
)


@dataclass(frozen=True)
class Recurrent:
    """A torch module with everything that a bundle is made and judged from."""

    module: RecurrentModel
    reference: Reference
    candidate: Candidate
    samples: Samples


@dataclass(frozen=True)
class Kind:
    """One task: its device half, the widths of its model, how it is measured."""

    task: Task[Any]
    dimensions: Dimensions
    output: str
    metric: Metric
    values: str = "values"
    extra: tuple[str, ...] = ()


def r2(each: NDArray[Any]) -> float:
    """Over all steps, from what was predicted and what is true of each sample [steps, 2]."""
    steps = np.concatenate(list(each))
    missed, wanted = steps[:, 0] - steps[:, 1], steps[:, 1]
    return float(1.0 - (missed**2).sum() / ((wanted - wanted.mean()) ** 2).sum())


R2 = Metric(name="r2", evidence=lambda answer, truth: np.hstack((answer.values, truth)), figure=r2)
DISTANCE = Metric(
    name="distance",
    evidence=lambda answer, truth: np.abs(answer.values - truth).mean(),
    figure=lambda each: each.mean(),
    greater=False,
)


def kind_of(task: str) -> Kind:
    if task == "sequence-classification":
        device = load_task(task, to_plain(SERIES), LABELS)
        return Kind(device, Dimensions(2, 3), "logits", ACCURACY)
    if task == "sequence-regression":
        device = load_task(task, to_plain(REGRESSION), ())
        return Kind(device, Dimensions(2, 1, per_step=True), "prediction", R2)
    if task == "forecasting":
        device = load_task(task, to_plain(FORECAST), ())
        dimensions = Dimensions(2, 1, horizon=4, known=1)
        return Kind(device, dimensions, "prediction", DISTANCE, extra=("anchor", "known"))
    if task == "audio-classification":
        device = load_task(task, to_plain(AUDIO), LABELS)
        return Kind(device, Dimensions(AUDIO.mels, 3), "logits", ACCURACY, values="input_features")
    device = load_task(task, to_plain(TEXT), LABELS, {"tokenizer": tokenizer_json()})
    return Kind(device, Dimensions(10, 3, tokens=True), "logits", ACCURACY, values="input_ids")


def raws_of(task: str, count: int) -> list[Any]:
    """Raw inputs of many lengths, the shortest of one step."""
    random = np.random.default_rng(7)
    if task == "audio-classification":
        return [(sound(256 + 150 * (row % 9) + row, row), 8000) for row in range(count)]
    if task == "text-classification":
        words = ("good", "bad", "film", "the", "a", "very", "was", "not", "boring")
        return [" ".join(random.choice(words, 1 + row % 9)) for row in range(count)]
    lengths = [8] * count if task == "forecasting" else [1 + (row * 5) % 23 for row in range(count)]
    raws = []
    for row, length in enumerate(lengths):
        values = np.array([20.0, 1.0]) + random.standard_normal((length, 2)) * np.array([5.0, 0.5])
        if task == "forecasting":
            times: NDArray[np.float64] = np.linspace(1e9, 1e9 + 60.0 * (length - 1), length)
            raws.append(Series(values, FEATURES, times, f"series {row}", random.uniform(0.5, 1.5, (4, 1))))
        else:
            raws.append(Series(values, FEATURES, name=f"series {row}"))
    return raws


def smoothed(values: NDArray[Any]) -> NDArray[np.float64]:
    """What the small regression learns: the first feature, running behind."""
    found, level = [], 0.0
    for value in values[:, 0]:
        level = 0.7 * level + 0.3 * float(value)
        found.append([level])
    return np.array(found)


def make(
    task: str,
    folder: Path,
    network: Network,
    precisions: Sequence[str] = (),
    count: int = 40,
    train: bool = False,
) -> Recurrent:
    """Build, train where asked, export, convert: a candidate for judging."""
    kind = kind_of(task)
    torch.manual_seed(5)
    module = RecurrentModel(network, kind.dimensions).eval()
    raws = raws_of(task, count)
    encoded = [kind.task.encode(raw) for raw in raws]
    truths = _truths(task, kind.task, encoded)
    names = (kind.values, "lengths", *kind.extra)
    if train:
        _train(module, kind.task.collate(encoded), names, _targets(encoded))
    example = [
        torch.from_numpy(np.array(value)) for value in _in_order(kind.task.collate(encoded[1:3]), names)
    ]
    axes = {name: {0: "batch", 1: "time"} if name == kind.values else {0: "batch"} for name in names}
    whole = export_graph(module, example, folder / "model.onnx", names, (kind.output,), axes)
    graphs: dict[str, dict[str, Graph]] = {"fp32": {MODEL: whole}}
    specs: dict[str, GraphSpec] = {}
    parts: dict[str, Part] = {}
    if not network.bidirectional and not kind.dimensions.tokens:
        part = step_part(module, kind.output, kind.values)
        assert part.spec is not None and part.example is not None
        specs[STEP] = part.spec
        parts[STEP] = part
        path = folder / role_file("model.onnx", STEP)
        graphs["fp32"][STEP] = export_graph(
            part.module, part.example(), path, part.input_names, part.output_names, part.dynamic_axes
        )
    for name in precisions:
        graphs[name] = {
            role: make_variant(graph, name, [], folder / f"{role}_{name}.onnx", stateful=role == STEP)
            for role, graph in graphs["fp32"].items()
        }
    reference = Reference(torch_graphs(module, names, (kind.output,), **parts), kind.task, kind.metric)
    candidate = Candidate(
        task=task,
        model=network.cell,
        device_task=kind.task,
        graphs=graphs,
        licence="none (trained from random weights)",
        seed=0,
        versions={"edgewright": "0"},
        specs=specs,
    )
    samples = Samples(tuple(f"{task}/{row}" for row in range(count)), raws, truths)
    return Recurrent(module, reference, candidate, samples)


def _in_order(feeds: Tensors, names: Sequence[str]) -> list[NDArray[Any]]:
    return [feeds[name] for name in names]


def _truths(task: str, device: Task[Any], encoded: Sequence[Tensors]) -> list[Any]:
    """What is true of each sample, in the user's units where these are numbers."""
    if task == "sequence-regression":
        scale, mean = REGRESSION.target_std[0], REGRESSION.target_mean[0]
        return [smoothed(sample["values"]) * scale + mean for sample in encoded]
    if task == "forecasting":
        return [device.decode({"prediction": sample["anchor"]}, {}).values for sample in encoded]
    return [row % len(LABELS) for row in range(len(encoded))]


def _targets(encoded: Sequence[Tensors]) -> NDArray[Any]:
    """The truth of a regression in the graph's units, padded with NaN."""
    rows = [smoothed(sample["values"]) for sample in encoded]
    longest = max(len(row) for row in rows)
    return np.stack([np.pad(row, ((0, longest - len(row)), (0, 0)), constant_values=np.nan) for row in rows])


def _train(module: RecurrentModel, batch: Tensors, names: Sequence[str], targets: NDArray[Any]) -> None:
    inputs = [torch.from_numpy(value) for value in _in_order(batch, names)]
    wanted = torch.from_numpy(targets).float()
    known = torch.isfinite(wanted)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    module.train()
    for _ in range(150):
        optimizer.zero_grad()
        torch.autograd.backward(torch.nn.functional.mse_loss(module(*inputs)[known], wanted[known]))
        optimizer.step()
    module.eval()


@functools.cache
def network(cell: str, **more: Any) -> Network:
    """A small network of `cell`."""
    return Network(cell, **{"hidden": 16, **more})
