"""What a forecasting run says of itself beside the seasonal-naive forecast, through the command line."""

from pathlib import Path

import numpy as np
import pytest

from tests.command import Call

RECIPE = """\
task: forecasting
model: gru
data: {source: load.csv, time: hour, target: load, validation: 0.1, evaluation: 0.3}
forecast: {horizon: 4, context: 12, season: 8}
network: {hidden: 8}
training: {epochs: 2, batch_size: 32, lr: 1e-3}
variants: [fp32]
budget: {max_drop: 0.5}
"""


def written(folder: Path, values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Path:
    """A recipe beside the table that it names."""
    rows = "".join(f"{hour},{value!r}\n" for hour, value in enumerate(values.tolist()))
    (folder / "load.csv").write_text(f"hour,load\n{rows}")
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder / "recipe.yaml"


def season(count: int, noise: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    steps = np.arange(count)
    return np.sin(2 * np.pi * steps / 8) * 3 + np.random.default_rng(0).normal(size=count) * noise


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWRIGHT_CACHE", "off")


def test_a_model_that_loses_to_the_season_is_said_so_by_fit_and_by_ship(cli: Call, tmp_path: Path) -> None:
    recipe = written(
        tmp_path, season(240, 1e-4)
    )  # whoever learns a difference to a perfect season loses to it
    fitted = cli("fit", recipe, "--out", tmp_path / "bundle.run")
    assert fitted.code == 0
    assert "baseline_mae" in fitted.out.splitlines()[0]
    assert "note: the model loses to the seasonal-naive forecast on evaluation" in fitted.out
    shipped = cli("ship", recipe, "--out", tmp_path / "bundle")
    assert "seasonal naive: mae " in shipped.out
    assert "note: the model loses to the seasonal-naive forecast on evaluation" in shipped.out
    report = cli("ship", recipe, "--out", tmp_path / "bundle", "--json").json
    assert report["baseline"]["mae"] > report["baseline"]["baseline_mae"]
    assert report["baseline"]["skill"] < 0
    exported = cli("export", tmp_path / "bundle.run", "--out", tmp_path / "again", "--json").json
    assert exported["baseline"] == report["baseline"]


def test_a_model_that_wins_shows_both_errors(cli: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = np.cumsum(
        rng.normal(size=400)
    )  # a random walk: the newest value is better than the last season's
    recipe = written(tmp_path, values)
    answer = cli("ship", recipe, "--out", tmp_path / "bundle", "--set", "forecast.anchor=last")
    assert answer.code == 0, answer.err
    (line,) = [line for line in answer.out.splitlines() if line.startswith("seasonal naive: mae ")]
    naive, ours = (float(word.rstrip(",")) for word in (line.split()[3], line.split()[6]))
    assert ours < naive
    assert "loses" not in answer.out
