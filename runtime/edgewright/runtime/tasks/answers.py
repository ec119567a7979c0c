"""What every answer can become: JSON, a line for a person, files."""

import abc
import json
from collections.abc import Mapping
from typing import Any, TypeVar


# Not abc.ABC, whose objects no other class may take over: an answer of a stream becomes what it stands for.
class Answer(metaclass=abc.ABCMeta):
    """The answer to one raw input; what it holds is its task's own business."""

    @abc.abstractmethod
    def to_json(self, top: int = 5) -> dict[str, Any]:
        """The answer as plain JSON values; of ranked things the `top` best."""

    @abc.abstractmethod
    def line(self, top: int = 1) -> str:
        """The answer as one line for a person, of ranked things the `top` best, without what could steer a terminal."""

    def bare(self) -> str:
        """What is decided and nothing else, on one line, for scripts: the label alone; mostly `line`."""
        return self.line()

    def cells(self, top: int = 1) -> dict[str, str | float | int | None]:
        """The answer as cells of a table by the names of their columns, which depend on `top` alone; what JSON nests is
        JSON in its cell.
        """
        return {name: _cell(value) for name, value in self.to_json(top).items()}

    def written(self, form: str) -> str:
        """The answer in a form that the task names in `formats`, whole lines."""
        raise NotImplementedError(f"{type(self).__name__} names no form {form!r}")

    def files(self) -> Mapping[str, bytes]:
        """What of the answer is a file, such as a mask: suffix (".png") to content; mostly nothing."""
        return {}


A = TypeVar("A", bound=Answer)


class FolderAnswers(dict[str, A]):
    """The answers to what a folder holds, by the path of each file below it, with ":" and the line where it holds many.

    `skipped` says in the same way why there is no answer to the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.skipped: dict[str, str] = {}


def _cell(value: Any) -> str | float | int | None:
    if value is None or isinstance(value, (str, int, float)):
        return value
    return json.dumps(value, ensure_ascii=False)


def lost_note(lost: int) -> str:
    """What is said of a text that was cut."""
    return f"  ({lost} tokens were not read)" if lost else ""
