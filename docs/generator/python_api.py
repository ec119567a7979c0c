"""The page of the Python API: the public names of `edgewright.runtime`, their signatures and docstrings."""

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import edgewright.runtime
from docs.generator.markdown import GENERATED, prose, sentence, table

_INTRO = """\
# Python API

Everything that a program on a device needs comes from one module, and needs neither torch nor the other packages of the
`train` extra:

```text
from edgewright.runtime import Engine
```

Import it before `onnxruntime`: it switches ONNX Runtime's telemetry off. [Tasks and answers](tasks.md) has the
classes of what an engine returns, [Errors](errors.md) all errors.
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def page() -> str:
    """The whole page."""
    parts = [GENERATED, _INTRO]
    errors = []
    for name in sorted(edgewright.runtime.__all__):
        value = getattr(edgewright.runtime, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            errors.append((f"`{name}`", sentence(value.__doc__ or "")))
        elif inspect.isclass(value):
            parts += [f"## {name}\n", _class(value)]
        else:
            parts += [f"## {name}\n", _function(value)]
    parts += ["## Errors\n", table(("class", "when"), errors)]
    return "\n".join(part for part in parts if part.strip())


def annotation(hint: Any) -> str:
    """A type hint without the modules of its classes."""
    text = inspect.formatannotation(hint)
    return re.sub(r"\b[A-Za-z_][\w.]*\.(?=[A-Za-z_])", "", text).replace("NoneType", "None")


def inner_classes(hint: Any) -> Iterator[Any]:
    """The classes in a type hint, out of lists, mappings and unions."""
    if not get_args(hint):
        yield hint
    for argument in get_args(hint):
        yield from inner_classes(argument)


def fields(kind: Any) -> str:
    """The fields of a dataclass; empty for other classes."""
    if not dataclasses.is_dataclass(kind):
        return ""
    hints = get_type_hints(kind)
    shown = [one for one in dataclasses.fields(kind) if not one.name.startswith("_")]
    rows = [(f"`{one.name}`", f"`{_short(annotation(hints[one.name]))}`") for one in shown]
    return table(("field", "type"), rows)


def members(kind: type) -> str:
    """The public methods, properties and documented attributes of a class, each with its docstring."""
    parts = []
    for node, said in _documented(_tree(kind)):
        if isinstance(node, ast.AnnAssign):
            parts.append(f"**`{ast.unparse(node.target)}`**\n\n{prose(said)}")
        elif any(ast.unparse(one).endswith("property") for one in node.decorator_list):
            returned = f": {ast.unparse(node.returns)}" if node.returns is not None else ""
            parts.append(f"**`{node.name}{returned}`**\n\n{prose(said)}")
        else:
            parts.append(f"**`{_signature(node)}`**\n\n{prose(said)}")
    return "\n".join(parts)


def _class(kind: type) -> str:
    """A class: how it is made, what it is, its fields, what it can do."""
    tree = _tree(kind)
    made = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    documented = [node for node in made if ast.get_docstring(node)]
    parts = [prose(kind.__doc__ or "")]
    for node in documented:
        parts.append(f"```text\n{_signature(node, kind.__name__, wrapped=True)}\n```\n")
        parts.append(prose(ast.get_docstring(node) or ""))
    return "\n".join(part for part in [*parts, fields(kind), members(kind)] if part.strip())


def _function(value: Any) -> str:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    assert isinstance(node, Function)
    return f"```text\n{_signature(node, wrapped=True)}\n```\n\n{prose(value.__doc__ or '')}"


def _tree(kind: type) -> ast.ClassDef:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    return tree


def _documented(tree: ast.ClassDef) -> Iterator[tuple[Function | ast.AnnAssign, str]]:
    """Public functions of a class with their docstrings, and attributes with the string below them."""
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, Function):
            said = ast.get_docstring(node)
            if said and (not node.name.startswith("_") or node.name == "__call__"):
                yield node, said
        elif isinstance(node, ast.AnnAssign) and (said := _string(after)):
            yield node, said


def _string(node: ast.stmt | None) -> str:
    """The text of a statement that is nothing but a string."""
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _signature(node: Function, name: str = "", wrapped: bool = False) -> str:
    """What stands behind `def`, without self; `wrapped` puts each argument on a line of its own."""
    arguments = ast.unparse(node.args)
    arguments = re.sub(r"^(self|cls)(, |$)", "", arguments)
    arguments = re.sub(r"(?<=[\w\]'])=", " = ", arguments)
    returned = f" -> {ast.unparse(node.returns)}" if node.returns is not None and not name else ""
    called = name or ("engine" if node.name == "__call__" else node.name)
    line = f"{called}({arguments}){returned}"
    if not wrapped or len(line) <= 100:
        return line
    parts = re.split(r", (?![^\[]*\])", arguments)
    return f"{called}(\n    " + ",\n    ".join(parts) + f",\n){returned}"


def _short(text: str) -> str:
    """numpy spells an array out by its dtype."""
    return re.sub(r"ndarray\[(?:Any|tuple\[.*?\]), dtype\[(\w+)\]\]", r"NDArray[\1]", text)
