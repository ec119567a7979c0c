"""Fixtures of the runtime's tests."""

from pathlib import Path

import pytest

from tests.runtime.small_bundle import make_bundle


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Every test has a graph cache of its own, so that none finds what another left."""
    cache = tmp_path / "graph-cache"
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(cache))
    return cache


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The folder of a small bundle, for the test to keep or to break."""
    return make_bundle(tmp_path / "bundle")
