"""Raw inputs of encoders compare unopened: no two of them have the same digest."""

from edgewright.pipeline.data.content import content_of_raw, content_with
from edgewright.runtime.text.raw import Question, TextPair, Words


def test_contents_tell_raw_inputs_apart() -> None:
    raws = ("a b", TextPair("a", "b"), Words(("a", "b")), Question("a", "b"), '["a b"]', "")
    assert len({content_of_raw(raw) for raw in raws}) == len({content_with(raw, 0) for raw in raws}) == 6
    assert content_with("a", [0]) != content_with("a", [1])
