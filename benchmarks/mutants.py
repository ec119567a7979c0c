"""Small faults that a test should notice, one at a time: where they can be planted, and how one is found again.

A mutant is known by the function that it stands in, by the statement as Python itself would write it, and by its place
there. The file and the line say where it is in one checkout; another checkout may have the function elsewhere.
"""

import ast
import copy
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("runtime", "exporters", "pipeline")

Key = tuple[str, str, int]
"""Qualified name of the function ("" at the top of a module), statement, place."""

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
_LEFT_ALONE = (
    ast.Raise,
    ast.Assert,
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
)
"""Statements without mutants of their own: messages, and heads of functions, whose annotations say nothing."""


@dataclass(frozen=True)
class Mutant:
    """One change of one statement. `kind` is "compare", "compute", "constant", "condition" or "return"; `before` and
    `after` are the source of what changes; `span` is where it stands, in lines from 1 and columns in bytes.
    """

    key: Key
    file: str
    kind: str
    before: str
    after: str
    span: tuple[int, int, int, int]

    @property
    def room(self) -> str:
        """The top folder or the loose file of a package: "runtime/images", "runtime/engine.py"."""
        package, _, _, below, *_ = Path(self.file).parts
        return f"{package}/{below}"

    def __str__(self) -> str:
        where = f"{self.file}:{self.span[0]} {self.key[0]}".rstrip()
        return f"{where}: {_short(self.before)} -> {_short(self.after)}"


def _short(source: str) -> str:
    return source if len(source) <= 70 else f"{source[:67]}..."


def find_mutants(checkout: Path) -> list[Mutant]:
    """Every mutant of the three packages whose key is its own."""
    found = [
        mutant
        for package in PACKAGES
        for file in sorted((checkout / package / "edgewright" / package).rglob("*.py"))
        for mutant in _of_file(checkout, file)
    ]
    counts = Counter(mutant.key for mutant in found)
    return [mutant for mutant in found if counts[mutant.key] == 1]


def choose(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """`count` of them, in turn from every room, the largest first; in a room from every kind alike."""
    draws, rooms = random.Random(seed), dict[str, dict[str, list[Mutant]]]()
    sizes = Counter(mutant.room for mutant in mutants)
    for room, _ in sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0])):
        rooms[room] = {}
    for mutant in mutants:
        rooms[mutant.room].setdefault(mutant.kind, []).append(mutant)
    chosen: list[Mutant] = []
    while len(chosen) < count and any(rooms.values()):
        for kinds in rooms.values():
            if kinds and len(chosen) < count:
                chosen.append(_draw(kinds, draws))
    return chosen


def _draw(kinds: dict[str, list[Mutant]], draws: random.Random) -> Mutant:
    kind = draws.choice(sorted(kinds))
    mutant = kinds[kind].pop(draws.randrange(len(kinds[kind])))
    if not kinds[kind]:
        del kinds[kind]
    return mutant


def locate(keys: Sequence[Key], mutants: Sequence[Mutant]) -> list[Mutant | None]:
    """The mutants with these keys; None where there is none. A function may have become a method, or the reverse."""
    exact = {mutant.key: mutant for mutant in mutants}
    loose: dict[Key, list[Mutant]] = {}
    for mutant in mutants:
        loose.setdefault(_loose(mutant.key), []).append(mutant)
    alone = {key: found[0] for key, found in loose.items() if len(found) == 1}
    return [exact.get(key) or alone.get(_loose(key)) for key in keys]


def _loose(key: Key) -> Key:
    return (key[0].rpartition(".")[2], key[1], key[2])


def planted(source: bytes, mutant: Mutant) -> bytes:
    """The source of the file with the mutant in it."""
    lines = source.splitlines(keepends=True)
    first, start, last, end = mutant.span
    head, tail = lines[first - 1][:start], lines[last - 1][end:]
    return b"".join([*lines[: first - 1], head, mutant.after.encode(), tail, *lines[last:]])


