"""Recipe text: YAML to plain values, and what pydantic found wrong to sentences a person can act on.

YAML is read in its 1.2 meaning: only `true` and `false` are booleans (a class may be called `no`), `1e-3` is
a number, `007` and `2024-01-01` are text. Aliases and repeated keys are refused.
"""

import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from edgewright.runtime.errors import RecipeError
from edgewright.runtime.hints import did_you_mean


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML's own class attribute, filled below)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        parser: Any = self  # the stubs leave half of the parser untyped
        if parser.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not used in recipes", problem_mark=parser.peek_event().start_mark
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} occurs twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return {str(key): value for key, value in super().construct_mapping(node, deep).items()}


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
    list("-+0123456789."),
)


def parse_yaml(text: str, where: str) -> Any:
    """YAML to plain values. Raises `RecipeError` naming `where`, line and column."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise RecipeError(f"{where}{place}: {error.problem or error.context or 'not YAML'}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{where}: not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise RecipeError(f"{where}: nested too deeply for a recipe") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise RecipeError(f"{where}: {str(error).splitlines()[0]}") from None


def either(names: Iterable[str]) -> str:
    """Names as a choice: "rnn, lstm or gru"."""
    *rest, last = names
    return f"{', '.join(rest)} or {last}" if rest else last


def sentences(errors: Iterable[ErrorDetails], model: type[BaseModel]) -> list[str]:
    """One line for each error of pydantic, "training.lr: expected ..."; `model` is the outermost model."""
    lines = []
    for error in errors:
        where = ".".join(str(part) for part in error["loc"])
        text = _sentence(error, model)
        lines.append(f"{where}: {text}" if where else text)
    return list(dict.fromkeys(lines))


_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "dict_type": "keys and values",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def _sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    kind, found = error["type"], error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(error["loc"], model)
    if kind == "missing":
        return f"missing: every recipe needs {error['loc'][-1]}"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return f"expected {' or '.join(choices)}, found {_show(found)}{did_you_mean(found, choices)}"
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"must be {words} {context[key]:g}, found {_show(found)}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, found {_show(found)}"
    if kind == "value_error":
        return str(context["error"])
    return f"{error['msg']}, found {_show(found)}"


def _show(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "keys and values"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(list(value)) if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unknown_key(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    *path, key = location
    section: type[BaseModel] | None = model
    for part in path:
        section = _section(section, str(part)) if section else None
    known = list(section.model_fields) if section else []
    near = did_you_mean(key, known)
    if not near:  # perhaps the right word in the wrong section
        homes = [
            f"{name}.{key}"
            for name in model.model_fields
            if (inner := _section(model, name)) and key in inner.model_fields
        ]
        homes += [str(key)] if path and key in model.model_fields else []
        near = f" (did you mean {' or '.join(repr(home) for home in homes)}?)" if homes else ""
    return f"unknown key{near}" if near or not known else f"unknown key: the keys here are {', '.join(known)}"


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    field = model.model_fields.get(name)
    if field is None:
        return None
    kinds = (
        get_args(field.annotation)
        if get_origin(field.annotation) in (Union, types.UnionType)
        else (field.annotation,)
    )
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
