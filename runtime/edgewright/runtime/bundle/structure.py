"""JSON to frozen dataclasses and back, strictly: a broken or hostile document never becomes an object."""

import dataclasses
import functools
import json
import math
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class StructureError(ValueError):
    """The document does not have the promised structure; the message names the place."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise StructureError("a key occurs twice")
    return result


def _refuse(constant: str) -> Any:
    raise StructureError(f"{constant} is not JSON")


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise StructureError(f"{text} is beyond every number")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_number)
"""Made once: `json.loads` makes one for each document, which takes longer than a line of a table."""


def parse_json(text: str | bytes) -> Any:
    """JSON to plain values. Raises `StructureError` on syntax errors, duplicate keys, NaN, infinity and deep
    nesting.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        elif text.startswith("\ufeff"):
            raise json.JSONDecodeError("a byte order mark", text, 0)
        return _DECODER.decode(text)
    except RecursionError:
        raise StructureError("nested too deeply") from None
    except UnicodeDecodeError:
        raise StructureError("not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise StructureError(f"broken JSON at line {error.lineno}, column {error.colno}") from None
    except ValueError as error:  # e.g. an integer of more digits than Python converts
        raise StructureError(str(error).splitlines()[0]) from None


def to_plain(value: Any, sparse: bool = False) -> Any:
    """Dataclasses, tuples and mappings to what JSON can hold. `sparse` leaves out fields that have their default."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: (field, getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {
            name: to_plain(inner, sparse)
            for name, (field, inner) in fields.items()
            if not (sparse and inner == _default(field))
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, sparse) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item, sparse) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise StructureError(f"{value} cannot be written as JSON")
    return value


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def from_plain(cls: type[T], value: Any, where: str = "") -> T:
    """Build the dataclass `cls` from plain JSON values, checking every type.

    `where` is the dotted place of `value` in its document, used in messages.
    Raises `StructureError` for a missing or unknown key and for a value of the wrong type.
    """
    result: T = _reader(cast(Any, cls))(value, where)
    return result


def _wrong(where: str, wanted: str, value: Any) -> StructureError:
    return StructureError(f"{where or 'document'}: expected {wanted}, found {type(value).__name__}")


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


@functools.cache
def _reader(kind: Any) -> Callable[[Any, str], Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value, where: value
    if dataclasses.is_dataclass(kind):
        return functools.partial(_read_dataclass, kind)
    if origin in (Union, types.UnionType):
        return functools.partial(_read_union, arguments)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return functools.partial(_read_tuple, arguments[0], None)
    if origin is tuple:
        return functools.partial(_read_tuple, None, arguments)
    if origin in (dict, Mapping):
        return functools.partial(_read_mapping, arguments[1])
    if kind in (str, int, float, bool, type(None)):
        return functools.partial(_read_scalar, kind)
    raise TypeError(f"{kind} is not supported in a document")


def _read_scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise StructureError(
                f"{where or 'document'}: a number of {len(str(abs(value)))} digits"
            ) from None
    if isinstance(value, bool) and kind is not bool:
        raise _wrong(where, kind.__name__, value)
    if not isinstance(value, kind):
        raise _wrong(where, kind.__name__, value)
    return value


def _read_tuple(item: Any, items: tuple[Any, ...] | None, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(where, "a list", value)
    if items is None:
        read = _reader(item)
        return tuple(read(element, _join(where, index)) for index, element in enumerate(value))
    if len(items) != len(value):
        raise StructureError(f"{where or 'document'}: expected {len(items)} values, found {len(value)}")
    return tuple(
        _reader(kind)(element, _join(where, index))
        for index, (kind, element) in enumerate(zip(items, value, strict=True))
    )


def _read_mapping(item: Any, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    read = _reader(item)
    return {key: read(element, _join(where, key)) for key, element in value.items()}


def _read_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    for kind in kinds:
        try:
            return _reader(kind)(value, where)
        except StructureError:
            continue
    raise _wrong(where, " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds), value)


def _read_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in value:
        if key not in fields:
            raise StructureError(f"{_join(where, key)}: unknown key")
    found: dict[str, Any] = {}
    for name, field in fields.items():
        if name in value:
            found[name] = _reader(hints[name])(value[name], _join(where, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise StructureError(f"{_join(where, name)}: missing")
    return kind(**found)
