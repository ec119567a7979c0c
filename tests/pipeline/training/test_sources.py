"""Inputs of the loop: encoded once and kept, padded by the device's own code, or rows of cached features."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from edgewright.exporters.part import TorchGraphs
from edgewright.pipeline.tasks.base import Objective
from edgewright.pipeline.tasks.registry import task_of
from edgewright.pipeline.training import sample_source
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.sample_source import SampleSource
from edgewright.pipeline.training.sources import ArraySource, StepSource
from edgewright.pipeline.training.stepping import evaluate
from edgewright.runtime.contracts import Tensors
from edgewright.runtime.errors import InputError, TrainingError
from edgewright.runtime.graphs.graphs import BatchLimits, Graphs
from edgewright.runtime.series.settings import Series
from tests.messages import refused
from tests.pipeline.families import toy_pictures
from tests.pipeline.training.small_net import recipe, small_model, small_splits
from tests.pipeline.training.small_sequences import COLUMNS, sequence_model, sequence_recipe, sequence_splits


def parts(name: str) -> tuple[Any, Any, tuple[str, ...]]:
    built, splits = sequence_model(name), sequence_splits(name)
    task = task_of(built, splits, sequence_recipe(name))
    return task, task.device_task(built.settings, splits.classes), built.input_names


class Echo(Graphs):
    """Gives back the picture."""

    def __init__(self) -> None:
        super().__init__({}, BatchLimits())

    def run(self, role: str, inputs: Tensors) -> Tensors:
        return {"scores": inputs["pixel_values"]}


@pytest.mark.parametrize("keep", [False, True])
def test_what_an_answer_needs_beside_the_outputs_is_there_again_and_again(keep: bool) -> None:
    device, task = toy_pictures.DeviceTask({}, ()), toy_pictures.Toy()
    samples = toy_pictures.bright_squares("squares", recipe({})).evaluation
    source = SampleSource(samples, task, device, keep=keep)
    wanted = [
        device.decode({"scores": one["pixel_values"]}, one)
        for one in map(device.encode, (s.raw for s in samples))
    ]
    rows = dataclasses.replace(task)
    object.__setattr__(rows, "reads_rows", True)
    of_rows = SampleSource(samples, rows, device, keep=keep)
    outputs = [device.encode(sample.raw)["pixel_values"] for sample in samples]
    for _ in range(2):
        for index in range(len(samples)):
            source.encode(index), of_rows.encode(index)  # as a training does, between two evaluations
        assert source.answers is not None and of_rows.answers is not None
        for found in (source.answers.run(Echo()), of_rows.answers.read(outputs, Echo())):
            assert all(
                np.array_equal(answer.pixels, mask.pixels)
                for (answer, _, _), mask in zip(found, wanted, strict=True)
            )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_model_that_has_exploded_is_told_to_learn_more_slowly(value: float) -> None:
    built = toy_pictures.Family().rebuild({"library": "toy-pictures", "seed": 0}, "none")
    samples = toy_pictures.bright_squares("squares", recipe({})).evaluation
    source = SampleSource(samples, toy_pictures.Toy(), toy_pictures.DeviceTask({}, ()))
    call = (built.module, source, toy_pictures.Toy(), 4, World(), "evaluation", TorchGraphs(built.parts()))
    assert 0.0 <= evaluate(*call)["overlap"] <= 1.0
    with torch.no_grad():
        for parameter in built.module.parameters():
            parameter.fill_(value)
    with refused(TrainingError):
        evaluate(*call)


def test_a_source_that_nobody_judges_encodes_nothing_before_its_first_row() -> None:
    device = toy_pictures.DeviceTask({}, ())
    counting, task = Counting.of(device), task_without_truths()
    for name in (
        "ragged",
        "loops",
        "counts_tokens",
        "rows",
        "timed_outputs",
        "input_names",
        "parts",
        "windows",
    ):
        setattr(counting, name, getattr(device, name))
    counting.encode_all = lambda raws: [counting.encode(raw) for raw in raws]
    samples = toy_pictures.bright_squares("squares", recipe({})).train
    source = SampleSource(samples, task, counting, keep=True, judged=False)
    assert counting.encoded == 0 and source.answers is None
    SampleSource(samples, task, counting, keep=True)
    assert counting.encoded == len(samples)


def task_without_truths() -> Any:
    """The toy, whose truths are made as those of most tasks: with the encoded sample at hand."""

    class Plain(toy_pictures.Toy):
        truths = Objective.truths

    return Plain()


class Counting:
    """A device half that counts what it encodes."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self.encoded = 0

    @classmethod
    def of(cls, device: Any) -> Any:
        return cls(device)

    def encode(self, raw: Any) -> Any:
        self.encoded += 1
        return self._device.encode(raw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)


