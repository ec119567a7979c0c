"""Settings, models and batches for the tests of recurrent models."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor

from edgewright.exporters.graph.export import Graph, export_graph
from edgewright.exporters.part import Part
from edgewright.pipeline.models.model import BuiltModel
from edgewright.pipeline.models.recurrent.build import build_recurrent
from edgewright.pipeline.models.recurrent.model import RecurrentModel
from edgewright.pipeline.models.recurrent.network import Network
from edgewright.runtime.contracts import StateSpec
from edgewright.runtime.graphs.session_options import cpu_session
from edgewright.runtime.series.settings import ForecastSettings, SeriesSettings
from edgewright.runtime.sound.mel import AudioSettings
from edgewright.runtime.text.decoding import TextSettings

TASKS = (
    "sequence-classification",
    "sequence-regression",
    "forecasting",
    "text-classification",
    "audio-classification",
)
FEATURES = ("speed", "load", "heat")
WORDS = ("[UNK]", "the", "cell", "reads", "one", "word", "after", "another")


def tokenizer() -> bytes:
    """A tokenizer of whole words, as JSON."""
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(made.to_str()).encode()


def settings_for(task: str, known: bool = True) -> Any:
    """Settings as the training data would have given them."""
    if task == "text-classification":
        return TextSettings(max_tokens=64, policy="truncate")
    if task == "audio-classification":
        return AudioSettings(
            sample_rate=8000, window=200, hop=80, fft=256, mels=5, low_hz=0.0, high_hz=4000.0,
            mean=(0.0,) * 5, std=(1.0,) * 5, max_seconds=None,
        )  # fmt: skip
    mean, std = (0.0,) * 3, (1.0,) * 3
    if task == "sequence-classification":
        return SeriesSettings(FEATURES, mean, std)
    if task == "sequence-regression":
        return SeriesSettings(
            FEATURES, mean, std, targets=("force", "torque"), target_mean=(0.0,) * 2, target_std=(1.0,) * 2
        )
    names = ("heat",) if known else ()
    forecast = ForecastSettings(4, 1, 3, names, "last", (0.0,) * len(names), (1.0,) * len(names))
    return SeriesSettings(FEATURES, mean, std, targets=FEATURES[:2], forecast=forecast)


def build(task: str, network: Network, known: bool = True, **options: Any) -> BuiltModel:
    """A small model for `task`; classifiers have four classes."""
    assets = {"tokenizer": tokenizer()} if task == "text-classification" else {}
    classes = 4 if task.endswith("classification") else 0
    return build_recurrent(task, network, settings_for(task, known), classes, assets, **options)


def recurrent(built: BuiltModel) -> RecurrentModel:
    """The model's module, by its type."""
    assert isinstance(built.module, RecurrentModel)
    return built.module


def batch(
    built: BuiltModel, lengths: list[int], time: int | None = None, seed: int = 0
) -> tuple[Tensor, ...]:
    """Inputs of `built` with sequences of these lengths, padded with zeros up to `time`."""
    generator = torch.Generator().manual_seed(seed)
    dimensions = recurrent(built).dimensions
    count, time = len(lengths), time or max(lengths)
    if dimensions.tokens:
        values = torch.randint(0, dimensions.features, (count, time), generator=generator)
    else:
        values = torch.randn((count, time, dimensions.features), generator=generator)
    for row, length in enumerate(lengths):
        values[row, length:] = 0
    extra = []
    if dimensions.horizon:
        extra.append(torch.randn((count, dimensions.horizon, dimensions.outputs), generator=generator))
    if dimensions.known:
        extra.append(torch.randn((count, dimensions.horizon, dimensions.known), generator=generator))
    return (values, torch.tensor(lengths, dtype=torch.int32), *extra)


def one(inputs: tuple[Tensor, ...], row: int) -> tuple[Tensor, ...]:
    """One sample of a batch, alone and unpadded."""
    values, lengths, *extra = (tensor[row : row + 1] for tensor in inputs)
    return (values[:, : int(lengths[0])], lengths, *extra)


def export(built: BuiltModel, path: Path) -> Graph:
    """The whole model as a graph, from an example of two sequences of 7 steps."""
    example = batch(built, [7, 4])
    return export_graph(
        built.module, example, path, built.input_names, built.output_names, built.dynamic_axes
    )


def export_step(part: Part, path: Path) -> Graph:
    """The streaming form as a graph."""
    assert part.example is not None
    return export_graph(
        part.module, part.example(), path, part.input_names, part.output_names, part.dynamic_axes
    )


class Session:
    """A graph that answers tensors by position."""

    def __init__(self, path: Path) -> None:
        self._session = cpu_session(path, threads=1)
        self.names = [value.name for value in self._session.get_inputs()]

    def __call__(self, *inputs: Tensor | NDArray[Any]) -> list[NDArray[Any]]:
        arrays = [np.asarray(value) for value in inputs]
        found: list[NDArray[Any]] = self._session.run(None, dict(zip(self.names, arrays, strict=True)))
        return found


def states_of(part: Part) -> tuple[StateSpec, ...]:
    """What the graph hands from step to step."""
    assert part.spec is not None
    return part.spec.states


def initial_states(part: Part, rows: int) -> list[NDArray[np.float32]]:
    """The states before the first step of `rows` streams."""
    return [
        np.full([rows if side == "batch" else int(side) for side in state.shape], state.initial, np.float32)
        for state in states_of(part)
    ]
