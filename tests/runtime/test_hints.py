"""The name that somebody may have meant."""

from edgewright.runtime.hints import did_you_mean, near_names


def test_near_names_come_once_and_the_nearest_first() -> None:
    known = ["layer1", "layer4", "layer4", "head"]
    assert near_names("layr4", known) == ["layer4", "layer1"]
    assert near_names("layr4", known, 1) == ["layer4"]
    assert near_names("layr4", known, cutoff=0.95) == []


def test_a_sentence_where_something_is_near_and_nothing_where_not() -> None:
    assert did_you_mean("layr4", ["layer1", "layer4"]) == " (did you mean 'layer4' or 'layer1'?)"
    assert did_you_mean("layr4", iter(["layer1", "layer4"]), 1) == " (did you mean 'layer4'?)"
    assert did_you_mean(7, ["layer1"]) == ""
