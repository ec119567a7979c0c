"""The header of a model card: valid YAML whatever names are in it, and what model hubs take."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from edgewright.exporters.bundle.card import model_card
from edgewright.exporters.bundle.metadata import LICENCES
from edgewright.exporters.bundle.origin import Origin
from edgewright.exporters.bundle.write import Candidate
from edgewright.exporters.verdict import Verdict
from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.tasks import load_task
from edgewright.runtime.tasks.description import ModelFacts
from tests.runtime.small_bundle import make_bundle

HOSTILE = (
    "---",
    "a\n---\nlicense: mit",
    "quote \" and \\ and ' and: colon # hash",
    "[list, {map: 1}]",
    "\u202egnp.exe \x1b[31m\x00 \u2028 \x85 \ufeff \ud800",
    "no",
    "null",
    "1e999",
    "!!python/object:os.system",
    "&anchor *alias %TAG",
    "日本語 😀 e\u0301 \u200d",
    "- item\n  nested: yes",
    "",
)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return open_bundle(make_bundle(tmp_path / "bundle")).manifest


def card_of(manifest: Manifest, verdict: Verdict | None = None, **origin: Any) -> tuple[str, dict[str, Any]]:
    """A card, and its header as PyYAML reads it."""
    task: Any = load_task(manifest.task, manifest.processor, manifest.labels)
    told = task.describe(ModelFacts(manifest.graphs))
    card = model_card(manifest, told, verdict, {"Data": "\n---\n"}, Origin(**origin))
    first, header, _ = card.split("---\n", 2)
    found = yaml.safe_load(header)
    assert first == "" and isinstance(found, dict)
    return card, found


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_the_header(name: str, manifest: Manifest, verdict: Verdict) -> None:
    other = dataclasses.replace(manifest, model=name, labels=(name, "b", "c"), licence=name)
    card, found = card_of(other, verdict, base_model=name, datasets=(name,))
    keys = {"license", "pipeline_tag", "library_name", "tags", "datasets", "model-index"}
    keys |= {"base_model"} if name else set()
    assert set(found) == keys | ({"license_name"} if found["license"] == "other" else set())
    assert found["license"] in {*LICENCES, "other"} and found["pipeline_tag"] == "image-classification"
    assert all(type(one) is str and one for one in (*found["datasets"], found.get("base_model", "-")))
    (entry,) = found["model-index"]
    assert isinstance(entry["name"], str)
    read: Any = ModelCard(card, ignore_metadata_errors=False).data
    assert read.license == found["license"] and read.datasets == found["datasets"]
    assert read.model_name == entry["name"]


@pytest.mark.parametrize(
    ("licence", "header"),
    [
        ("BSD-3-Clause", {"license": "bsd-3-clause"}),
        ("apache-2.0", {"license": "apache-2.0"}),
        ("CC-BY-NC-4.0", {"license": "cc-by-nc-4.0"}),
        ("unknown (the checkpoint does not say; see where it came from)", {"license": "unknown"}),
        (
            "none (trained from random weights)",
            {"license": "other", "license_name": "none-trained-from-random-weights"},
        ),
        ("mit, with conditions", {"license": "other", "license_name": "mit-with-conditions"}),
        ("Apple Sample Code", {"license": "other", "license_name": "apple-sample-code"}),
    ],
)
def test_a_licence_is_one_that_hubs_know_or_has_a_name(
    licence: str, header: dict[str, str], manifest: Manifest
) -> None:
    _, found = card_of(dataclasses.replace(manifest, licence=licence))
    assert {key: value for key, value in found.items() if key.startswith("license")} == header


def test_hubs_read_the_figures_of_the_verdict(manifest: Manifest, verdict: Verdict) -> None:
    card, found = card_of(manifest, verdict, base_model="timm/resnet18.a1_in1k", datasets=("digits",))
    assert found["base_model"] == "timm/resnet18.a1_in1k" and found["datasets"] == ["digits"]
    read: Any = ModelCard(card, ignore_metadata_errors=False).data
    results = read.eval_results
    rows = {row.name: row for row in verdict.rows}
    assert [one.metric_name for one in results] == [
        f"{verdict.metric_name} ({name}, {verdict.samples} samples)" for name in verdict.ranking
    ]
    for one, name in zip(results, verdict.ranking, strict=True):
        assert one.metric_value == pytest.approx(rows[name].metric, rel=1e-5)
        assert (one.task_type, one.metric_type) == ("image-classification", verdict.metric_name)
        assert (one.dataset_name, one.dataset_split) == ("digits", "evaluation")


def test_without_a_verdict_there_are_no_figures(manifest: Manifest, candidate: Candidate) -> None:
    _, found = card_of(manifest)
    assert "model-index" not in found and "base_model" not in found and candidate.origin == Origin()
