"""Published weights: a progress bar where somebody watches, silence where nobody does, every byte checked."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from edgewright.pipeline.models.vision import torchvision_models
from edgewright.pipeline.models.vision.build import build_model
from edgewright.runtime.errors import ModelError
from tests.messages import refused


class Published:
    """torchvision's entry of a model, with another address."""

    def __init__(self, original: Any, url: str) -> None:
        self._original, self.url = original, url

    def get_state_dict(self, **options: Any) -> Any:
        return torch.hub.load_state_dict_from_url(self.url, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for the hub's: squeezenet's weights, its digest in its name as torch wants it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    state = build_model("squeezenet1_1", 1000, "none", seed=9).module.state_dict()
    torch.save(state, tmp_path / "weights")
    digest = hashlib.sha256((tmp_path / "weights").read_bytes()).hexdigest()
    file = (tmp_path / "weights").rename(tmp_path / f"squeezenet1_1-{digest[:8]}.pth")
    published = Published(torchvision_models._weights("squeezenet1_1"), file.as_uri())
    monkeypatch.setattr(torchvision_models, "_weights", lambda name: published)
    return file


@pytest.mark.parametrize("watched", [True, False])
def test_a_bar_where_somebody_watches(
    server: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], watched: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched)
    state = torchvision_models.published_state("squeezenet1_1", (224, 224))
    assert "classifier.1.weight" in state
    out, err = capsys.readouterr()
    assert out == ""
    assert ("100%" in err) == watched
    server.unlink()
    assert torchvision_models.published_state("squeezenet1_1", (224, 224)).keys() == state.keys()
    assert "%" not in capsys.readouterr().err


def test_a_download_that_was_tampered_with_is_refused_and_not_kept(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(server.read_bytes())
    content[len(content) // 2] ^= 1
    server.write_bytes(content)
    with refused(ModelError):
        build_model("squeezenet1_1", 5)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
