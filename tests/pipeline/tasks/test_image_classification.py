"""The training half of image classification."""

import numpy as np
import pytest
import torch
from PIL import Image

from edgewright.exporters.reference import packed
from edgewright.pipeline.catalog import TASKS
from edgewright.pipeline.tasks.augment import STRENGTHS, augment_image
from edgewright.pipeline.tasks.classification import balanced_weights
from edgewright.pipeline.tasks.image_classification import ImageClassification
from edgewright.pipeline.tasks.registry import make_training_task
from edgewright.runtime.errors import RecipeError
from edgewright.runtime.images.decoding import load_image
from edgewright.runtime.images.encoding import ImageSettings, encode_image
from edgewright.runtime.tasks import TASKS as DEVICE_TASKS
from tests.answering import answers_of
from tests.messages import refused

CLASSES = ("cat", "dog", "owl")
SETTINGS = ImageSettings(10, (8, 8), "bilinear", (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


def picture(width: int = 40, height: int = 30) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_every_device_task_has_a_training_half() -> None:
    assert set(TASKS) == set(DEVICE_TASKS)


def test_unknown_task() -> None:
    with refused(RecipeError):
        make_training_task("detection", CLASSES)


def test_losses_of_auxiliary_heads_weigh_as_published() -> None:
    task = ImageClassification(CLASSES, auxiliary_weights={"aux1": 0.3, "aux2": 0.5})
    logits, one, two = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(0)).unbind()
    targets = torch.tensor([0, 1, 2, 1])
    entropy = torch.nn.functional.cross_entropy
    expected = entropy(logits, targets) + 0.3 * entropy(one, targets) + 0.5 * entropy(two, targets)
    losses = task.losses(logits, {"aux1": one, "aux2": two}, targets)
    assert losses.shape == (4,)
    assert losses.mean() == pytest.approx(float(expected))


def test_balanced_weights_make_classes_count_the_same() -> None:
    targets = np.array([0] * 6 + [1] * 3)
    weights = balanced_weights(targets, 3)
    assert weights == (0.75, 1.5, 0.0)
    task = ImageClassification(CLASSES, class_weights=weights)
    each = task.weights(targets)
    assert each[:6].sum() == each[6:].sum() == 4.5
    assert ImageClassification(CLASSES).weights(targets).tolist() == [1.0] * 9


def test_a_metric_is_the_mean_of_its_outcomes() -> None:
    task = ImageClassification(CLASSES)
    logits = np.array([[2, 1, 0], [0, 2, 1], [0, 2, 1]], np.float32)
    answers = answers_of(task.device_task(SETTINGS, CLASSES), {"logits": logits})
    metric = task.metric()
    evidence = packed([metric.evidence(*pair) for pair in zip(answers, [0, 1, 2], strict=True)])
    assert metric.outcomes is not None
    assert metric.outcomes(evidence).tolist() == [True, True, False]
    assert metric.of(evidence) == pytest.approx(2 / 3)
    assert task.metric("macro-f1").outcomes is None
    assert {figure.name for figure in task.figures} == {"accuracy", "macro-f1", "auroc", "confusion"}
    with refused(RecipeError):
        task.metric("bleu")


def test_the_device_half_is_the_runtimes_own() -> None:
    device = ImageClassification(CLASSES).device_task(SETTINGS, CLASSES)
    image = picture()
    assert device.labels == CLASSES
    expected = encode_image(load_image(image, SETTINGS.max_pixels), SETTINGS)
    assert np.array_equal(device.encode(image)["pixel_values"], expected)


@pytest.mark.parametrize("name", STRENGTHS)
def test_the_same_draws_give_the_same_pixels(name: str) -> None:
    task = ImageClassification(CLASSES, augmentation=name)
    assert task.augments
    one, again, other = (
        np.asarray(task.augment(picture(), np.random.default_rng(seed))) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_without_augmentation_the_image_stays() -> None:
    task, image = ImageClassification(CLASSES), picture()
    assert not task.augments
    assert task.augment(image, np.random.default_rng(0)) is image


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_tiny_images_can_be_augmented(size: tuple[int, int], seed: int) -> None:
    changed = augment_image(picture(*size), STRENGTHS["standard"], np.random.default_rng(seed))
    assert changed.width >= 1
    assert changed.height >= 1
    assert changed.mode == "RGB"
