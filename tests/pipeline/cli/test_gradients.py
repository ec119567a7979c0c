"""`edgewright gradients`: the curve of each layer, the verdict, and runs that have none."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import Call, Shipped


def layer(name: str, norms: list[float], verdict: str, **more: Any) -> dict[str, Any]:
    ratio = norms[0] / norms[-1] if norms and norms[-1] else None
    plain = {"name": name, "direction": "forward", "norms": norms, "ratio": ratio, "verdict": verdict}
    return {**plain, "reason": "", "advice": [], **more}


def epoch(number: int, *layers: dict[str, Any]) -> dict[str, Any]:
    steps = max(len(entry["norms"]) for entry in layers)
    return {
        "phase": "all", "epoch": number, "samples": 16, "steps": steps, "aligned": "end", "layers": list(layers),
    }  # fmt: skip


def written(run: Path, *epochs: dict[str, Any], model: str = "rnn") -> Path:
    run.mkdir(exist_ok=True)
    (run / "recipe.json").write_text(json.dumps({"model": model}))
    (run / "gradients.json").write_text(json.dumps({"epochs": list(epochs)}))
    return run


VANISHING = [10.0 ** -(0.05 * (200 - step)) for step in range(200)]


def test_a_vanishing_curve_is_drawn_and_named(cli: Call, tmp_path: Path) -> None:
    advice = ["model: lstm or gru, whose gates keep the gradient", "network.init: orthogonal"]
    bad = layer("layers.0", VANISHING, "vanishes", advice=advice)
    good = layer("layers.1", [1.0] * 200, "healthy")
    answer = cli("gradients", written(tmp_path / "run", epoch(1, bad, good)))
    assert (answer.code, answer.err) == (0, "")
    assert "layers.0: VANISHES: " in answer.out
    assert "layers.1: healthy: " in answer.out
    rows = [line.split() for line in answer.out.splitlines() if line.strip() and line.split()[0].isdigit()]
    first, last = rows[0], rows[15]
    assert (first[0], last[0]) == ("1", "200")
    assert (len(first[3]), len(last[3])) == (1, 48)
    lengths = [len(row[3]) for row in rows[:16]]
    assert lengths == sorted(lengths)
    assert {len(row[3]) for row in rows[16:]} == {48}  # the same scale for every layer
    assert answer.out.splitlines()[-3:] == ["vanishes: layers.0", *(f"try: {text}" for text in advice)]


def test_first_and_last_epoch_unless_all_are_asked_for(cli: Call, tmp_path: Path) -> None:
    run = written(
        tmp_path / "run", *(epoch(number, layer("l", [1.0, 1.0], "healthy")) for number in (0, 2, 3))
    )
    text = cli("gradients", run).out
    assert "before the first epoch:" in text and "epoch 3:" in text and "epoch 2:" not in text
    assert "epoch 2:" in cli("gradients", run, "--all").out
    assert text.splitlines()[-1].startswith("healthy: ")


def test_zero_and_short_curves_have_no_bar(cli: Call, tmp_path: Path) -> None:
    run = written(
        tmp_path / "run",
        epoch(
            1,
            layer("dead", [0.0, 0.0, 0.0], "vanishes"),
            layer("one", [2.0], "healthy", direction="backward"),
        ),
    )
    text = cli("gradients", run).out
    assert "dead: VANISHES: nothing measurable of the gradient" in text
    assert text.count("#" * 48) == 1
    assert "one (backward): healthy" in text


def test_as_json(cli: Call, tmp_path: Path) -> None:
    entry = epoch(1, layer("layers.0", [0.5, 1.0], "healthy"))
    answer = cli("gradients", written(tmp_path / "run", entry), "--json")
    assert answer.json == {"epochs": [entry]}


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "broken JSON"), ("[]", "gradients.json"), ('{"epochs": [{"phase": 1}]}', "gradients.json")],
)
def test_a_broken_file_is_one_line(cli: Call, tmp_path: Path, content: str, message: str) -> None:
    run = written(tmp_path / "run")
    (run / "gradients.json").write_text(content)
    assert message in cli("gradients", run).error()


def test_runs_that_have_no_curve(cli: Call, shipped: Shipped, tmp_path: Path) -> None:
    assert "there is no run" in cli("gradients", tmp_path / "none").error()
    assert "not a finished run" in cli("gradients", tmp_path).error()
    assert "which has no steps in time" in cli("gradients", shipped.run).error()
    run = written(tmp_path / "run")
    (run / "gradients.json").unlink()
    assert "let 'edgewright fit' finish an epoch" in cli("gradients", run).error()
