"""The golden file of messages: every key has its test, every message is one line, another one is noticed."""

import pytest

from edgewright.runtime.errors import InputError
from tests.messages import Messages, _key, plain, read, refused, running


def test_every_key_has_its_test() -> None:
    assert [key for key in read() if not running().there(key)] == []


def test_every_message_says_what_to_do_on_one_line() -> None:
    messages = [message for said in read().values() for message in said]
    assert len(messages) > 250
    assert [message for message in messages if "\n" in message] == []
    assert [message for message in messages if ":" not in message and "," not in message] == []


def test_another_message_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with refused(InputError):
        raise InputError("the answer is 41: ask again")
    known = running().known
    monkeypatch.setattr(running(), "update", False)
    key = "test_messages.py::test_another_message_is_noticed"
    monkeypatch.setitem(known, key, ["the answer is 41: ask again", "the answer is 42: ask again"])
    with pytest.raises(AssertionError, match=r"not what tests/messages\.json has"):
        running().meet("the answer is 43: ask again")
    assert running().said[key].pop() == "the answer is 43: ask again"
    monkeypatch.undo()
    assert not running().there("nowhere.py::test_nothing") and running().there(key)


def test_what_is_said_no_more_is_noticed() -> None:
    alone = Messages.__new__(Messages)
    alone.update, alone.said, alone.ran = False, {}, set()
    alone.known = {"a.py::test": ["once"]}

    class Item:
        nodeid = "tests/a.py::test"

    call = alone.pytest_runtest_call(Item())  # type: ignore[arg-type]
    next(call)
    with pytest.raises(AssertionError, match="what is not said any more: \\['once'\\]"):
        next(call)


def test_what_differs_from_machine_to_machine_is_left_out() -> None:
    text = "/tmp/pytest-of-root/pytest-3/popen-gw1/test_a_file0/a b.csv is at 0x7f00aa11bb22: look"
    assert plain(text) == "<tmp>/a b.csv is at <address>: look"


def test_a_key_does_not_depend_on_how_the_tests_are_divided() -> None:
    for name in ("a.py::test_b", "a.py::test_b[c@d.e]", "a.py::test_b[c@d]"):
        assert _key(f"tests/{name}") == _key(f"tests/{name}@a-group") == name


def test_of_a_file_of_which_a_part_is_run_the_other_keys_stay() -> None:
    alone = Messages.__new__(Messages)
    alone.collected = {
        f"{KEYS}::test_a_key_does_not_depend_on_how_the_tests_are_divided",
        f"{KEYS}::test_odd[1]",
    }
    names = ("test_every_key_has_its_test", "test_gone", "test_odd[2]")
    there = {name: alone.there(f"{KEYS}::{name}") for name in names}
    assert there == {"test_every_key_has_its_test": True, "test_gone": False, "test_odd[2]": False}


KEYS = "test_messages.py"
