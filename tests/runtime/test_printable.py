"""What names and texts of others may do to a terminal: nothing."""

from edgewright.runtime.printable import one_line, printable


def test_what_breaks_a_line_or_steers_a_terminal_is_escaped() -> None:
    assert printable("a\tb\n\x1b[31m\u202e é") == "a\\tb\\n\\x1b[31m\\u202e é"
    assert printable("a\nb", kept="\n") == "a\nb"
    assert printable("\u200d") == "\\u200d"


def test_a_part_of_a_text_keeps_its_words_and_its_joined_letters() -> None:
    assert one_line(" two \n words\x07 ") == "two words\\x07"
    assert one_line("👩\u200d🚀") == "👩\u200d🚀"