@pytest.mark.parametrize("workers", [0, 3])
def test_a_sequence_is_encoded_once_and_padded_by_the_device(workers: int) -> None:
    task, device, names = parts("sequence-regression")
    samples, counting, told = sequence_splits("sequence-regression").train, Counting.of(device), []
    source = SampleSource(samples, task, counting, workers=workers, names=names,
                          progress=lambda done, total: told.append((done, total)))  # fmt: skip
    assert told == [(32, 94), (64, 94), (94, 94)]
    assert source.lengths is not None
    assert source.lengths.tolist() == [len(sample.raw.values) for sample in samples]
    assert source.targets.shape == (94, 8, 2)
    plan = [np.array([3, 0, 7]), np.array([], np.int64), np.array([5])]
    for epoch in (0, 1, None):
        (values, lengths), nothing, (single, _) = source.batches(plan, epoch)
        assert nothing == ()
        assert lengths.tolist() == source.lengths[[3, 0, 7]].tolist()
        assert values.shape == (3, lengths.max(), 8)
        for row, index in enumerate((3, 0, 7)):
            alone = device.encode(samples[index].raw)["values"]
            assert np.array_equal(values[row, : lengths[row]].numpy(), alone)
            assert not values[row, lengths[row] :].any()
    assert counting.encoded == 94
    single += 1  # what is kept must not be written to
    ((again, _),) = source.batches([np.array([5])], None)
    assert torch.equal(again + 1, single)


def test_what_is_large_is_encoded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_source, "_KEPT_BYTES", 3000)
    task, device, names = parts("sequence-classification")
    counting = Counting.of(device)
    samples = sequence_splits("sequence-classification").train
    source = SampleSource(samples, task, counting, names=names)
    assert counting.encoded == 94
    list(source.batches([np.arange(94)], None))
    assert counting.encoded == 188


def test_pictures_are_not_looked_at_before_their_turn() -> None:
    built, splits = small_model(), small_splits()
    task = task_of(built, splits, recipe())
    counting = Counting.of(task.device_task(built.settings, splits.classes))
    source = SampleSource(splits.train, task, counting)
    assert counting.encoded == 0
    assert source.lengths is None
    ((images,),) = source.batches([np.arange(5)], None)
    assert images.shape == (5, 3, 8, 8)
    assert counting.encoded == 5


def test_a_sample_that_cannot_be_encoded_says_so_at_the_start() -> None:
    task, device, names = parts("sequence-classification")
    samples = list(sequence_splits("sequence-classification").train[:3])
    broken = Series(np.full((4, 8), np.inf), COLUMNS, name="pump 7")
    samples.append(type(samples[0])("pump 7", broken, 0, "0" * 64))
    with refused(InputError):
        SampleSource(samples, task, device, names=names)


def test_inputs_beside_the_sequence_are_stacked() -> None:
    task, device, names = parts("forecasting")
    assert names == ("values", "lengths", "anchor", "known")
    samples = sequence_splits("forecasting").evaluation
    source = SampleSource(samples, task, device, names=names)
    anchors = source.column("anchor")
    assert anchors.shape == (40, 5, 1)
    assert np.array_equal(anchors[7], device.encode(samples[7].raw)["anchor"])


def test_cached_steps_are_padded() -> None:
    lengths = np.array([2, 0, 3], np.int64)
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    source = StepSource(rows, lengths, np.zeros(3))
    ((both,), (none,)) = source.batches([np.array([2, 0]), np.array([], np.int64)], None)
    assert both.tolist() == [[[4, 5], [6, 7], [8, 9]], [[0, 1], [2, 3], [0, 0]]]
    assert none.shape == (0, 0, 2)


def test_cached_features_come_with_what_the_head_takes_beside_them() -> None:
    rows, beside = np.ones((4, 2), np.float32), np.arange(8, dtype=np.float32).reshape(4, 2)
    ((features, other),) = ArraySource(rows, np.zeros(4), beside).batches([np.array([3, 1])], None)
    assert features.shape == (2, 2)
    assert other.tolist() == [[6, 7], [2, 3]]
