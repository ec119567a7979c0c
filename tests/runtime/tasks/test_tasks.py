"""The device half of image classification, and the registry of tasks."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import GraphSpec, TensorSpec
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.tasks import TASKS, load_task
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.image_classification import ImageClassification
from edgewright.runtime.tasks.labels import Classification, LabelScore
from tests.answering import answers_of, decisions_of
from tests.messages import refused
from tests.pipeline.families import toy_spelling
from tests.runtime.encoder_bundle import CASES as ENCODERS
from tests.runtime.recurrent_bundle import RECURRENT, case
from tests.runtime.small_bundle import LABELS, SETTINGS, colour_image


@pytest.fixture
def task() -> ImageClassification:
    return ImageClassification(to_plain(SETTINGS), LABELS)


def logits(*rows: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {"logits": np.array(rows, np.float32)}


@pytest.mark.parametrize("name", TASKS)
def test_every_registered_task_loads(name: str) -> None:
    if name == "image-classification":
        task: Task[Any] = load_task(name, to_plain(SETTINGS), LABELS)
        assert task.labels == LABELS
    elif name in RECURRENT:
        task = case(name).device_task()
        assert task.labels == case(name).labels
    else:
        example = next(example for example in ENCODERS.values() if example.task == name)
        task = example.device_task()
        assert task.labels == example.labels
    assets = {role: content for role, (_, content) in task.assets.items()}
    again = load_task(name, task.processor, task.labels, assets)
    assert again.processor == task.processor and again.assets == task.assets
    assert task.reads_text == (name in {example.task for example in ENCODERS.values()})


def test_the_two_halves_of_encode_make_the_whole(task: ImageClassification) -> None:
    raw = np.asarray(colour_image(0))
    whole = task.encode(raw)
    halves = task.encode_loaded(task.load(raw))
    assert list(whole) == ["pixel_values"] and np.array_equal(whole["pixel_values"], halves["pixel_values"])


def test_collate(task: ImageClassification) -> None:
    samples = [task.encode(colour_image(index)) for index in range(3)]
    assert task.collate(samples)["pixel_values"].shape == (3, 3, 16, 16)
    one = task.collate(samples[:1])["pixel_values"]
    assert one.shape == (1, 3, 16, 16) and np.shares_memory(one, samples[0]["pixel_values"])
    assert np.array_equal(task.collate(samples)["pixel_values"][2], samples[2]["pixel_values"])


def test_decode_sorts_and_sums_to_one(task: ImageClassification) -> None:
    first, second = answers_of(task, logits([1, 3, 2], [0, 0, 0]))
    assert [score.label for score in first.labels] == ["green", "blue", "red"]
    assert [score.index for score in first.labels] == [1, 2, 0]
    assert sum(score.probability for score in first.labels) == pytest.approx(1)
    assert first.probability == pytest.approx(np.exp(3) / (np.exp(1) + np.exp(2) + np.exp(3)))
    assert (first.label, first.index) == ("green", 1)
    assert first.top(2) == first.labels[:2] and len(first.top(9)) == 3
    assert [score.label for score in second.labels] == list(LABELS), "equal ones keep the order of the output"
    assert second.label == "red" and second.probability == pytest.approx(1 / 3)


def test_softmax_does_not_overflow(task: ImageClassification) -> None:
    for row in ([3e38, -3e38, 0], [-3e38, -3e38, -3e38], [1000, 999, 0]):
        (answer,) = answers_of(task, logits(row))
        assert np.isfinite(answer.probabilities).all()
        assert sum(answer.probabilities) == pytest.approx(1)


def test_a_label_and_its_decision_never_differ(task: ImageClassification) -> None:
    """Two logits one bit apart have the same probability in float32; the larger one must still win."""
    close = np.float32(100)
    row = [close, np.nextafter(close, np.float32(200)), np.float32(0)]
    (answer,) = answers_of(task, logits(row))
    assert task.decision(answer) == 1
    assert answer.index == 1 and answer.labels[0].index == 1


def test_decisions_are_plain_values(task: ImageClassification) -> None:
    decisions = decisions_of(task, logits([1, 3, 2], [5, 0, 0], [0, 0, 0]))
    assert decisions == [1, 0, 0] and all(type(decision) is int for decision in decisions)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_answers_that_are_not_finite(task: ImageClassification, value: float) -> None:
    with refused(InputError):
        answers_of(task, logits([0, 0, 0], [0, value, 0]))
    with refused(InputError):
        task.decision(Classification(LABELS, np.array([0, value, 0])))


@pytest.mark.parametrize("shape", [(), (4,), (3, 1)])
def test_logits_of_another_shape(task: ImageClassification, shape: tuple[int, ...]) -> None:
    with refused(BundleError):
        task.decode({"logits": np.zeros(shape, np.float32)}, {})


def test_check(task: ImageClassification) -> None:
    image, out = (
        TensorSpec("pixel_values", "float32", ("batch", 3, 16, 16)),
        TensorSpec("logits", "float32", ("b", 3)),
    )
    task.check({"model": GraphSpec((image,), (out,))})
    any_size = TensorSpec("pixel_values", "float32", ("batch", 3, "h", "w"))
    task.check({"model": GraphSpec((any_size,), (out,))})
    for inputs, outputs in [
        ([image, TensorSpec("mask", "float32", ("batch",))], [out]),
        ([], [out]),
        ([image], []),
        ([TensorSpec("x", "float32", image.shape)], [out]),
        ([TensorSpec("pixel_values", "float32", ("batch", 1, 16, 16))], [out]),
        ([TensorSpec("pixel_values", "float32", (3, 16, 16))], [out]),
        ([image], [TensorSpec("logits", "float32", ("b", 4))]),
        ([image], [TensorSpec("scores", "float32", ("b", 3))]),
    ]:
        with refused(BundleError):
            task.check({"model": GraphSpec(tuple(inputs), tuple(outputs))})
    with refused(BundleError):
        task.check({"step": GraphSpec((image,), (out,))})
    for foreign in ("step", "decoder"):
        with refused(BundleError):
            task.check({role: GraphSpec((image,), (out,)) for role in ("model", foreign)})


def test_other_states_and_constants_than_the_task_needs() -> None:
    task = toy_spelling.DeviceTask(to_plain(SETTINGS), ("a",))
    reads, writes = toy_spelling.READS, toy_spelling.WRITES
    task.check({"encoder": reads, "decoder": writes})
    state = writes.states[0]
    changes: list[dict[str, Any]] = [
        {"constants": {}},
        {"constants": {"token": "encoder.keys"}},
        {"states": ()},
        {"states": (state, dataclasses.replace(state, input="more", output="more_next"))},
        {"states": (dataclasses.replace(state, input="before"),)},
        {"states": (dataclasses.replace(state, output="before"),)},
        {"states": (dataclasses.replace(state, grows=None, shape=("batch", 8)),)},
        {"states": (dataclasses.replace(state, shape=("batch", "past", 9)),)},
    ]
    for changed in changes:
        with refused(BundleError):
            task.check({"encoder": reads, "decoder": dataclasses.replace(writes, **changed)})


def test_a_thousand_classes_cost_little() -> None:
    """Sorting is left until it is asked for, so an answer holds no thousand objects."""
    names = tuple(map(str, range(1000)))
    task = ImageClassification(to_plain(SETTINGS), names)
    logits = np.arange(1000, dtype=np.float32)
    answer = task.decode({"logits": logits}, {})
    assert set(vars(answer)) == {"names", "logits", "lost", "alone"}
    assert answer.label == "999" and answer.top(1) == (LabelScore("999", 999, answer.probability),)
    assert answer == Classification(names, logits.copy()) != Classification(names, logits[::-1])
