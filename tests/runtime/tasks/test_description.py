"""What every task says of its models: enough for a card, and plain JSON for other tools."""

import ast
import json
from collections.abc import Mapping
from typing import Any

import pytest

from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.tasks import TASKS, load_task
from edgewright.runtime.tasks.base import Task
from edgewright.runtime.tasks.description import ModelFacts, shortened
from tests.runtime.encoder_bundle import CASES as ENCODERS
from tests.runtime.recurrent_bundle import RECURRENT, case
from tests.runtime.small_bundle import LABELS, SETTINGS

EXAMPLES: Mapping[str, Task[Any]] = {
    "images": load_task("image-classification", to_plain(SETTINGS), LABELS),
    **{name: case(name).device_task() for name in RECURRENT},
    **{name: example.device_task() for name, example in ENCODERS.items()},
}

READS = {
    "images": "16 x 16 pixels",
    "sequence-classification": "steps of heat, load, speed",
    "forecasting": "the last 6 steps of heat, load, speed; it answers the next 4",
    "audio-classification": "12 log-mel bands of sound at 8000 Hz",
    "text-classification": "text of up to 12 tokens",
    "vectors": "text of up to 12 tokens",
}


def test_there_is_an_example_of_every_task() -> None:
    told = {type(task) for task in EXAMPLES.values()}
    for module, name in (place.split(":") for place in TASKS.values()):
        assert any(kind.__module__ == module for kind in told), name


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_card_has_all_it_needs(name: str) -> None:
    said = EXAMPLES[name].describe(ModelFacts())
    assert said.tag and said.reads and said.answers.endswith(".")
    call = ast.parse(f"engine({said.example})", mode="eval").body
    assert isinstance(call, ast.Call) and len(call.args) == 1
    assert all(said.piece) == ("step" in EXAMPLES[name].signatures)


@pytest.mark.parametrize("name", EXAMPLES)
def test_other_tools_get_plain_json(name: str) -> None:
    said, labels = EXAMPLES[name].describe(ModelFacts()), EXAMPLES[name].labels
    for document in (said.config, *said.files.values()):
        assert json.loads(json.dumps(document)) == document
    assert said.head
    if "id2label" in said.config and name != "nli":
        assert tuple(said.config["id2label"].values()) == labels
        assert said.config["label2id"] == {label: index for index, label in enumerate(labels)}


@pytest.mark.parametrize("name", READS)
def test_what_a_model_is_given(name: str) -> None:
    assert EXAMPLES[name].describe(ModelFacts()).reads == READS[name]


def test_many_names_are_shortened() -> None:
    names = [f"n{index}" for index in range(20)]
    assert shortened(names[:12]) == ", ".join(names[:12])
    assert shortened(names) == f"{', '.join(names[:10])} and 10 more (config.json has them all)"
