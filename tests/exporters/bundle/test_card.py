"""The card of a bundle: what others have named can neither end its header, nor become a tag, a link or code."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from edgewright.exporters.bundle.card import in_markdown, model_card
from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.description import ModelFacts
from tests.runtime.small_bundle import make_bundle

HOSTILE = (
    "<script>alert(1)</script>",
    "x\n---\nlicense: mit\n---\n# other",
    "[click](https://evil.example)",
    "![](http://evil.example/a.png)",
    "```\nimport os\n```",
    "\x1b[31m\u202e",
    "a | b",
    "https://evil.example/x",
    "www.evil.example",
    "yes: [no, {",
    "&lt;b&gt;",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_in_a_card(tmp_path: Path, name: str) -> None:
    def change(manifest: Manifest) -> Manifest:
        labels = (name, "green", "blue")
        return dataclasses.replace(manifest, labels=labels, model=name, licence=name, versions={name: name})

    opened = open_bundle(make_bundle(tmp_path / "bundle", change))
    manifest = opened.manifest
    task = load_task(manifest.task, manifest.processor, manifest.labels, opened.assets())
    card = model_card(
        manifest, task.describe(ModelFacts(manifest.graphs, None)), None, {name: name, "data": name}
    )
    _, header, body = card.split("---\n", 2)
    said = yaml.safe_load(header)
    assert set(said) - {"license_name"} == {"license", "pipeline_tag", "library_name", "tags"}
    assert re.fullmatch(r"[a-z0-9.-]+", said["license"])
    assert re.fullmatch(r"[a-z0-9.-]+", said.get("license_name", "none"))
    assert body.count("```") == 2 and "\n---" not in body and body.count("\n# ") == 0
    text = body.replace("<!-- -->", "")
    assert "<" not in text and not re.search(r"(?<!\\)[\[\]|]", text.split("## Run it")[0])
    assert not re.search(r"https?:|www\.", body)
    assert all(character.isprintable() or character == "\n" for character in card)


def test_plain_names_stay_as_they_are() -> None:
    for name in ("resnet18", "timm:test_vit", "BSD-3-Clause (torchvision)", "12:30, 50 %", "photo of a cat"):
        assert in_markdown(name) == name
