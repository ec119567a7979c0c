"""Exporters write down what a task says of itself: a new task needs no line in them."""

import ast
from pathlib import Path

import edgewright.exporters.reference
from edgewright.runtime.tasks import TASKS


def test_no_exporter_names_a_task() -> None:
    room = Path(edgewright.exporters.reference.__file__).parent
    for file in sorted(room.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not words & set(TASKS), f"{file} names {words & set(TASKS)}"
        assert "is_encoder" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}, file
