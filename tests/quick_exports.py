"""torch's exporter without what it does anew for every export: parsing the sources of its 500 functions."""

import copy
import functools
import importlib
from typing import Any


def remember_operators() -> None:
    """From now on in this process torch.onnx builds its registry of operators once, and copies it for every export.

    That takes a second of each, and a run of all tests exports some two hundred times. What an export may add to its
    registry stays in its copy.
    """
    kind: Any = importlib.import_module("torch.onnx._internal.exporter._registration").ONNXRegistry
    made = functools.cache(kind.from_torchlib)

    def from_torchlib(*arguments: Any, **options: Any) -> Any:
        found = made(*arguments, **options)
        registry = copy.copy(found)
        registry.functions = {name: list(metas) for name, metas in found.functions.items()}
        return registry

    kind.from_torchlib = staticmethod(from_torchlib)
