"""How a test makes the product know a task of its own."""

import dataclasses
from typing import Any

import pytest

from edgewright.pipeline.catalog import FAMILIES, TASKS, FamilyTask
from edgewright.runtime.tasks import TASKS as DEVICE_TASKS

_HERE = "tests.pipeline.families"


def register_toy(monkeypatch: pytest.MonkeyPatch, task: str, module: str, **changes: Any) -> None:
    """Add the toy family, and as `task` what stands in `module` beside this one: one entry each."""
    like = TASKS["image-classification"]
    spec = dataclasses.replace(like, training=f"{_HERE}.{module}", families={"toy": FamilyTask()}, **changes)
    monkeypatch.setitem(FAMILIES, "toy", f"{_HERE}.toy_family:ToyFamily")
    monkeypatch.setitem(TASKS, task, spec)
    monkeypatch.setitem(DEVICE_TASKS, task, f"{_HERE}.{module}:DeviceTask")
