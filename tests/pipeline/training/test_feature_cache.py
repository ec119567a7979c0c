"""Every sample goes through the backbone once; a killed pass goes on; a damaged cache is made anew."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgewright.pipeline.training import feature_cache
from edgewright.pipeline.training.distributed import World
from edgewright.pipeline.training.feature_cache import Extract, cache_is_complete, cached_features
from edgewright.pipeline.training.fit import fit
from edgewright.pipeline.training.sources import ArraySource
from edgewright.runtime.errors import MachineError
from tests.messages import refused
from tests.pipeline.training.small_net import recipe, small_model, small_splits

COUNT, WIDTH = 100, 3
ROWS = np.random.default_rng(0).normal(size=(COUNT, WIDTH)).astype(np.float32)


class Backbone:
    """Doubles its input and counts the samples; stops after some batches, like a process that is killed."""

    def __init__(self, stop_after: int = 1000) -> None:
        self.samples = 0
        self._left = stop_after

    def __call__(self) -> Extract:
        return self._extract

    def _extract(self, inputs: torch.Tensor) -> NDArray[np.float32]:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        self.samples += len(inputs)
        doubled: NDArray[np.float32] = (inputs * 2).numpy()
        return doubled


def run(path: Path, backbone: Callable[[], Extract], key: str = "key") -> feature_cache.CachedFeatures:
    source = ArraySource(ROWS, np.zeros(COUNT, np.int64))
    return cached_features(path, key, source, WIDTH, backbone, World(), lambda done, count: None)


def test_features_are_mapped_and_made_once(tmp_path: Path) -> None:
    path, backbone = tmp_path / "features" / "train.npy", Backbone()
    first = run(path, backbone)
    assert isinstance(first.rows, np.memmap)
    assert np.array_equal(first.rows, ROWS * 2)
    assert (backbone.samples, first.found) == (COUNT, 0)
    second = run(path, backbone)
    assert (backbone.samples, second.found) == (COUNT, COUNT)
    assert np.array_equal(np.load(path, allow_pickle=False), ROWS * 2)
    assert cache_is_complete(path, "key")


def test_another_key_makes_them_anew(tmp_path: Path) -> None:
    path, backbone = tmp_path / "train.npy", Backbone()
    run(path, backbone)
    assert run(path, backbone, "other").found == 0
    assert backbone.samples == 2 * COUNT
    assert not cache_is_complete(path, "key")


@pytest.mark.parametrize("batches", [0, 1, 2, 3])
def test_a_killed_pass_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    monkeypatch.setattr(feature_cache, "_NOTE_EVERY", 0.0)
    path, rest = tmp_path / "train.npy", Backbone()
    with pytest.raises(KeyboardInterrupt):
        run(path, Backbone(stop_after=batches))
    with path.open("ab") as file:
        file.write(b"half a row")
    done = run(path, rest)
    assert done.found == batches * feature_cache.FEATURE_BATCH
    assert rest.samples == COUNT - done.found
    assert np.array_equal(done.rows, ROWS * 2)


@pytest.mark.parametrize("damage", ["flipped", "short", "gone", "note gone", "note broken"])
@pytest.mark.parametrize("complete", [True, False])
def test_a_damaged_cache_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, complete: bool
) -> None:
    monkeypatch.setattr(feature_cache, "_NOTE_EVERY", 0.0)
    path = tmp_path / "train.npy"
    if complete:
        run(path, Backbone())
    else:
        with pytest.raises(KeyboardInterrupt):
            run(path, Backbone(stop_after=2))
    content = path.read_bytes()
    if damage == "flipped":
        where = len(content) - 1 if complete else 60  # in the header, where no digest is there yet
        path.write_bytes(content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
    elif damage == "short":
        path.write_bytes(content[:200])
    elif damage == "gone":
        path.unlink()
    elif damage == "note gone":
        path.with_suffix(".json").unlink()
    else:
        path.with_suffix(".json").write_text("{")
    again = run(path, Backbone())
    assert again.found == 0
    assert np.array_equal(again.rows, ROWS * 2)


def test_no_disk_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with refused(MachineError):
        run(tmp_path / "train.npy", Backbone())


def test_a_new_rate_or_more_epochs_do_not_extract_again(tmp_path: Path) -> None:
    passed: list[int] = []

    def extracted(**options: Any) -> int:
        """How many pictures a training sends through the backbone."""
        built = small_model()
        passed.clear()
        built.module.get_submodule("conv1").register_forward_hook(
            lambda layer, arguments, output: passed.append(len(arguments[0]))
        )
        fit(built, small_splits(), recipe({"mode": "feature-extraction"}, **options), tmp_path)
        return sum(passed)

    overhead = 3  # two pictures find the shape of the features, one counts operations to choose the engine
    assert extracted(lr=0.01) == 94 + 40 + 40 + overhead
    assert extracted(lr=0.02, epochs=3) == overhead
    (tmp_path / "features" / "train.npy").unlink()
    assert extracted(seed=5) == 94 + overhead
