"""What the streaming measurements run: recurrent models with random weights, as torch and as bundles."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgewright.exporters.bundle.write import Candidate, write_candidate
from edgewright.exporters.graph.export import Graph, export_graph
from edgewright.exporters.precision.registry import make_variant
from edgewright.exporters.reference import Samples
from edgewright.exporters.verdict import GoldenAnswers
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.recurrent.build import build_recurrent
from edgewright.pipeline.models.recurrent.network import Network
from edgewright.runtime.bundle.manifest import Tolerance
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.series.settings import SeriesSettings
from edgewright.runtime.sound.mel import AudioSettings
from edgewright.runtime.tasks import load_task

__all__ = ["FEATURES", "PlainStep", "RecurrentSubject", "make_audio_subject", "make_sensor_subject"]

FEATURES = 64
"""Columns of the sensor series: as in the measurements that the promises come from."""


@dataclass(frozen=True)
class RecurrentSubject:
    """A model as torch runs it, and its bundle with every precision that was asked for."""

    built: BuiltModel
    bundle: Path


class PlainStep:
    """Streaming as one writes it in torch: a cell with its state and a linear head, one ready step at a time."""

    def __init__(self, cell: str, hidden: int) -> None:
        make = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell]
        self.cell, self.head = make(FEATURES, hidden).eval(), nn.Linear(hidden, 1).eval()
        self.step = torch.randn(1, 1, FEATURES)
        self.state: Any = None

    def __call__(self) -> torch.Tensor:
        with torch.inference_mode():
            output, self.state = self.cell(self.step, self.state)
            answer: torch.Tensor = self.head(output[0])
        return answer


def make_sensor_subject(
    cell: str, hidden: int, folder: Path, precisions: tuple[str, ...] = ("fp32",)
) -> RecurrentSubject:
    """sequence-regression of one value per step from `FEATURES` sensor columns."""
    names = tuple(f"sensor {number}" for number in range(FEATURES))
    settings = SeriesSettings(
        features=names,
        mean=(0.1,) * FEATURES,
        std=(1.1,) * FEATURES,
        targets=("force",),
        target_mean=(2.0,),
        target_std=(3.0,),
    )
    raw = np.random.default_rng(0).normal(size=(16, FEATURES))
    return _subject("sequence-regression", cell, hidden, settings, (), raw, folder, precisions)


def make_audio_subject(cell: str, hidden: int, folder: Path) -> RecurrentSubject:
    """audio-classification of sound at 16 kHz: 25 ms windows every 10 ms, 40 mel bands, five classes."""
    settings = AudioSettings(
        sample_rate=16000, window=400, hop=160, fft=512, mels=40, low_hz=0.0, high_hz=8000.0, mean=(-8.0,) * 40,
        std=(4.0,) * 40, max_seconds=None,
    )  # fmt: skip
    raw = np.random.default_rng(0).normal(size=16000).astype(np.float32) * 0.1, 16000
    labels = tuple(f"word {number}" for number in range(5))
    return _subject("audio-classification", cell, hidden, settings, labels, raw, folder, ("fp32",))


def _subject(
    task_name: str,
    cell: str,
    hidden: int,
    settings: Any,
    labels: tuple[str, ...],
    raw: Any,
    folder: Path,
    precisions: tuple[str, ...],
) -> RecurrentSubject:
    place = folder / f"{task_name}_{cell}_{hidden}"
    built = build_recurrent(task_name, Network(cell=cell, hidden=hidden), settings, len(labels))
    task = load_task(task_name, to_plain(settings), labels)
    feeds = task.collate([task.encode(raw)] * 2)
    example = tuple(torch.from_numpy(feeds[name]) for name in built.input_names)
    whole = export_graph(
        built.module, example, place / "model.onnx", built.input_names, built.output_names, built.dynamic_axes
    )
    part = built.part("step")
    assert part.example is not None and part.spec is not None
    step = export_graph(
        part.module,
        part.example(),
        place / "step.onnx",
        part.input_names,
        part.output_names,
        part.dynamic_axes,
    )
    graphs: dict[str, dict[str, Graph]] = {"fp32": {"model": whole, "step": step}}
    for name in precisions:
        if name != "fp32":
            graphs[name] = {
                "model": make_variant(whole, name, [feeds], place / f"model_{name}.onnx"),
                "step": make_variant(step, name, [], place / f"step_{name}.onnx", stateful=True),
            }
    candidate = Candidate(
        task=task_name,
        model=cell,
        device_task=task,
        graphs=graphs,
        licence="none",
        seed=0,
        specs={"step": part.spec},
    )
    tolerances = {name: Tolerance(1.0) for name in graphs}
    golden = GoldenAnswers((), "", (), tolerances)
    bundle = write_candidate(
        place / "bundle",
        candidate,
        list(graphs),
        tuple(graphs),
        golden,
        None,
        Samples(("one",), [raw], [0]),
    )
    return RecurrentSubject(built, bundle)
