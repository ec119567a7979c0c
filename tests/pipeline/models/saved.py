"""Files of weights as trainers leave them, and the command that an error names for them, run as a person would."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from edgewright.pipeline.models import conversion, conversion_child

State = Mapping[str, Tensor]

ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
"""That of a shell in which the commands of the environment of the tests are found."""


def before_names(prefix: str, state: State) -> dict[str, Tensor]:
    """`state` as a wrapper saves it, with `prefix` before each name."""
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def save_on_gpu(document: Any, path: Path, **options: Any) -> None:
    """As torch saves tensors of a GPU: each storage says that it belongs on cuda:0."""
    with mock.patch("torch.serialization.location_tag", lambda _storage: "cuda:0"):
        torch.save(document, path, **options)


def optimizer_of(state: State) -> dict[str, Any]:
    """The state of Adam after a step on the floating point tensors of `state`."""
    parameters = [
        torch.nn.Parameter(tensor.clone()) for tensor in state.values() if tensor.is_floating_point()
    ]
    optimizer = torch.optim.Adam(parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer.state_dict()


def _plain(state: State, path: Path) -> None:
    torch.save(dict(state), path)


def _old(state: State, path: Path) -> None:
    save_on_gpu(dict(state), path, _use_new_zipfile_serialization=False)


def _lightning(state: State, path: Path) -> None:
    document = {
        "epoch": 3, "global_step": 90, "pytorch-lightning_version": "2.5.0",
        "state_dict": before_names("model.", state),
        "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {"EarlyStopping": {"best_score": torch.tensor(0.9)}},
        "optimizer_states": [optimizer_of(state)], "lr_schedulers": [], "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "folder": Path("data")},
    }  # fmt: skip
    torch.save(document, path)


def _nested(state: State, path: Path) -> None:
    torch.save({"step": 7, "model_state": dict(state), "optimizer_state": optimizer_of(state)}, path)


def _parallel(state: State, path: Path) -> None:
    wrapped = before_names("module.", state)
    torch.save(
        {"epoch": 3, "best": torch.tensor(0.9), "args": argparse.Namespace(lr=0.1), "state_dict": wrapped},
        path,
    )


def _compiled(state: State, path: Path) -> None:
    torch.save({"model": before_names("_orig_mod.", state), "epoch": 3}, path)


def _compiled_parallel(state: State, path: Path) -> None:
    save_on_gpu({"model": before_names("module._orig_mod.", state), "optimizer": optimizer_of(state)}, path)


KINDS: dict[str, tuple[str, Callable[[State, Path], None]]] = {
    "plain": ("weights.pth", _plain),
    "gpu": ("weights.pt", save_on_gpu),
    "old": ("weights.pt", _old),
    "lightning": ("last.ckpt", _lightning),
    "nested": ("pretrained.pt", _nested),
    "parallel": ("ddp.pth.tar", _parallel),
    "compiled": ("compiled.pth", _compiled),
    "both": ("checkpoint_7", _compiled_parallel),
    "command": ("$(touch INJECTED).pt", _plain),
    "quotes": ('it\'s  a "model" & `touch INJECTED`; #1.bin', _plain),
    "lies": ("weights.safetensors", _plain),
}
"""A file's name and how it is saved, by the kind of trainer."""


def command_in(message: str) -> str:
    """The conversion that `message` names."""
    found = re.search(
        r"convert it once with (edgewright convert .*?) and (write in|leave) the recipe", message
    )
    assert found is not None, message
    return found[1]


def line_in(message: str) -> str:
    """What `message` says to write in the recipe."""
    found = re.search(r"in the recipe:? ((?:weights|model): .*)$", message)
    assert found is not None, message
    return found[1]


def in_shell(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """What `command`, pasted into a shell that stands in `folder`, does."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def words_of(command: str, folder: Path) -> list[str]:
    """What a shell that stands in `folder` makes of `command`: the words behind its first."""
    done = in_shell(f"""edgewright() {{ printf '%s\\0' "$@"; }}; {command}""", folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\0")[:-1]


def convert_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let conversions read pickles in the process of the test, which saves the start of another."""

    def convert(order: Any) -> dict[str, Any]:
        paths, out, key = order
        return conversion_child.convert([Path(path) for path in paths], Path(out), key)

    monkeypatch.setattr(conversion, "_in_child", convert)
