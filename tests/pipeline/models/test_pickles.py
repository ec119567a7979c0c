"""Pickles are told by their content, and the command that converts one is one command, whatever the file's name."""

import io
import json
import pickle
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save

from edgewright.pipeline.models.pickles import (
    conversion_command,
    converted_path,
    is_pickle,
    pickle_error,
    weights_line,
)

NASTY = (
    "$(touch INJECTED).pt", "`touch INJECTED`.pt", "a b.pt", "two  spaces.pt", "it's.pt", 'a "b".pt', "a;b&c|d.pt",
    "-x.pt", "a\nb.pt", "a\tb'\\n.pt", "\x1b[31m.pt", "naïve 模型.pt", "wide\u00a0space.pt", "!!.pt", "~.pt", "#.pt",
    "*.pt", b"\xff\xfe9.pt".decode("utf-8", "surrogateescape"),
)  # fmt: skip


def torch_file(**options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, buffer, **options)
    return buffer.getvalue()


def zip_file(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("first" * 200, b"")
        archive.writestr(name, b"")
    return buffer.getvalue()


FILES: dict[str, tuple[bytes, bool]] = {
    "torch": (torch_file(), True),
    "the head of torch": (torch_file()[:200], True),
    "torch, the old format": (torch_file(_use_new_zipfile_serialization=False), True),
    "a pickle in a zip": (zip_file("model/data.pkl"), True),
    "an array in a zip": (zip_file("array.npy"), False),
    "the head of a zip": (zip_file("model/data.pkl")[:300], False),
    **{f"protocol {protocol}": (pickle.dumps({}, protocol), True) for protocol in range(2, 6)},
    "safetensors": (save({"a": torch.zeros(2)}), False),
    "nothing": (b"", False),
    "a byte": (b"\x80", False),
    "a pointer of git-lfs": (b"version https://git-lfs.github.com/spec/v1", False),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_pickle_is_told_by_its_content(tmp_path: Path, kind: str) -> None:
    content, expected = FILES[kind]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    assert is_pickle(path) == expected


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_a_header_whose_length_looks_like_a_pickle_is_none(tmp_path: Path, length: int) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode().ljust(length)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + header + bytes(8))
    assert torch.equal(load_file(path)["a"], torch.zeros(2))
    assert path.read_bytes()[:2] in {pickle.dumps(None, protocol)[:2] for protocol in range(2, 6)}
    assert not is_pickle(path)


def test_what_is_no_file_is_no_pickle(tmp_path: Path) -> None:
    assert not is_pickle(tmp_path) and not is_pickle(tmp_path / "none")


@pytest.mark.parametrize("name", NASTY)
def test_a_path_reaches_the_command_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    told = str(pickle_error(path))
    command = told[told.index("edgewright convert ") : told.index(" and write in the recipe")]
    script = f"edgewright() {{ printf '%s\\0' \"$@\"; }}; {command}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.split(b"\0") == [b"convert", bytes(path), b""]
    assert not (tmp_path / "INJECTED").exists()
    assert "\n" not in told and command.isprintable()


@pytest.mark.parametrize("name", [name for name in NASTY if name.isprintable()])
def test_the_line_of_the_recipe_is_yaml(tmp_path: Path, name: str) -> None:
    assert yaml.safe_load(weights_line(tmp_path / name)) == {"weights": str(tmp_path / name)}


def test_a_relative_path_is_told_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = conversion_command([Path("a.bin"), Path("b.bin")], Path("c.safetensors"))
    assert shlex.split(command)[2:] == [
        f"{tmp_path}/a.bin",
        f"{tmp_path}/b.bin",
        "--out",
        f"{tmp_path}/c.safetensors",
    ]


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("a.pt", "a.safetensors"),
        ("a.pth.tar", "a.safetensors"),
        ("a.CKPT", "a.safetensors"),
        ("epoch=3-loss=0.12.ckpt", "epoch=3-loss=0.12.safetensors"),
        ("v1.2", "v1.2.safetensors"),
        (".pt", ".pt.safetensors"),
        ("a.safetensors", "a.converted.safetensors"),
    ],
)
def test_where_the_safetensors_lie(tmp_path: Path, name: str, made: str) -> None:
    assert converted_path(tmp_path / name) == tmp_path / made


def test_on_windows_a_name_that_a_shell_there_looks_into_is_to_be_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert conversion_command([Path("/a b/c&d.pt")]) == 'edgewright convert "/a b/c&d.pt"'
    told = conversion_command([Path("/a/$(calc).pt")])
    assert "calc" not in told and "change of its name" in told
