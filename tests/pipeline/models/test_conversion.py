"""Pickles to safetensors: the command that an error names, pasted into a shell, for files of every kind of trainer."""

import argparse
import collections
import importlib
import os
import pickle
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from edgewright.pipeline.models.conversion import Converted, convert_pickles
from edgewright.pipeline.models.recurrent.network import Network
from edgewright.pipeline.models.text_encoders.checkpoint import open_checkpoint
from edgewright.pipeline.models.vision.build import build_model
from edgewright.pipeline.recipe.load import load_recipe
from edgewright.runtime.errors import EdgewrightError, MachineError, ModelError
from tests.command import Answer, Call
from tests.messages import refused
from tests.pipeline.models.recurrent.sequences import build
from tests.pipeline.models.saved import (
    KINDS,
    State,
    command_in,
    convert_in_this_process,
    in_shell,
    line_in,
    save_on_gpu,
    words_of,
)
from tests.pipeline.models.text_encoders.checkpoints import built, checkpoint

TIED = ("layers.0.cells.0.weight_hh_l0", "layers.1.cells.0.weight_hh_l0")


def image_state(weights: Path | str, head: str = "keep", seed: int = 9) -> dict[str, Tensor]:
    built = build_model("timm:test_resnet", 3, weights, head=head, seed=seed)
    return dict(built.module.state_dict())


def series_state(weights: Path | str, head: str = "keep", seed: int = 9) -> dict[str, Tensor]:
    network = Network("lstm", hidden=8, layers=2)
    built = build("sequence-classification", network, weights=weights, head=head, seed=seed)
    return dict(built.module.state_dict())


def equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def refusal(read: Callable[[Path], object], path: Path) -> str:
    with refused(ModelError) as caught:
        read(path)
    return str(caught.value)


def weights_of(line: str, folder: Path) -> str:
    """What a recipe with this line takes as weights."""
    (folder / "recipe.yaml").write_text(
        f"task: image-classification\nmodel: resnet18\ndata: builtin:digits\n{line}\n"
    )
    return load_recipe(folder / "recipe.yaml").weights


def walk(read: Callable[[Path], object], path: Path, cli: Call | None = None) -> str:
    """The weights that a recipe names when what the error says has been done: in a shell or, with `cli`, in this
    process, by the words that a shell makes of it.
    """
    told = refusal(read, path)
    if cli is None:
        done = in_shell(command_in(told), path.parent)
        answer = Answer(done.returncode, done.stdout, done.stderr)
    else:
        answer = cli(*words_of(command_in(told), path.parent))
    assert (answer.code, answer.err) == (0, "") and line_in(answer.out) == line_in(told)
    assert not list(path.parent.rglob("*INJECTED"))
    return weights_of(line_in(told), path.parent)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    convert_in_this_process(monkeypatch)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "parallel"])  # that one is for `fit`
