"""A metric whose evidence is of another size for each sample, and of which only all samples together make a figure."""

from pathlib import Path

import numpy as np
import pytest

from edgewright.exporters.reference import packed
from edgewright.pipeline.stages.export import _load, _samples
from edgewright.runtime import Engine, open_bundle
from tests.command import Call
from tests.pipeline.families.registered import register_toy
from tests.pipeline.families.toy_ranking import average_precision, scored


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    register_toy(monkeypatch, "toy-ranking", "toy_ranking", metrics=("average-precision",))


def test_average_precision_is_what_it_is_called() -> None:
    """Of three pictures, found in this order: right, wrong, right; in the third nothing was found."""
    evidence = packed([np.array([[0.9, 1.0], [0.8, 0.0]]), np.array([[0.7, 1.0]]), np.zeros((0, 2))])
    assert average_precision(evidence) == pytest.approx((1 + 2 / 3) / 3)


@pytest.mark.usefixtures("toy")
def test_it_is_trained_judged_verified_and_answers(cli: Call, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "task: toy-ranking\nmodel: toy-linear\n"
        "data: {source: 'builtin:digits', classes: [0, 1, 2, 3], train_per_class: 30}\n"
        "training: {epochs: 4, batch_size: 32, lr: 2e-3}\nvariants: [fp32, int8-dynamic]\n"
    )
    bundle, run = tmp_path / "bundle", tmp_path / "bundle.run"
    shipped = cli("ship", tmp_path / "recipe.yaml", "--out", bundle, "--json")
    assert shipped.code in (0, 1), shipped.err  # int8 of so small a model may not earn its place
    verdict = shipped.json["verdict"]
    assert verdict["metric_name"] == "average-precision"
    assert cli("verify", bundle, "--against", run).code == 0
    row = next(row for row in verdict["rows"] if row["name"] == "fp32")
    assert row["interval_method"] == "paired bootstrap" and 0.3 < row["metric"] < 1

    samples = _samples(_load(run, None))
    with Engine(bundle, "fp32", cache=False) as engine:
        answers = engine(list(samples.raws))
    evidence = [scored(*pair) for pair in zip(answers, samples.truths, strict=True)]
    assert len({len(one) for one in evidence}) > 1, "one size for all would show nothing"
    assert average_precision(packed(evidence)) == pytest.approx(row["metric"], abs=1e-6)
    shown = cli("predict", bundle, bundle / "golden", "--json")
    assert shown.code == 0 and len(shown.json["answers"]) == len(open_bundle(bundle).manifest.golden.samples)
