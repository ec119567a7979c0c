"""A run folder that an older version left (commit dd01e58), and the manifest of the bundle that it made then."""

import re
import shutil
from pathlib import Path

import pytest

from edgewright.runtime import Engine, open_bundle
from edgewright.runtime.errors import BundleError
from tests.command import Call

OLD = Path(__file__).parent / "old_run"


def test_it_is_exported(cli: Call, tmp_path: Path) -> None:
    run = Path(shutil.copytree(OLD / "run", tmp_path / "run"))
    answer = cli("export", run, "--out", tmp_path / "bundle", "--json")
    assert answer.code == 0, answer.err
    assert (run / "weights.safetensors").read_bytes() == (OLD / "run" / "weights.safetensors").read_bytes()
    opened = open_bundle(tmp_path / "bundle")
    assert opened.manifest.graphs.keys() == {"model", "step"}
    assert cli("verify", tmp_path / "bundle", "--against", run).code == 0
    with Engine(opened, cache=False) as engine:
        assert engine.stream().push(opened.root / "golden" / "0.csv").label in opened.manifest.labels


def test_its_bundle_names_the_command_that_makes_it_anew(tmp_path: Path) -> None:
    shutil.copy(OLD / "manifest.json", tmp_path / "edgewright.json")
    with pytest.raises(BundleError) as caught:
        open_bundle(tmp_path)
    assert re.search(
        r"older edgewright .* schema version 1.*'edgewright export RUN --out BUNDLE'", str(caught.value)
    )
