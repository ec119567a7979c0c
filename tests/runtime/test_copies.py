"""Engines and answers in other processes: an engine goes there as the path of its bundle and its settings."""

import copy
import multiprocessing
import os
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgewright.runtime import Engine, open_bundle
from edgewright.runtime.errors import BundleError, EdgewrightError, InputError
from tests.messages import refused
from tests.runtime.small_bundle import colour_image


def answer(engine: Engine, raw: Any) -> Any:
    """Runs in another process."""
    return os.getpid(), engine.variant, engine.provider, engine.batch_size, engine(raw)


def test_an_engine_in_processes_that_start_anew(bundle: Path) -> None:
    engine = Engine(bundle, "copy", provider="cpu", threads=1, cache=False, batch_size=3, timeout=60)
    images = [bundle / "golden" / f"{index}.png" for index in range(3)]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(answer, [engine] * 3, images))
    for (process, variant, provider, batch_size, classification), image in zip(found, images, strict=True):
        assert process != os.getpid() and (variant, provider, batch_size) == ("copy", "cpu", 3)
        assert classification == engine(image)


@pytest.mark.parametrize(
    "take", [copy.copy, copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))]
)
def test_a_copy_is_an_engine_of_its_own(bundle: Path, take: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle.parent)
    engine = Engine(open_bundle(bundle.name), provider="cpu", threads=1)
    monkeypatch.chdir("/")  # a relative path means the folder in which the engine was opened
    other = take(engine)
    engine.close()
    assert other(colour_image(1)).label == "green"
    assert (other.variant, other.manifest) == (engine.variant, engine.manifest)


def test_engines_that_cannot_be_opened_again(bundle: Path) -> None:
    engine = Engine(bundle, provider="cpu", threads=1)
    packed = pickle.dumps(engine)
    assert len(packed) < 1000, "a path and settings, not the model"
    shutil.rmtree(bundle)
    with refused(BundleError):
        pickle.loads(packed)
    engine.close()
    with refused(InputError):
        pickle.dumps(engine)


@pytest.mark.parametrize("kind", [BundleError, InputError])
def test_errors_come_back_from_another_process(kind: type[EdgewrightError]) -> None:
    found = pickle.loads(pickle.dumps(kind("one line: and a way out")))
    assert type(found) is kind and str(found) == "one line: and a way out"
