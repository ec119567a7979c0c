"""Text from files of others, as it may reach a terminal."""

import json

_JOINERS = "\u200c\u200d"
"""They hold letters and emoji together."""


def printable(text: str, kept: str = "") -> str:
    """`text` with the escape of each character that could break its line or steer a terminal, except those `kept`."""
    return "".join(
        character
        if character.isprintable() or character in kept
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def printable_json(text: str) -> str:
    """JSON with the escape of each character that could steer a terminal: other text, the same value."""
    # Only inside of strings JSON holds such characters, where they may be written in either way.
    return "".join(
        character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1]
        for character in text
    )


def one_line(text: str) -> str:
    """A part of a text as it is shown: its words on one line, without what could steer a terminal."""
    return printable(" ".join(text.split()), _JOINERS)
