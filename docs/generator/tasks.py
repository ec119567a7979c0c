"""The page of tasks, from the two catalogues: what a recipe may name, and what a device answers."""

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from typing import Any, get_type_hints

from docs.generator.markdown import GENERATED, listed, prose, sentence, table
from docs.generator.python_api import fields, inner_classes, members
from edgewright.pipeline.catalog import BUILTIN_PREFIX, TASKS
from edgewright.pipeline.recipe.family import family_named
from edgewright.runtime.tasks import TASKS as DEVICE_TASKS
from edgewright.runtime.tasks import options_of

_INTRO = """\
# Tasks and answers

`task` in a recipe is one of these. The first metric is the one that the verdict goes by, unless `training.metric` says
otherwise; the first mode is the default of `transfer.mode`.
"""

_OPTIONS = """\
## Options

What may be asked of an answer beside the raw input: a keyword of `engine(...)`, a flag of `edgewright predict`.
"""

_ANSWERS = """\
## Answers

What `engine(...)` and `stream.push(...)` return. Answers are frozen: nothing of them can be altered.
"""


def page() -> str:
    """The whole page."""
    parts = [
        GENERATED,
        _INTRO,
        table(("task", "models", "metrics", "modes", "data that comes along"), _rows()),
    ]
    parts.append(table(("task", "on the device", "answer"), _answer_rows()))
    parts += [_OPTIONS, table(("task", "keyword", "flag", "what"), _option_rows())]
    parts.append(_ANSWERS)
    kinds = list(dict.fromkeys(kind for name in DEVICE_TASKS for kind in _answers(name)))
    for kind in kinds:
        bases = [base for base in kind.__bases__ if dataclasses.is_dataclass(base)]
        kinds += [part for part in (*_parts(kind), *bases) if part not in kinds]
        parts += [
            f"### {kind.__name__}\n",
            prose(kind.__doc__ or ""),
            _inherited(kind),
            fields(kind),
            members(kind),
        ]
    return "\n".join(part for part in parts if part.strip())


def _rows() -> Iterator[tuple[str, ...]]:
    for name, spec in TASKS.items():
        kinds = "; ".join(family_named(family).kind for family in spec.families)
        builtin = listed(f"{BUILTIN_PREFIX}{data}" for data in spec.builtin)
        yield f"`{name}`", kinds, listed(spec.metrics), listed(spec.modes), builtin


def _option_rows() -> Iterator[tuple[str, ...]]:
    for name in DEVICE_TASKS:
        for option in options_of(name):
            yield f"`{name}`", f"`{option.name}`", f"`{option.flag}`", option.help


def _answer_rows() -> Iterator[tuple[str, ...]]:
    for name in DEVICE_TASKS:
        module = importlib.import_module(DEVICE_TASKS[name].partition(":")[0])
        said = sentence(module.__doc__ or "").partition(": ")[2].rstrip(".")
        kinds = ", ".join(f"[{kind.__name__}](#{kind.__name__.lower()})" for kind in _answers(name))
        yield f"`{name}`", said, kinds


def _answers(task: str) -> list[Any]:
    """The classes of what a task's `decode` returns."""
    where, _, attribute = DEVICE_TASKS[task].partition(":")
    module = importlib.import_module(where)
    made = getattr(module, attribute)
    classes = [made]
    if inspect.isfunction(made):  # which chooses among the classes beside it
        classes = [kind for kind in vars(module).values() if getattr(kind, "__module__", "") == where]
        classes = [kind for kind in classes if hasattr(kind, "decode")]
    found = [kind for one in classes for kind in inner_classes(get_type_hints(one.decode)["return"])]
    return list(dict.fromkeys(kind for kind in found if dataclasses.is_dataclass(kind)))


def _parts(kind: Any) -> list[Any]:
    """The classes of which an answer is made."""
    hints = list(get_type_hints(kind).values())
    for _, value in inspect.getmembers(kind):
        getter = getattr(value, "fget", None) or getattr(value, "func", None)
        hints += [get_type_hints(getter).get("return")] if getter is not None else []
    found = [inner for hint in hints for inner in inner_classes(hint)]
    return [inner for inner in dict.fromkeys(found) if dataclasses.is_dataclass(inner)]


def _inherited(kind: type) -> str:
    """The answer that this one is as well."""
    bases = [base for base in kind.__bases__ if dataclasses.is_dataclass(base) and base.__name__[0] != "_"]
    return "".join(f"All that a [{base.__name__}](#{base.__name__.lower()}) has, too.\n" for base in bases)
