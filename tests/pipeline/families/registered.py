"""How a test makes the product know a task of its own."""

import dataclasses
from typing import Any

import pytest

from edgewright.pipeline.catalog import FAMILIES, TASKS, FamilyTask
from edgewright.runtime.tasks import TASKS as DEVICE_TASKS

_HERE = "tests.pipeline.families"


def register_toy(
    monkeypatch: pytest.MonkeyPatch, task: str, module: str, own: bool = False, **changes: Any
) -> None:
    """Add as `task` what stands in `module` beside this one, for the toy family or, with `own`, for the module's: one
    entry each.
    """
    family, place = (task, f"{_HERE}.{module}:Family") if own else ("toy", f"{_HERE}.toy_family:ToyFamily")
    like = TASKS["image-classification"]
    spec = dataclasses.replace(like, training=f"{_HERE}.{module}", families={family: FamilyTask()}, **changes)
    monkeypatch.setitem(FAMILIES, family, place)
    monkeypatch.setitem(TASKS, task, spec)
    monkeypatch.setitem(DEVICE_TASKS, task, f"{_HERE}.{module}:DeviceTask")
