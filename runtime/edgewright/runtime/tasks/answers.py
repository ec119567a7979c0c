"""What every answer can become: JSON, a line for a person, files."""

import abc
from collections.abc import Mapping
from typing import Any


# Not abc.ABC, whose objects no other class may take over: an answer of a stream becomes what it stands for.
class Answer(metaclass=abc.ABCMeta):
    """The answer to one raw input; what it holds is its task's own business."""

    @abc.abstractmethod
    def to_json(self, top: int = 5) -> dict[str, Any]:
        """The answer as plain JSON values; of ranked things the `top` best."""

    @abc.abstractmethod
    def line(self, top: int = 1) -> str:
        """The answer as one line for a person, of ranked things the `top` best, without what could steer a terminal."""

    def files(self) -> Mapping[str, bytes]:
        """What of the answer is a file, such as a mask: suffix (".png") to content; mostly nothing."""
        return {}


def lost_note(lost: int) -> str:
    """What is said of a text that was cut."""
    return f"  ({lost} tokens were not read)" if lost else ""
