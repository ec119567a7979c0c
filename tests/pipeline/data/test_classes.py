"""Classes by name: their order, and what is said of one that the data does not have."""

import pytest

from edgewright.pipeline.data.classes import check_listed, sort_classes
from edgewright.runtime.errors import RecipeError
from tests.messages import refused


def test_whole_numbers_are_sorted_as_numbers() -> None:
    assert sort_classes({"10", "9", "-1"}) == ("-1", "9", "10")
    assert sort_classes({"10", "9", "b"}) == ("10", "9", "b")
    assert sort_classes(set()) == ()


def test_a_class_that_the_data_has_not() -> None:
    check_listed(("b", "a"), ("a", "b"), "pets")
    with pytest.raises(RecipeError) as caught:
        check_listed(("cat", "dgo", "cow"), ("cat", "dog"), "pets")
    assert str(caught.value) == "data.classes: pets has no class 'dgo' (did you mean 'dog'?): it has cat, dog"
    with refused(RecipeError):
        check_listed(("x",), [f"k{number}" for number in range(25)], "pets")
