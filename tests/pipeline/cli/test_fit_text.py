"""How a finished training reads on the terminal."""

from pathlib import Path

from edgewright.pipeline.cli.fit_text import fit_summary
from edgewright.pipeline.training.results import Trained


def test_counts_are_whole_numbers_and_figures_have_four_digits(tmp_path: Path) -> None:
    figures = {"loss": 0.25, "accuracy": 1.0, "samples": 30, "rows": 36, "confusion": [[1]]}
    trained = Trained(tmp_path / "weights", {"evaluation": figures}, (), (), {})
    header, _, row, *_ = fit_summary(trained, tmp_path).splitlines()
    assert header.split() == ["split", "samples", "loss", "accuracy", "rows"]
    assert row.split() == ["evaluation", "30", "0.2500", "1.0000", "36"]
