"""A trained model whose channels differ in scale by a thousand: the same function, ruined by per-tensor int8."""

from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file

from edgewright.pipeline.recipe.load import load_recipe
from edgewright.pipeline.stages.fit import fit_run
from edgewright.pipeline.training.results import WEIGHTS, load_trained
from edgewright.runtime import open_bundle
from tests.command import Call
from tests.exporters.judge.test_judge import rescaled

RECIPE = """\
task: image-classification
model: resnet18
weights: none
data: {source: "builtin:digits", evaluation: 0.2}
input: {size: 32}
training: {epochs: 2, batch_size: 64, lr: 1e-3}
"""


def rescale_run(run: Path) -> None:
    """Give a finished run the rescaled weights."""
    with safe_open(run / WEIGHTS, framework="np") as file:
        metadata = file.metadata()
    module = rescaled(load_trained(run).built.module)
    save_file(module.state_dict(), run / WEIGHTS, metadata)


def test_an_int8_that_lost_twenty_points_ends_in_fail_and_exit_1(cli: Call, tmp_path: Path) -> None:
    recipe, run, bundle = tmp_path / "recipe.yaml", tmp_path / "run", tmp_path / "bundle"
    recipe.write_text(RECIPE, encoding="utf-8")
    trained = fit_run(load_recipe(recipe), run)
    rescale_run(run)
    variants = ["--variants", "fp32,int8-static", "--set", "quantization.per_channel=false"]
    answer = cli("export", run, "--out", bundle, "--json", *variants)
    rows = {row["name"]: row for row in answer.json["verdict"]["rows"]}
    assert answer.code == 1
    assert np.isclose(rows["fp32"]["metric"], trained.metrics["evaluation"]["accuracy"], atol=0.003)
    assert (rows["fp32"]["status"], rows["int8-static"]["status"]) == ("PASS", "FAIL")
    assert rows["int8-static"]["drop"] > 0.2
    assert "int8-static failed and is not in the bundle" in answer.err
    assert [variant.name for variant in open_bundle(bundle).manifest.variants] == ["fp32"]
