"""What may be asked of an answer: options that a task declares, as the engine's keywords and the flags of `predict`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgewright.runtime.errors import InputError
from edgewright.runtime.hints import did_you_mean

_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list of texts",
}


@dataclass(frozen=True)
class Option:
    """One option of a task.

    Args:
        name: A keyword of Python; on a command line `a_b` is `--a-b`.
        help: What it does, in a sentence.
        kind: bool, int, float, str, or list for several texts.
        default: What holds where it is not given.
        low: The smallest number that is allowed, itself included; None for any.
        high: The largest one.
        choices: What it may be, where that is limited.
    """

    name: str
    help: str
    kind: type = str
    default: Any = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """How it is written on a command line."""
        return f"--{self.name.replace('_', '-')}"

    def check(self, value: Any) -> Any:
        """`value`, if it may be that. Raises `InputError` naming the option."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        if self.kind is list:
            fits = not isinstance(value, (str, bytes)) and isinstance(value, Sequence)
        elif self.kind is float:
            fits = whole or isinstance(value, float)
        else:
            fits = whole if self.kind is int else isinstance(value, self.kind)
        if not fits:
            raise InputError(f"{self.name} is {type(value).__name__}: give {_KINDS[self.kind]}")
        for item in value if self.kind is list else ():
            if not isinstance(item, str):
                raise InputError(
                    f"{self.name} holds {type(item).__name__}, which is no text: give a list of texts"
                )
        for one in value if self.kind is list else (value,):
            if self.choices and one not in self.choices:
                raise InputError(f"{self.name} is {one!r}: choose from {', '.join(self.choices)}")
        if self.kind in (int, float):
            if whole and not -(2**63) <= value < 2**63:
                raise InputError(f"{self.name} has more than 64 bits: give {_KINDS[self.kind]}")
            self._check_range(value)
        return value

    def _check_range(self, value: float) -> None:
        low, high = self.low, self.high
        inside = (low is None or value >= low) and (high is None or value <= high)
        if inside and value == value:
            return
        if low is not None and high is not None:
            wanted = f"a number from {low:g} to {high:g}"
        elif low is not None:
            wanted = f"{low:g} or more"
        else:
            wanted = "a number" if high is None else f"{high:g} or less"
        raise InputError(f"{self.name} is {value}: give {wanted}")

    def read(self, text: str) -> Any:
        """What is written on a command line; several texts as a line of CSV. Raises `InputError`."""
        if self.kind is list:
            return _texts(self.name, text)
        if self.kind is bool:
            return True
        try:
            value = self.kind(text)
        except ValueError:
            raise InputError(f"{self.flag} is {text!r}: give {_KINDS[self.kind]}") from None
        return self.check(value)


_SCHEMA: Mapping[type, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    list: {"type": "array", "items": {"type": "string"}},
}


def json_schema(options: Sequence[Option]) -> dict[str, Any]:
    """Options as JSON schema (draft 2020-12): an object that has any of them."""
    properties = {}
    for option in options:
        limits = {"default": option.default, "minimum": option.low, "maximum": option.high}
        known = {key: value for key, value in limits.items() if value is not None}
        choices: dict[str, Any] = {"enum": list(option.choices)} if option.choices else {}
        if option.kind is list:
            choices = {"items": {**_SCHEMA[str], **choices}}
        properties[option.name] = {
            **_SCHEMA[option.kind], "description": option.help, **known, **choices
        }  # fmt: skip
    return {"type": "object", "properties": properties, "additionalProperties": False}


def check_options(task: str, known: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, checked, without those that are None. Raises `InputError`, for an option that the
    task does not have too.
    """
    by_name = {option.name: option for option in known}
    checked = {}
    for name, value in given.items():
        if value is None:
            continue
        if name not in by_name:
            there = f"it has {', '.join(by_name)}" if by_name else "it has none"
            raise InputError(
                f"{task} has no option {name!r}{did_you_mean(name, by_name)}: {there}, leave it out"
            )
        checked[name] = by_name[name].check(value)
    return checked


def _texts(name: str, line: str) -> list[str]:
    import csv

    try:
        rows = list(csv.reader(line.splitlines(), skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise InputError(f'the {name} cannot be read ({error}): write a,b or "red, white",blue') from None
    return [text.strip() for row in rows for text in row if text.strip()]
