"""Pickles among files of weights: told by their first bytes, never read here, and the command that converts one."""

import json
import os
import re
import shlex
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from edgewright.runtime.errors import ModelError

_SUFFIXES = frozenset(
    {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth", ".pyth", ".safetensors", ".tar", ".th"}
)
_ZIP = b"PK\x03\x04"
_PROTOCOLS = {bytes((0x80, number)) for number in range(2, 6)}


def is_pickle(path: Path) -> bool:
    """Whether the file at `path` holds a pickle, in the open or in a zip file of torch, whatever its name says."""
    try:
        head = file_head(path) if path.is_file() else b""
    except OSError:
        return False
    if is_zip(head):
        return b"data.pkl" in head or _lists_a_pickle(path)
    return head[:2] in _PROTOCOLS and not begins_safetensors(head)


def file_head(path: Path) -> bytes:
    """The first bytes of the file at `path`, by which its kind is told. Raises `OSError`."""
    with path.open("rb") as file:
        return file.read(512)


def is_zip(head: bytes) -> bool:
    """Whether a file of these first bytes is a zip file."""
    return head.startswith(_ZIP)


def begins_safetensors(head: bytes) -> bool:
    """Whether a file of these first bytes is in safetensors: a small length in 8 bytes, then JSON.

    A header of 640 bytes begins as a pickle does.
    """
    return head[4:9] == b"\0\0\0\0{"


def _lists_a_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def pickle_error(path: Path) -> ModelError:
    """The refusal of the pickle at `path` as weights: the command that converts it, and the recipe's line after it."""
    return ModelError(
        f"weights: {path} is a pickle, which can run code when read: convert it once with "
        f"{conversion_command([path])} and write in the recipe {weights_line(converted_path(path))}"
    )


def conversion_command(paths: Sequence[Path], out: Path | None = None) -> str:
    """What to paste into a shell, from any folder, to make safetensors of the pickles at `paths`."""
    words = ["edgewright convert", *(_shell_word(path) for path in paths)]
    return " ".join(words if out is None else [*words, "--out", _shell_word(out)])


def converted_path(path: Path) -> Path:
    """The absolute path at which the safetensors made of `path` lie, unless they are to be elsewhere."""
    path = path.absolute()
    name = path.name
    while Path(name).suffix.lower() in _SUFFIXES:
        name = Path(name).stem
    made = path.with_name(f"{name}.safetensors")
    return path.with_name(f"{name}.converted.safetensors") if made == path else made


def weights_line(path: Path) -> str:
    """The recipe's line that names the weights at `path`, in quotes where YAML needs them."""
    text = str(path.absolute())
    plain = re.fullmatch(r"[\w./+@~-]([\w./+@~ -]*[\w./+@~-])?", text)
    return f"weights: {text if plain else json.dumps(text, ensure_ascii=False)}"


def printable(text: str) -> str:
    """`text` from a file of others, with escapes for what could break a line or steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _shell_word(path: Path) -> str:
    """The absolute `path` as one word of a command line, whatever its characters mean to a shell."""
    text = str(path.absolute())
    if sys.platform == "win32":  # where one shell knows no single quotes, and another looks into double ones
        return (
            f'"{text}"'
            if not set(text) & set("$`%!")
            else '"FILE" (after a change of its name: no $, `, %, !)'
        )
    if text.isprintable():
        return shlex.quote(text)
    # what an error would escape has to be an escape of the shell's own
    return "$'" + "".join(map(_shell_escape, os.fsencode(text))) + "'"


def _shell_escape(byte: int) -> str:
    return chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}"
