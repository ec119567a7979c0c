"""What names and texts of others may do to a terminal: nothing."""

import json

from edgewright.runtime.printable import one_line, printable, printable_json


def test_what_breaks_a_line_or_steers_a_terminal_is_escaped() -> None:
    assert printable("a\tb\n\x1b[31m\u202e é") == "a\\tb\\n\\x1b[31m\\u202e é"
    assert printable("a\nb", kept="\n") == "a\nb"
    assert printable("\u200d") == "\\u200d"


def test_a_part_of_a_text_keeps_its_words_and_its_joined_letters() -> None:
    assert one_line(" two \n words\x07 ") == "two words\\x07"
    assert one_line("👩\u200d🚀") == "👩\u200d🚀"


def test_json_stays_the_same_value_and_steers_nothing() -> None:
    value = {
        "a\u202eb\u009b31m": ["\x1b]0;x\x07", "é \u2028", "👩\u200d🚀", "\ud800", "\U000e0001"],
        "n": 1.5,
    }
    for indent in (None, 2):
        text = printable_json(json.dumps(value, ensure_ascii=False, indent=indent))
        assert json.loads(text) == value
        assert all(character.isprintable() or character == "\n" for character in text)
    assert printable_json('{"é": "日本"}') == '{"é": "日本"}'
