"""The picture of the curves: well formed, every value where it belongs, the same for the same rows."""

import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from edgewright.pipeline.training.curve_picture import curves_svg
from edgewright.pipeline.training.fit import fit
from edgewright.pipeline.training.results import CURVES_PICTURE
from tests.pipeline.training.small_net import recipe, small_model, small_splits

SVG = "{http://www.w3.org/2000/svg}"


def rows(
    losses: list[float], figures: list[float] | None = None, phase: str = "head"
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"phase": phase, "epoch": at + 1, "train_loss": loss} for at, loss in enumerate(losses)
    ]
    for row, figure in zip(found, figures or [], strict=False):
        row |= {"validation_loss": row["train_loss"] * 1.1, "validation_macro_f1": figure}
    return found


def lines_of(svg: str) -> list[list[tuple[float, float]]]:
    """The points of each curve, in pixels."""
    curves = [
        path.get("d", "")
        for path in ElementTree.fromstring(svg).iter(f"{SVG}path")
        if path.get("fill") == "none"
    ]
    return [
        [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", curve)] for curve in curves
    ]


def texts_of(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 3.7e5])
@pytest.mark.parametrize("count", [2, 7, 100, 3000])
def test_every_value_has_its_place(count: int, scale: float) -> None:
    losses = [scale * (1 + math.cos(at / 3)) for at in range(count)]
    svg = curves_svg(rows(losses, [at / count for at in range(count)]), "macro-f1")
    training, validation, figure = lines_of(svg)
    assert len(training) == len(validation) == len(figure) == count
    assert [x for x, _ in training] == sorted(x for x, _ in training)
    low, high = min(range(count), key=losses.__getitem__), max(range(count), key=losses.__getitem__)
    slope = (training[low][1] - training[high][1]) / (losses[high] - losses[low])
    for (_, y), loss in zip(training, losses, strict=True):
        assert y == pytest.approx(training[low][1] - slope * (loss - losses[low]), abs=0.2)
    width = float(ElementTree.fromstring(svg).get("width", 0))
    assert all(0 < x < width for curve in (training, figure) for x, _ in curve)
    assert max(x for x, _ in training) < min(x for x, _ in figure), "the panels stand side by side"
    assert svg == curves_svg(rows(losses, [at / count for at in range(count)]), "macro-f1")


def test_phases_are_named_where_they_begin() -> None:
    svg = curves_svg(
        rows([3, 2], [0.1, 0.2]) + rows([1.5, 1, 0.5], [0.5, 0.6, 0.7], "fine-<tuning>"), "macro-f1"
    )
    assert texts_of(svg).count("fine-<tuning>") == 2 and "head" not in texts_of(svg)


@pytest.mark.parametrize(
    "losses", [[0.5], [0.0], [2.0, 2.0, 2.0], [-1.0, -3.0], [1.0, math.nan, 2.0, math.inf, 3.0]]
)
def test_odd_values_are_drawn_too(losses: list[float]) -> None:
    svg = curves_svg(rows(losses), "accuracy")
    finite = [loss for loss in losses if math.isfinite(loss)]
    (drawn,) = lines_of(svg)
    assert len(drawn) == len(finite)
    alone = sum(
        math.isfinite(loss)
        and not any(map(math.isfinite, losses[max(at - 1, 0) : at] + losses[at + 1 : at + 2]))
        for at, loss in enumerate(losses)
    )
    assert len(list(ElementTree.fromstring(svg).iter(f"{SVG}circle"))) == alone
    assert "accuracy" not in texts_of(svg), "there is no panel without a value"


def test_a_training_leaves_its_picture(tmp_path: Path) -> None:
    trained = fit(small_model(), small_splits(), recipe({"unfreeze": "all"}, epochs=3), tmp_path)
    svg = (tmp_path / CURVES_PICTURE).read_text(encoding="utf-8")
    assert svg == curves_svg(trained.curves, "accuracy")
    assert {"loss", "accuracy", "epoch", "training", "validation"} <= set(texts_of(svg))
