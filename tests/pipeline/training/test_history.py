"""What training reads before a sample where streams carry their state on: what a running stream has read by then."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.pipeline.data.samples import Sample, Splits
from edgewright.pipeline.data.sources import open_data
from edgewright.pipeline.families import build_for, fit_settings
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.pipeline.tasks.registry import task_of
from edgewright.pipeline.training.history import history_of
from edgewright.pipeline.training.sample_source import SampleSource
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.base import Task

EPOCHS = range(12)


def opened(folder: Path, memory: str = "carried", **more: Any) -> tuple[Recipe, Splits, Task[Any]]:
    """A walk that names its own steps: the value of step n is n."""
    rows = "\n".join(f"{step},{step}.0" for step in range(300))
    (folder / "walk.csv").write_text(f"step,level\n{rows}\n", encoding="utf-8")
    document = {
        "task": "forecasting",
        "model": "gru",
        "data": {"source": str(folder / "walk.csv"), "time": "step", "target": ["level"]},
        "forecast": {"horizon": 2, "context": 8},
        "stream": {"memory": memory},
        **more,
    }
    recipe = recipe_from_plain(document)
    splits = open_data(recipe)
    fitted = fit_settings(recipe, splits)
    return recipe, splits, load_task(recipe.task, to_plain(fitted.settings), splits.classes)


def levels(values: Any, device: Any) -> np.ndarray:
    """Encoded steps as the numbers of the steps that they are."""
    return np.asarray(np.round(values[:, 0] * device.settings.std[0] + device.settings.mean[0]))


@pytest.mark.parametrize("place", [0, 5, 100])
def test_earlier_steps_of_the_recording_come_before(tmp_path: Path, place: int) -> None:
    recipe, splits, device = opened(tmp_path)
    history = history_of(recipe, splits.train, device)
    assert history is not None
    alone = device.encode(splits.train[place].raw)
    lengths = []
    for epoch in EPOCHS:
        found = history.before(place, epoch, alone, lambda index: device.encode(splits.train[index].raw))
        again = history.before(place, epoch, alone, lambda index: device.encode(splits.train[index].raw))
        np.testing.assert_array_equal(found["values"], again["values"])
        steps = levels(found["values"], device)
        np.testing.assert_array_equal(steps, np.arange(steps[0], place + 8))  # up to the last of the sample
        assert int(found["lengths"]) == len(steps) <= 8 + min(place, 4 * 8)
        np.testing.assert_array_equal(found["anchor"], alone["anchor"])
        lengths.append(len(steps))
    assert (len(set(lengths)) > 1) == (place > 0) and min(lengths) >= 8


def test_nothing_of_another_part_comes_before(tmp_path: Path) -> None:
    """The first windows of a part have no history, however long the recording is."""
    recipe, splits, device = opened(tmp_path)
    first = splits.evaluation[0]
    assert first.place is not None and first.place.start == 0
    history = history_of(recipe, splits.evaluation, device)
    assert history is not None
    alone = device.encode(first.raw)
    for epoch in EPOCHS:
        assert history.before(0, epoch, alone, lambda index: alone) is alone


def test_another_sound_comes_before_every_second() -> None:
    document = {
        "task": "audio-classification",
        "model": "gru",
        "data": {"source": "builtin:tones", "train_per_class": 4},
        "audio": {"sample_rate": 4000, "mels": 12},
        "stream": {"memory": "carried"},
    }
    recipe = recipe_from_plain(document)
    splits = open_data(recipe)
    device = load_task(recipe.task, to_plain(fit_settings(recipe, splits).settings), splits.classes)
    encoded = [device.encode(sample.raw) for sample in splits.train]
    history = history_of(recipe, splits.train, device)
    assert history is not None
    source = device.input_names[0]
    alone = 0
    for epoch in range(40):
        found = history.before(3, epoch, encoded[3], encoded.__getitem__)
        own = encoded[3][source]
        np.testing.assert_array_equal(found[source][-len(own) :], own)
        before = found[source][: -len(own)]
        alone += not len(before)
        assert not len(before) or any(np.array_equal(before, one[source]) for one in encoded)
        assert int(found["lengths"]) == len(found[source])
    assert 10 <= alone <= 30


@pytest.mark.parametrize("memory", ["context", "auto"])
def test_what_is_answered_from_a_context_has_no_history(tmp_path: Path, memory: str) -> None:
    recipe, splits, device = opened(tmp_path, memory)
    assert history_of(recipe, splits.train, device) is None


def test_the_loop_reads_histories_and_figures_do_not(tmp_path: Path) -> None:

    recipe, splits, device = opened(tmp_path)
    built = build_for(recipe, splits, fit_settings(recipe, splits))
    task = task_of(built, splits, recipe)
    samples: tuple[Sample, ...] = splits.train[:40]
    source = SampleSource(
        samples, task, device, names=built.input_names, history=history_of(recipe, samples, device)
    )
    plan = [np.arange(40)]
    (learnt,), (told,) = source.batches(plan, 1), source.batches(plan, None)
    assert told[0].shape[1] == 8 < learnt[0].shape[1]
    assert sorted(set(told[1].tolist())) == [8] and len(set(learnt[1].tolist())) > 5
