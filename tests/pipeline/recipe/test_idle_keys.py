"""Keys of an encoder's recipe that would change nothing beside the others are refused, not passed over."""

from typing import Any

import pytest

from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.runtime.errors import RecipeError


@pytest.mark.parametrize(
    ("task", "sections", "needed", "message"),
    [
        (
            "text-classification",
            {"text": {"threshold": 0.3}},
            {"text": {"threshold": 0.3, "multi_label": True}},
            "recipe: text: threshold is for multi_label: true, of one label the best counts: remove the key, or set "
            "multi_label",
        ),
        (
            "question-answering",
            {"question": {"null_threshold": 2.0}},
            {"question": {"null_threshold": 2.0, "no_answer": True}},
            "recipe: question: null_threshold is for no_answer: true, without it every question has an answer: remove "
            "the key, or set no_answer",
        ),
        (
            "text-classification",
            {"text": {"multi_label": True}, "training": {"class_weights": "balanced"}},
            {"training": {"class_weights": "balanced"}},
            "recipe: training.class_weights: with text.multi_label every label has a loss of its own: remove the key",
        ),
    ],
)
def test_a_key_needs_what_it_is_for(
    task: str, sections: dict[str, Any], needed: dict[str, Any], message: str
) -> None:
    plain = {"task": task, "model": "owner/bert", "data": "texts.csv"}
    with pytest.raises(RecipeError) as caught:
        recipe_from_plain({**plain, **sections})
    assert str(caught.value) == message
    assert recipe_from_plain({**plain, **needed}).task == task
