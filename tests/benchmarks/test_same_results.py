"""What the comparison of two commits sees, and what it passes over: latencies, and what follows from them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.made_recipes import MADE, SLOW, choose_cases
from benchmarks.same_results import (
    compare_runs,
    decided_by_speed,
    first_difference,
    masked,
    tensors_difference,
)

ROOT = Path(__file__).parents[2]


def row(name: str, status: str = "PASS", reason: str = "", p50: float | None = 1.0) -> dict[str, Any]:
    return {"name": name, "status": status, "reason": reason, "notes": [], "p50_ms": p50, "drop": 0.1}


def verdict(*rows: dict[str, Any]) -> dict[str, Any]:
    ranking = [one["name"] for one in rows if one["status"] == "PASS"]
    return {"rows": list(rows), "ranking": ranking, "golden": {"ids": ranking}, "samples": 9}


def run_of(folder: Path, document: dict[str, Any]) -> Path:
    (folder / "export").mkdir(parents=True)
    (folder / "export" / "verdict.json").write_text(json.dumps(document))
    (folder / ".lock").write_text(folder.name)
    return folder


def differences(one: Path, two: Path) -> list[str]:
    return [found.difference for found in compare_runs(one, two) if found.difference]


@pytest.mark.parametrize(
    ("one", "two", "difference"),
    [
        ({"a": [1, 2.0]}, {"a": [1, 2.0 + 1e-13]}, ""),
        ({"a": [1, 2.0]}, {"a": [1, 2.0 + 1e-9]}, "a.1: 2.0 / 2.000000001"),
        ({"a": 1}, {"a": True}, "a: 1 / true"),
        ({"a": None}, {}, "a: null / absent"),
        ([1, 2], [1], ": 2 entries / 1 entries"),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, 'a.b: "x" / "y"'),
        ({"golden": {"outputs": [1.0]}}, {"golden": {"outputs": [1.0 + 1e-6]}}, ""),
        ({"golden": {"outputs": [1.0]}}, {"golden": {"outputs": [1.0001]}}, "golden.outputs.0: 1.0 / 1.0001"),
        (
            {"golden": {"relative": 1.0}},
            {"golden": {"relative": 1.0 + 1e-6}},
            "golden.relative: 1.0 / 1.000001",
        ),
    ],
)
def test_the_first_difference_is_named(one: Any, two: Any, difference: str) -> None:
    assert first_difference(one, two) == difference


def test_latencies_are_masked_and_a_missing_one_is_not() -> None:
    told = "does not earn its place: 0.98 times the size and 1.20 times the speed of fp32"
    other = "does not earn its place: 0.98 times the size and 1.04 times the speed of fp32"
    assert masked(row("a", "REJECTED", told)) == masked(row("a", "REJECTED", other, 7.5))
    assert masked(row("a")) != masked(row("a", p50=None))
    assert masked(row("a", reason="0.98 times the size")) != masked(row("a", reason="0.97 times the size"))


def test_a_run_that_differs_in_its_latencies_alone_is_equal(tmp_path: Path) -> None:
    one = run_of(tmp_path / "one", verdict(row("fp32"), row("fp16")))
    two = run_of(
        tmp_path / "two", {**verdict(row("fp32", p50=4.0), row("fp16")), "ranking": ["fp16", "fp32"]}
    )
    assert differences(one, two) == []
    worse = {**row("fp16"), "drop": 0.2}
    three = run_of(tmp_path / "three", verdict(row("fp32"), worse))
    assert differences(one, three) == ["rows.1.drop: 0.1 / 0.2"]
    (three / "metrics.json").write_text("{}")
    assert "only on the second side" in differences(one, three)


def test_a_variant_about_which_speed_decided_is_set_aside(tmp_path: Path) -> None:
    one = run_of(tmp_path / "one", verdict(row("fp32"), row("fp16")))
    two = run_of(tmp_path / "two", verdict(row("fp32"), row("fp16", "REJECTED", "1.2 times the speed")))
    assert decided_by_speed(one, two) == ["fp16"]
    assert differences(one, two) == []
    three = run_of(tmp_path / "three", verdict(row("fp32"), row("fp16", "FAIL", "accuracy falls")))
    assert decided_by_speed(one, three) == []
    assert differences(one, three)


def test_tensors_are_compared_bit_for_bit(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.safetensors" for number in range(4)]
    value = np.ones((2, 3), np.float32)
    save_file({"w": value}, paths[0], {"of": '{"seed": 0}'})
    save_file({"w": np.nextafter(value, 2)}, paths[1], {"of": '{"seed": 0}'})
    save_file({"w": value.reshape(3, 2)}, paths[2], {"of": '{"seed": 0}'})
    save_file({"w": value}, paths[3], {"of": '{"seed": 1}'})
    assert tensors_difference(paths[0], paths[0]) == ""
    assert "w: up to 1.19e-07 apart" in tensors_difference(paths[0], paths[1])
    assert "(2, 3)" in tensors_difference(paths[0], paths[2])
    assert tensors_difference(paths[0], paths[3]) == "metadata.of.seed: 0 / 1"
    assert tensors_difference(paths[0], paths[1], 1e-6) == ""
    assert "(2, 3)" in tensors_difference(paths[0], paths[2], 1e-6)
    assert tensors_difference(paths[0], paths[3], 1e-6) == "metadata.of.seed: 0 / 1"
    save_file({"w": value + 1e-5}, paths[3], {"of": '{"seed": 0}'})
    assert "w: up to 1e-05 apart" in tensors_difference(paths[0], paths[3], 1e-6)


def test_a_recipe_comes_behind_the_one_whose_weights_it_starts_from() -> None:
    names = [case.name for case in choose_cases(ROOT, "images-*", slow=False)]
    assert names == ["images", "images-extracted", "images-tuned"]
    every = [case.name for case in choose_cases(ROOT, "*", slow=True)]
    assert {*MADE, *SLOW, "digits"} <= set(every) and len(every) == len(set(every))
