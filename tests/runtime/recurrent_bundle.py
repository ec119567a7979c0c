"""Makes small but real recurrent bundles, one for each task, with a streaming form and golden samples."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.manifest import Golden, GoldenSample, Manifest, Tolerance, Variant
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import GraphSpec, Tensors
from edgewright.runtime.series.settings import ForecastSettings, Series, SeriesSettings
from edgewright.runtime.sound.mel import AudioSettings
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.text.decoding import TextSettings
from tests.runtime.recurrent_graphs import Net
from tests.runtime.small_bundle import golden_file, write_manifest

LABELS = ("calm", "rising", "wild")
FEATURES = ("heat", "load", "speed")
SETTINGS = SeriesSettings(FEATURES, (20.0, 1.0, -3.0), (5.0, 0.5, 2.0))
REGRESSION = dataclasses.replace(
    SETTINGS, targets=("torque", "drag"), target_mean=(10.0, -1.0), target_std=(4.0, 0.25)
)
FORECAST = SeriesSettings(
    FEATURES,
    (20.0, 1.0, 0.5),
    (5.0, 0.5, 0.5),
    targets=("heat", "load"),
    time_column="when",
    step=60.0,
    forecast=ForecastSettings(4, 3, 6, ("speed",), "seasonal", (0.5,), (0.5,)),
)
AUDIO = AudioSettings(8000, 200, 80, 256, 12, 50.0, 4000.0, (-6.0,) * 12, (3.0,) * 12)
TEXT = TextSettings(12)


def tokenizer_json() -> bytes:
    """A tokenizer of whole words, as tokenizer.json."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = ["[UNK]", "good", "bad", "film", "the", "a", "very", "was", "not", "boring"]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return str(tokenizer.to_str()).encode()


def series_values(steps: int, seed: int = 0, columns: int = 3) -> NDArray[np.float64]:
    """Steps [steps, 3] in the units of `SETTINGS`."""
    random = np.random.default_rng(seed)
    return np.array([20.0, 1.0, -3.0])[:columns] + random.normal(size=(steps, columns)) * 2


def forecast_series(steps: int, seed: int = 0) -> Series:
    """A series with times and what is known ahead."""
    values = series_values(steps, seed)
    known = np.random.default_rng(seed + 100).normal(size=(4, 1))
    return Series(values, FEATURES, np.asarray(1e9 + 60.0 * np.arange(steps), np.float64), "", known)


def sound(samples: int, seed: int = 0) -> NDArray[np.float32]:
    """A tone with noise, at 8000 Hz."""
    random = np.random.default_rng(seed)
    tone = np.sin(2 * np.pi * (300 + 500 * seed) * np.arange(samples) / 8000)
    return (0.3 * tone + 0.05 * random.normal(size=samples)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Case:
    """One task: its settings, its net, and some raw inputs."""

    task: str
    settings: Any
    net: Net
    labels: tuple[str, ...]
    raws: tuple[Any, ...]
    streams: bool = True

    def device_task(self) -> Task[Any]:
        """The device half of the task."""
        assets = {} if self.streams else {"tokenizer": tokenizer_json()}
        return load_task(self.task, to_plain(self.settings), self.labels, assets)


def case(task: str) -> Case:
    """The small example of a task."""
    lengths = (7, 1, 12)
    if task == "sequence-classification":
        raws = tuple(series_values(length, length) for length in lengths)
        return Case(task, SETTINGS, Net(3, 8, 3), LABELS, raws)
    if task == "sequence-regression":
        raws = tuple(series_values(length, length) for length in lengths)
        return Case(task, REGRESSION, Net(3, 8, 2, per_step=True), (), raws)
    if task == "forecasting":
        series = tuple(forecast_series(6, seed) for seed in range(3))
        return Case(task, FORECAST, Net(3, 8, 2, horizon=4, known=1), (), series)
    if task == "audio-classification":
        sounds = tuple((sound(length, seed), 8000) for seed, length in enumerate((2000, 256, 3217)))
        return Case(task, AUDIO, Net(12, 8, 3, source="input_features"), LABELS, sounds)
    texts = ("the film was very good", "bad", "a boring film\nnot good")
    return Case(task, TEXT, Net(6, 8, 3, vocabulary=10), LABELS, texts, streams=False)


RECURRENT = (
    "sequence-classification",
    "sequence-regression",
    "forecasting",
    "audio-classification",
    "text-classification",
)
STREAMING = RECURRENT[:-1]


def make_recurrent_bundle(
    root: Path, example: Case, change: Callable[[Manifest], Manifest] = lambda manifest: manifest
) -> Path:
    """Write a bundle of `example` with the variant fp32; `change` may alter the manifest before that."""
    example.net.write(root / "onnx" / "model.onnx")
    graphs = {"model": "onnx/model.onnx"}
    if example.streams:
        example.net.write_step(root / "onnx" / "step.onnx")
        graphs["step"] = "onnx/step.onnx"
    task = example.device_task()
    samples: list[GoldenSample] = []
    rows: list[Tensors] = []
    decisions: list[Any] = []
    for index, raw in enumerate(example.raws):
        (root / "golden").mkdir(exist_ok=True)
        content, suffix = task.raw_file(raw)
        (root / "golden" / f"{index}{suffix}").write_bytes(content)
        samples.append(GoldenSample(f"sample {index}", f"golden/{index}{suffix}"))
        sample = task.encode(raw)
        rows.append({example.net.output: example.net.answer(sample)})
        decisions.append(task.decision(task.decode(rows[-1], sample)))
    if rows:
        (root / "golden.safetensors").write_bytes(golden_file(rows))
    assets = {}
    for role, (name, content) in task.assets.items():
        (root / name).write_bytes(content)
        assets[role] = name
    manifest = Manifest(
        task=example.task,
        model="lstm",
        processor=task.processor,
        graphs={
            "model": GraphSpec(example.net.inputs, example.net.whole_outputs),
            **({"step": example.net.streaming} if example.streams else {}),
        },
        labels=example.labels,
        variants=(Variant("fp32", graphs, Tolerance(1e-4)),),
        default_variant="fp32",
        files=(),
        golden=Golden(
            tuple(samples),
            "golden.safetensors" if rows else "",
            tuple(decisions),
        ),
        verdict={},
        versions={},
        licence="Apache-2.0",
        seed=0,
        assets=assets,
    )
    return write_manifest(root, change(manifest))
