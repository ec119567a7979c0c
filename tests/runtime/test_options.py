"""Options: what is not one of them, or not a value of one, is one line that says what is."""

import math
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edgewright.runtime.errors import InputError
from edgewright.runtime.options import Option, check_options, json_schema
from tests.messages import refused

STEPS = Option("max_steps", "How far it goes.", int, 8, low=1, high=64)
WARMTH = Option("warmth", "How freely.", float, 0.0, low=0)
LANGUAGE = Option("language", "Which.", str, "de", choices=("de", "en"))
LABELS = Option("labels", "What it may be.", list)
QUIET = Option("quiet", "Say nothing.", bool, False)
COLOURS = Option("colours", "Which of them.", list, choices=("red", "green"))
COUNT = Option("count", "How many.", int)
KNOWN = (STEPS, WARMTH, LANGUAGE, LABELS, QUIET, COLOURS, COUNT)


def test_what_fits_is_given_on_and_none_is_not_given() -> None:
    given = {"max_steps": 64, "warmth": 2, "language": "en", "labels": ("a", "b"), "quiet": True}
    assert check_options("toy", KNOWN, given) == given
    assert check_options("toy", KNOWN, {"max_steps": None, "warmth": 0.5}) == {"warmth": 0.5}
    assert check_options("toy", (), {}) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"max_step": 3},
            "toy has no option 'max_step' (did you mean 'max_steps'?): it has max_steps, warmth",
        ),
        ({"max_steps": 0}, "max_steps is 0: give a number from 1 to 64"),
        ({"max_steps": 65}, "max_steps is 65: give a number from 1 to 64"),
        ({"max_steps": True}, "max_steps is bool: give a whole number"),
        ({"max_steps": 3.0}, "max_steps is float: give a whole number"),
        ({"warmth": -0.1}, "warmth is -0.1: give 0 or more"),
        ({"warmth": math.nan}, "warmth is nan: give 0 or more"),
        ({"warmth": "1"}, "warmth is str: give a number"),
        ({"language": "fr"}, "language is 'fr': choose from de, en"),
        ({"language": 3}, "language is int: give a text"),
        ({"labels": "a,b"}, "labels is str: give a list of texts"),
        ({"labels": {"a"}}, "labels is set: give a list of texts"),
        ({"labels": ["a", 1]}, "labels holds int, which is no text: give a list of texts"),
        ({"labels": [["a"]]}, "labels holds list, which is no text: give a list of texts"),
        ({"quiet": 1}, "quiet is int: give true or false"),
        ({"colours": ["red", "blue"]}, "colours is 'blue': choose from red, green"),
        ({"max_steps": 10**5000}, "max_steps has more than 64 bits: give a whole number"),
        ({"count": -(10**30)}, "count has more than 64 bits: give a whole number"),
        ({"warmth": 10**400}, "warmth has more than 64 bits: give a number"),
    ],
)
def test_what_does_not_fit_says_what_does(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_options("toy", KNOWN, given)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_a_task_without_options_says_so() -> None:
    with refused(InputError):
        check_options("toy", (), {"labels": ["a"]})


def test_what_is_written_on_a_command_line() -> None:
    assert (STEPS.flag, STEPS.read("12"), WARMTH.read("0.5"), LANGUAGE.read("en")) == (
        "--max-steps",
        12,
        0.5,
        "en",
    )
    assert LABELS.read('"very, very good", boring,, bad') == ["very, very good", "boring", "bad"]
    assert QUIET.read("true") is True
    for option, text, message in (
        (STEPS, "many", "--max-steps is 'many': give a whole number"),
        (STEPS, "100", "max_steps is 100: give a number from 1 to 64"),
        (LANGUAGE, "fr", "choose from de, en"),
        (LABELS, '"a, b', "the labels cannot be read"),
    ):
        with pytest.raises(InputError, match=message):
            option.read(text)


def test_the_json_schema_refuses_what_the_options_refuse() -> None:
    schema = json_schema(KNOWN)
    Draft202012Validator.check_schema(schema)
    valid = Draft202012Validator(schema).is_valid
    given: list[dict[str, Any]] = [
        {}, {"max_steps": 64, "warmth": 2, "language": "en", "labels": ["a", "b"], "quiet": True},
        {"max_step": 3}, {"max_steps": 0}, {"max_steps": 65}, {"max_steps": True}, {"max_steps": 3.5},
        {"warmth": -0.1}, {"warmth": "1"}, {"warmth": 0}, {"language": "fr"}, {"language": 3},
        {"labels": "a,b"}, {"labels": [1]}, {"labels": []}, {"quiet": 1},
        {"colours": ["red"]}, {"colours": ["green", "red"]}, {"colours": ["blue"]}, {"count": 5},
    ]  # fmt: skip
    for options in given:
        try:
            check_options("toy", KNOWN, options)
        except InputError:
            assert not valid(options), options
        else:
            assert valid(options), options
    assert {name: entry.get("default") for name, entry in schema["properties"].items()} == {
        option.name: option.default for option in KNOWN
    }
    assert json_schema(())["properties"] == {} and not Draft202012Validator(json_schema(())).is_valid(
        {"a": 1}
    )
