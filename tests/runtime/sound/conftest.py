"""What is compared with: librosa as it is, but for compiling."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


def _as_it_is(*options: Any, **_settings: Any) -> Any:
    """Stands for a decorator of numba: the function stays what it is."""
    if len(options) == 1 and callable(options[0]):
        return options[0]

    def same(function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    return same


@pytest.fixture(scope="session")
def librosa() -> ModuleType:
    """Librosa without the 40 s that numba compiles in a fresh environment.

    Nothing that is asked of it here is compiled: the frames are scipy's, the resampling soxr's.
    """
    numba = importlib.import_module("numba")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("jit", "njit", "vectorize", "guvectorize", "stencil"):
            patch.setattr(numba, name, _as_it_is)
        library = importlib.import_module("librosa")
        importlib.import_module("librosa.feature.spectral")  # librosa loads its modules on first use
        importlib.import_module("librosa.core.audio")
    return library