def _of_file(checkout: Path, file: Path) -> Iterator[Mutant]:
    name = file.relative_to(checkout).as_posix()
    for scope, statement, truth in _statements(ast.parse(file.read_bytes()).body, (), False):
        head = _head(statement)
        for place, (node, kind, after) in enumerate(_changes(statement, truth)):
            span = (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)
            yield Mutant((".".join(scope), head, place), name, kind, ast.unparse(node), after, span)


def _statements(
    body: Sequence[ast.AST], scope: tuple[str, ...], truth: bool
) -> Iterator[tuple[tuple[str, ...], ast.stmt, bool]]:
    """Every statement with the names of the functions and classes around it; `truth`: it stands in a `-> bool`."""
    for node in body:
        inner, answers = scope, truth
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner = (*scope, node.name)
            answers = not isinstance(node, ast.ClassDef) and _named(node.returns) == "bool"
        if isinstance(node, ast.If) and _named(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.stmt) and not isinstance(node, _LEFT_ALONE):
            yield scope, node, truth
        below = [
            one
            for one in ast.iter_child_nodes(node)
            if isinstance(one, (ast.stmt, ast.excepthandler, ast.match_case))
        ]
        yield from _statements(below, inner, answers)


def _named(node: ast.AST | None) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _head(statement: ast.stmt) -> str:
    """The statement without the statements in it, as `ast.unparse` writes it, which knows no layout and no comments."""
    alone = copy.copy(statement)
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        if hasattr(alone, field):
            setattr(alone, field, [ast.Pass()] if field == "body" else [])
    return ast.unparse(alone)


Change = tuple[ast.expr | ast.stmt, str, str]


def _changes(statement: ast.stmt, truth: bool) -> Iterator[Change]:
    """What may be changed in a statement: the node, the kind, the new source."""
    if isinstance(statement, ast.AugAssign) and type(statement.op) in _COMPUTED:
        changed = copy.deepcopy(statement)
        changed.op = _COMPUTED[type(statement.op)]()
        yield statement, "compute", ast.unparse(changed)
    if isinstance(statement, (ast.If, ast.While)):
        yield statement.test, "condition", _negated(statement.test)
    if isinstance(statement, ast.Return) and statement.value is not None:
        if truth:
            yield statement.value, "return", _negated(statement.value)
        elif not (isinstance(statement.value, ast.Constant) and statement.value.value is None):
            yield statement.value, "return", "None"
    for root in ast.iter_child_nodes(statement):
        if isinstance(root, (ast.expr, ast.withitem)) and root is not getattr(statement, "annotation", None):
            yield from _in_expression(root)


def _in_expression(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.JoinedStr):
        return  # a message
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        operator = _COMPARED[type(node.ops[0])]()
        yield node, "compare", f"({ast.unparse(ast.Compare(node.left, [operator], node.comparators))})"
    if (
        isinstance(node, ast.BinOp)
        and type(node.op) in _COMPUTED
        and not (_text(node.left) or _text(node.right))
    ):
        yield (
            node,
            "compute",
            f"({ast.unparse(ast.BinOp(node.left, _COMPUTED[type(node.op)](), node.right))})",
        )
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield node, "condition", f"({ast.unparse(ast.BoolOp(other, node.values))})"
    if isinstance(node, ast.IfExp):
        yield node.test, "condition", _negated(node.test)
    if isinstance(node, ast.comprehension):
        yield from ((test, "condition", _negated(test)) for test in node.ifs)
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        yield node, "constant", _other(node.value)
    for inner in ast.iter_child_nodes(node):
        yield from _in_expression(inner)


def _negated(test: ast.expr) -> str:
    return f"(not {ast.unparse(test)})" if _simple(test) else f"(not ({ast.unparse(test)}))"


def _simple(test: ast.expr) -> bool:
    return isinstance(test, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))


def _text(node: ast.AST) -> bool:
    """A text is joined or formatted, which another operator would only break, and so is a path."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _other(value: bool | int | float) -> str:
    if isinstance(value, bool):
        return str(not value)
    if isinstance(value, int):
        return str(value + 1)
    return repr(value * 2 if value else 1.0)
