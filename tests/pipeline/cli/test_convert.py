"""`edgewright convert`, and what `fit` says of the weights of other trainers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from edgewright.pipeline.models.vision.build import build_model
from tests.command import Call, run_process
from tests.pipeline.models.saved import (
    KINDS,
    before_names,
    command_in,
    convert_in_this_process,
    in_shell,
    line_in,
)

RECIPE = """\
task: image-classification
model: timm:test_resnet
data: {source: "builtin:digits", classes: [0, 1, 2], train_per_class: 20}
transfer: {mode: feature-extraction}
input: {size: 32}
training: {epochs: 1}
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    convert_in_this_process(monkeypatch)


def test_fit_names_a_command_and_a_line_that_carry_the_weights_over(tmp_path: Path) -> None:
    folder = tmp_path / "my  $(touch INJECTED) models"
    folder.mkdir()
    name, save = KINDS["parallel"]
    state = build_model("timm:test_resnet", 7, "none", 32, seed=1).module.state_dict()
    save(state, folder / name)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE + f"weights: my  $(touch INJECTED) models/{name}\n")
    told = run_process("fit", recipe, "--out", tmp_path / "run").err.splitlines()[-1]
    done = in_shell(command_in(told), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].endswith(
        "from state_dict, without module. before their names, left out: epoch, best, args"
    )
    recipe.write_text(RECIPE + line_in(told) + "\n")
    fitted = run_process("fit", recipe, "--out", tmp_path / "run")
    assert fitted.code == 0, fitted.err
    kept = load_file(tmp_path / "run" / "weights.safetensors")
    assert all(torch.equal(kept[name], state[name]) for name in state if not name.startswith("fc."))
    assert not list(tmp_path.rglob("INJECTED"))


@pytest.mark.usefixtures("quick")
def test_what_it_prints(cli: Call, tmp_path: Path) -> None:
    weights = {"a.weight": torch.zeros(20, 60), "a.bias": torch.zeros(20)}
    wrapped = before_names("module._orig_mod.", weights)
    more = {name: name for name in "abcdef\x1b"}
    torch.save({"model": {"net": wrapped}, **more}, tmp_path / "w.pt")
    out = tmp_path / "w.safetensors"
    answer = cli("convert", tmp_path / "w.pt")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (
        f"{out}: 2 tensors (1,220 values), from model.net, without module. and _orig_mod. before their names, "
        f"left out: a, b, c, d, e and 2 more\nnow write in the recipe: weights: {out}\n"
    )
    assert "is there already" in cli("convert", tmp_path / "w.pt").error()
    answer = cli("convert", tmp_path / "w.pt", "--force", "--json")
    assert answer.json == {
        "out": str(out), "keys": ["model.net"], "tensors": 2, "values": 1220,
        "left_out": [*"abcdef", "\\x1b"], "stripped": ["module.", "_orig_mod."],
    }  # fmt: skip


@pytest.mark.usefixtures("quick")
def test_several_sets_of_weights_are_told_apart_by_a_key(cli: Call, tmp_path: Path) -> None:
    model, ema = {"w": torch.zeros(2)}, {"w": torch.ones(2)}
    torch.save({"model": model, "ema": {"module": ema}}, tmp_path / "w.pt")
    told = cli("convert", tmp_path / "w.pt").error()
    assert told.endswith("choose one with --key: model (1 tensor), ema.module (1 tensor)")
    assert cli("convert", tmp_path / "w.pt", "--key", "ema.module").code == 0
    assert torch.equal(load_file(tmp_path / "w.safetensors")["w"], ema["w"])


@pytest.mark.usefixtures("quick")
def test_parts_become_one_file_that_has_to_be_named(cli: Call, tmp_path: Path) -> None:
    for name in ("a", "b"):
        torch.save({name: torch.zeros(2)}, tmp_path / f"{name}.bin")
    answer = cli("convert", tmp_path / "a.bin", tmp_path / "b.bin")
    assert answer.code == 2 and "name it with --out" in answer.err
    answer = cli("convert", tmp_path / "a.bin", "--out", tmp_path / "c.bin")
    assert answer.code == 2 and "does not end in .safetensors" in answer.err
    (tmp_path / "config.json").touch()
    answer = cli("convert", tmp_path / "a.bin", tmp_path / "b.bin", "--out", tmp_path / "model.safetensors")
    assert answer.out.splitlines()[1] == f"now write in the recipe: model: {tmp_path}"
    assert set(load_file(tmp_path / "model.safetensors")) == {"a", "b"}