def test_the_named_command_converts_what_trainers_leave(
    tmp_path: Path, kind: str, cli: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_a_shell = kind in ("gpu", "lightning", "command")  # starting takes five seconds
    if not in_a_shell:
        convert_in_this_process(monkeypatch)
    name, save = KINDS[kind]
    read = series_state if kind in ("gpu", "lightning", "nested", "both") else image_state
    state = read("none", head="new", seed=1)
    save(state, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    weights = walk(read, tmp_path / name, None if in_a_shell else cli)
    assert equal(read(weights), state)
    assert (tmp_path / name).read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 3  # the pickle, what became of it, and the recipe


@pytest.mark.usefixtures("quick")
def test_tied_tensors_are_written_each(tmp_path: Path, cli: Call) -> None:
    state = series_state("none", head="new", seed=1)
    state[TIED[1]] = state[TIED[0]]
    save_on_gpu(state, tmp_path / "tied.pt")
    assert equal(series_state(walk(series_state, tmp_path / "tied.pt", cli)), state)


def test_the_weights_of_a_checkpoint_of_transformers(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint("bert"), tmp_path / "my $(touch INJECTED) bert"))
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save_on_gpu(state, folder / "pytorch_model.bin")
    told = refusal(lambda path: open_checkpoint(str(path)), folder)
    done = in_shell(command_in(told), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert line_in(done.stdout) == f"model: {folder}" and not list(tmp_path.rglob("*INJECTED"))
    built(folder, "sentence-embedding")
    assert equal(load_file(folder / "model.safetensors"), state)


def test_a_pickle_as_weights_of_an_encoder_leads_to_its_folder(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "weights.bin")
    with refused(ModelError):
        built(checkpoint("bert"), "sentence-embedding", weights=tmp_path / "weights.bin")


def converted(document: Any, folder: Path, **options: Any) -> tuple[dict[str, Tensor], Converted]:
    """`document`, saved by torch, as its conversion gives it, and what that told."""
    torch.save(document, folder / "w.pt", **options)
    report = convert_pickles([folder / "w.pt"])
    assert report.out == str(folder / "w.safetensors")
    return dict(load_file(report.out)), report


@pytest.mark.usefixtures("quick")
def test_types_and_shapes_stay_and_what_is_no_tensor_is_left_out(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    state = {
        "half": whole.half(), "brain": whole.bfloat16(), "turned": whole.T, "part": whole[1:, 2:], "row": whole[0],
        "count": torch.tensor(3), "flag": torch.tensor([True]), "none": torch.zeros(0, 2), "same": whole,
        "parameter": torch.nn.Parameter(whole.clone()), "extra": {"version": 3}, "text": "b",
    }  # fmt: skip
    tensors, report = converted({"ema_state": state, "epoch": 3, 7: "seven"}, tmp_path)
    expected = {name: value.detach() for name, value in state.items() if isinstance(value, Tensor)}
    assert equal(tensors, expected) and {n: t.dtype for n, t in tensors.items()} == {
        n: t.dtype for n, t in expected.items()
    }
    assert report.keys == ("ema_state",) and report.tensors == len(expected)
    assert report.left_out == ("epoch", "7", "extra", "text") and report.stripped == ()
    assert report.values == sum(tensor.numel() for tensor in expected.values())
    with safe_open(report.out, "pt") as file:
        assert file.metadata() == {"format": "pt"}  # transformers asks for it


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.usefixtures("quick")
def test_what_trainers_leave_beside_weights_is_stood_in_for(tmp_path: Path, new: bool) -> None:
    sizes: Any = collections.defaultdict(list)
    sizes["a"].append(3)
    document = {
        "model": {"a": torch.ones(2)}, "args": argparse.Namespace(lr=0.1, folder=Path("data")),
        "score": np.float64(0.9), "random": b"abc", "state": ("MT19937", np.arange(3, dtype=np.uint32)), "sizes": sizes,
        "simple": types.SimpleNamespace(a=1), "counter": collections.Counter("aab"),
    }  # fmt: skip
    tensors, report = converted(document, tmp_path, _use_new_zipfile_serialization=new)
    assert equal(tensors, {"a": torch.ones(2)})
    assert report.left_out == tuple(name for name in document if name != "model")


class Called:
    """Pickled, it is a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def run_me(place: str) -> None:
    Path(place).touch()


@pytest.mark.parametrize(
    "function", [os.system, eval, exec, subprocess.Popen, run_me, os.mkdir, np.load, getattr]
)
@pytest.mark.parametrize("kind", ["zip", "old", "bare"])
@pytest.mark.usefixtures("quick")
def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path: Path, function: Any, kind: str) -> None:
    place = str(tmp_path / "RAN")
    words = {os.system: f"touch {place}", subprocess.Popen: ["touch", place], run_me: place, os.mkdir: place}
    call = Called(function, words.get(function, f"__import__('os').mkdir({place!r})"))
    document, path = {"a": torch.ones(2), "b": call}, tmp_path / "w.pt"
    if kind == "bare":
        path.write_bytes(pickle.dumps(call, 2))
    else:
        torch.save(document, path, _use_new_zipfile_serialization=kind == "zip")
    with refused(ModelError) as caught:
        convert_pickles([path])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.pt"]


@pytest.mark.usefixtures("quick")
def test_a_crafted_type_of_numpy_makes_no_numpy_look_anywhere(tmp_path: Path) -> None:
    class Crafted:
        def __reduce__(self) -> Any:
            return np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0)

    scalar = importlib.import_module("numpy._core.multiarray").scalar
    document = {"a": torch.ones(2), "b": Called(scalar, Crafted(), b"A" * 8)}
    assert equal(converted(document, tmp_path)[0], {"a": torch.ones(2)})


@pytest.mark.usefixtures("quick")
def test_a_whole_model_is_refused_with_a_way_out_that_works(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2))
    torch.save(module, tmp_path / "whole.pt")
    with refused(ModelError):
        convert_pickles([tmp_path / "whole.pt"])
    assert equal(converted(module.state_dict(), tmp_path)[0], module.state_dict())


def arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.ones(2))


def script(path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "there is no file .*: check its name"),
        (lambda path: path.mkdir(), "is a folder: name the file in it"),
        (lambda path: path.touch(), "is empty"),
        (
            lambda path: path.write_bytes(b"version https://git-lfs"),
            r"is no pickle \(it begins with b'version ",
        ),
        (
            lambda path: save_file({"a": torch.ones(2)}, path),
            "in safetensors already: write in the recipe weights: /",
        ),
        (arrays, "is a zip file without a pickle"),
        (
            lambda path: path.write_bytes(pickle.dumps([1, 2], 2)),
            "a pickle that torch.save did not write: where it",
        ),
        (
            lambda path: torch.save({"a": 1}, path, pickle_protocol=4),
            "a pickle protocol that is not read safely",
        ),
        (lambda path: torch.save({"a": 1}, path), "holds no tensors by name"),
        (
            lambda path: torch.save({"a": torch.eye(2).to_sparse()}, path),
            "holds a, a sparse, quantized, nested or empty tensor",
        ),
        (script, "a program of TorchScript, not weights"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_what_cannot_be_converted_is_one_line(
    tmp_path: Path, write: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "w.pt"
    write(path)
    with pytest.raises(ModelError, match=message) as caught:
        convert_pickles([path])
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("kept", [0.1, 0.6, 0.97])
@pytest.mark.usefixtures("quick")
def test_a_torn_pickle_is_said_to_be_torn(tmp_path: Path, new: bool, kept: float) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a.b": torch.arange(99.0)}, path, _use_new_zipfile_serialization=new)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with refused(ModelError):
        convert_pickles([path])


@pytest.mark.usefixtures("quick")
def test_what_is_there_is_replaced_on_demand_only(tmp_path: Path) -> None:
    converted({"a": torch.ones(2)}, tmp_path)
    path, out = tmp_path / "w.pt", tmp_path / "w.safetensors"
    out.write_bytes(b"mine")
    with refused(ModelError):
        convert_pickles([path])
    assert out.read_bytes() == b"mine"
    elsewhere = convert_pickles([path], tmp_path / "new" / "other.safetensors").out
    assert equal(load_file(elsewhere), {"a": torch.ones(2)})
    assert convert_pickles([path], force=True).out == str(out) and equal(load_file(out), {"a": torch.ones(2)})
    with refused(ModelError):
        convert_pickles([path], path, force=True)
    with refused(MachineError):
        convert_pickles([path], path / "below.safetensors")


@pytest.mark.usefixtures("quick")
def test_a_file_system_that_maps_no_files_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fail(name: str, *_more: Any) -> None:
        asked.append(name)
        raise RuntimeError("unable to mmap 1042 bytes from file: No such device (19)")

    torch.save({"a": torch.ones(2)}, tmp_path / "w.pt")
    with monkeypatch.context() as patch:
        patch.setattr(torch.UntypedStorage, "from_file", fail)
        out = convert_pickles([tmp_path / "w.pt"]).out
    assert equal(load_file(out), {"a": torch.ones(2)})
    assert asked == [str(tmp_path / "w.pt")]


@pytest.mark.usefixtures("quick")
def test_the_parts_of_a_checkpoint_have_different_names(tmp_path: Path) -> None:
    for name in ("one", "two"):
        torch.save({"a": torch.ones(2)}, tmp_path / f"{name}.pt")
    with refused(ModelError):
        convert_pickles([tmp_path / "one.pt", tmp_path / "two.pt"])


@pytest.mark.parametrize(
    ("stub", "message"),
    [
        ("kill -SEGV $$", "reading it crashed with signal 11: get a fresh copy"),
        ("kill -KILL $$", "was killed, perhaps for lack of memory"),
        ("echo told >&2; exit 3", r"reading it failed \(told\)"),
        ("echo nonsense", r"reading it failed \(no reason\)"),
    ],
)
def test_a_crash_of_the_reading_process_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stub: str, message: str
) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "w.pt")
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{stub}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(EdgewrightError, match=message):
        convert_pickles([tmp_path / "w.pt"])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["python", "w.pt"]


def test_a_module_of_the_current_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "json", "safetensors"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('mine ran')")
    monkeypatch.chdir(tmp_path)
    assert equal(converted({"a": torch.ones(2)}, tmp_path)[0], {"a": torch.ones(2)})
