"""The page of bundles has all that an author of another reader needs, and its examples answer as `Engine` does."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime import Engine, open_bundle
from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.tasks.base import Task
from tests.command import Shipped
from tests.docs.pages import DOCS, blocks_of
from tests.runtime.encoder_bundle import CASES
from tests.runtime.recurrent_bundle import FORECAST, RECURRENT, case, forecast_series, make_recurrent_bundle
from tests.runtime.small_bundle import colour_image, make_bundle

PAGE = DOCS / "reference" / "bundle.md"
TEXT = PAGE.read_text(encoding="utf-8")
FILES = {block.title: block.text for block in blocks_of(PAGE) if block.title}

TASKS: Mapping[str, Task[Any]] = {
    **{name: case(name).device_task() for name in RECURRENT},
    **{name: example.device_task() for name, example in CASES.items()},
}
SECTIONS = {
    **dict.fromkeys(RECURRENT[:3], "sequence-classification, sequence-regression, forecasting"),
    "audio-classification": "audio-classification",
    "text-classification": "Texts by a recurrent net",
    **dict.fromkeys(CASES, "Texts by an encoder"),
}


def section(title: str) -> str:
    """What stands below a heading, with what stands below its own."""
    found = TEXT.partition(f"\n## {title}\n")[2]
    assert found, title
    return re.split(r"\n## ", found)[0]


def every_key(value: Any) -> set[str]:
    """The names of the fields of a dataclass and of those in it."""
    found: set[str] = set()
    for field in dataclasses.fields(value):
        found.add(field.name)
        inner = getattr(value, field.name)
        found |= every_key(inner) if dataclasses.is_dataclass(inner) else set()
    return found


def check(task: Task[Any], title: str) -> None:
    """Every tensor and every key of the settings is told in more than a table of types."""
    text = section(title)
    told = "\n".join(line for line in text.splitlines() if not re.match(r"\| `\w+` \|", line))
    for graph in task.signatures.values():
        for spec in (*graph.inputs, *graph.outputs):
            assert f"`{spec.name}`" in told or "step" in spec.name, (title, spec.name)
    for key in every_key(task.settings):
        assert f"\n| `{key}` |" in text, (title, key)
        assert re.search(rf"(`|\.|\b){key}\b", told), (title, key)


@pytest.mark.parametrize("name", TASKS)
def test_a_section_has_every_tensor_and_every_setting(name: str) -> None:
    check(TASKS[name], SECTIONS[name])


def test_so_has_that_of_pictures(tmp_path: Path) -> None:
    with Engine(make_bundle(tmp_path / "bundle"), cache=False) as engine:
        check(engine.task, "image-classification")


def test_every_key_of_the_manifest_has_a_row() -> None:
    for field in dataclasses.fields(Manifest):
        assert f"\n| `{field.name}` |" in section("edgewright.json"), field.name


def function(title: str) -> Any:
    """The function that a block of the page defines."""
    names: dict[str, Any] = {}
    exec(compile(FILES[title], title, "exec"), names)
    return names[{"forecast.py": "forecast", "classify.py": "classify"}[title]]


@pytest.mark.parametrize("anchor", ["seasonal", "last", "none"])
def test_the_forecast_of_the_page_is_that_of_the_engine(anchor: str, tmp_path: Path) -> None:
    ahead = dataclasses.replace(FORECAST.forecast, anchor=anchor)  # type: ignore[type-var]
    example = dataclasses.replace(case("forecasting"), settings=dataclasses.replace(FORECAST, forecast=ahead))
    root = make_recurrent_bundle(tmp_path / "bundle", example)
    with Engine(root, cache=False) as engine:
        for seed, steps in ((3, 6), (4, 29)):
            series = forecast_series(steps, seed)
            found = function("forecast.py")(root, series.values, series.known)
            np.testing.assert_allclose(found, engine(series).values, rtol=1e-6)


def test_the_picture_of_the_page_is_that_of_the_engine(shipped: Shipped, tmp_path: Path) -> None:
    small = make_bundle(tmp_path / "small")
    for index, size in enumerate([(20, 24), (300, 16), (37, 91)]):
        colour_image(index, size).save(tmp_path / f"{index}.png")
    for root in (small, shipped.bundle):
        bundle = open_bundle(root)
        photos = [tmp_path / f"{index}.png" for index in range(3)]
        photos += [bundle.path(sample.file) for sample in bundle.manifest.golden.samples]
        with Engine(bundle, provider="cpu", threads=1, cache=False) as engine:
            for photo in photos:
                label, logits = function("classify.py")(root, photo)
                answer = engine(photo)
                assert label == answer.label
                np.testing.assert_allclose(logits, answer.logits, rtol=1e-3, atol=1e-3)
