"""The built-in sets, and finding a run's samples again."""

import json
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.data.builtin import BUILTIN_SETS
from edgewright.pipeline.data.digits import handwritten_digits
from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.data.sources import open_data, restore_splits
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError, MachineError, RecipeError
from edgewright.runtime.images.decoding import load_image
from tests.messages import refused


def recipe(**data: Any) -> Recipe:
    return recipe_from_plain(
        {
            "task": "image-classification",
            "model": "resnet18",
            "weights": "none",
            "data": {"source": "builtin:digits", **data},
        }
    )


@pytest.fixture(scope="module")
def digits() -> Splits:
    return open_data(recipe())


@pytest.mark.parametrize("name", BUILTIN_SETS)
def test_every_set_holds_images_that_the_device_reads(name: str) -> None:
    loaded = BUILTIN_SETS[name]()
    assert len(loaded.images) == len(loaded.targets) > 100
    assert set(loaded.targets) == set(range(len(loaded.classes)))
    assert all(image.dtype == np.uint8 for image in loaded.images)
    assert load_image(loaded.images[0]).size == loaded.images[0].shape[1::-1]


def test_the_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    pictures, targets = handwritten_digits()
    expected = load_digits()
    assert pictures.dtype == expected.images.dtype and np.array_equal(pictures, expected.images)
    assert targets.dtype == np.int64 and np.array_equal(targets, expected.target)


def test_without_scikit_learn_the_digits_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.pipeline.data.digits.find_spec", lambda name: None)
    with refused(MachineError):
        open_data(recipe())


def test_digits_use_the_whole_range_and_no_sample_is_lost(digits: Splits) -> None:
    assert digits.classes == tuple("0123456789") and digits.looked_at == "1797 images"
    assert sum(map(sum, digits.counts().values())) == 1797 and digits.skipped == ()
    pixels = np.stack([np.asarray(sample.raw) for sample in digits.train])
    assert pixels.shape[1:] == (8, 8) and (pixels.min(), pixels.max()) == (0, 255)


def test_classes_come_in_the_order_of_the_recipe() -> None:
    splits = open_data(recipe(classes=["7", 5], train_per_class=4))
    assert splits.classes == ("7", "5") and splits.counts()["train"] == (4, 4)
    (sevens,) = {
        sample.target for sample in splits.train if BUILTIN_SETS["digits"]().targets[_index(sample.id)] == 7
    }
    assert sevens == 0


def _index(name: str) -> int:
    return int(name.rpartition("/")[2])


def test_unknown_sets_and_classes() -> None:
    with refused(RecipeError):
        open_data(recipe(source="builtin:digit"))
    with refused(RecipeError):
        open_data(recipe(classes=["1", "10"]))


def test_early_stopping_needs_a_validation_split() -> None:
    plain = recipe(validation=0).to_plain()
    plain["training"]["early_stopping"] = 2
    with refused(DataError):
        open_data(recipe_from_plain(plain))


def test_a_run_finds_its_samples_again(digits: Splits) -> None:
    document = json.loads(json.dumps(digits.to_plain()))
    again = restore_splits(document, recipe())
    assert again == digits and again.digest() == digits.digest()
    for before, after in zip(digits.evaluation, again.evaluation, strict=True):
        np.testing.assert_array_equal(before.raw, after.raw)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": {}}, "the list of samples is broken .* run fit again"),
        ({"classes": 3}, "the list of samples is broken .* run fit again"),
        (None, "the list of samples is broken .* run fit again"),
    ],
)
def test_a_broken_list_of_samples(digits: Splits, change: dict[str, Any] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        restore_splits(None if change is None else {**digits.to_plain(), **change}, recipe())


def test_a_set_that_has_changed_is_noticed(digits: Splits) -> None:
    plain = digits.to_plain()
    plain["splits"]["train"][0][2] = "0" * 64
    with refused(DataError):
        restore_splits(plain, recipe())
