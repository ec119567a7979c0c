"""What is kept in the cache is run: nothing is taken from there that somebody else can have put there."""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgewright.runtime.bundle.files import sha256_of_file
from edgewright.runtime.graphs import cache_trust
from edgewright.runtime.graphs.session import open_session
from tests.runtime.as_another import NOBODY, in_a_child
from tests.runtime.small_bundle import colour_weights, reference_logits, write_graph

IMAGES = np.random.default_rng(0).normal(size=(2, 3, 16, 16)).astype(np.float32)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every user may look into; in its cache another model stands in the place of an optimised one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.setenv("EDGEWRIGHT_CACHE", str(folder / "cache"))
        monkeypatch.setattr(cache_trust, "_told", set())
        write_graph(folder / "model.onnx")
        open_session(folder / "model.onnx", "cpu", 1)
        (kept,) = (folder / "cache").glob("*.onnx")
        write_graph(folder / "planted", colour_weights() * np.float32(-7))
        shutil.copy(folder / "planted", kept)
        kept.with_suffix(".sha256").write_text(sha256_of_file(kept) + "\n")
        assert answers_planted(folder), "its own user may do that"
        yield folder


def answers_planted(home: Path) -> bool:
    """Whether what is answered comes of the planted graph."""
    found = open_session(home / "model.onnx", "cpu", 1).run({"pixel_values": IMAGES})["logits"]
    return not np.allclose(found, reference_logits(IMAGES), rtol=1e-4, atol=1e-5)


def files(home: Path) -> list[Path]:
    return sorted((home / "cache").iterdir())


def everybody_writes(home: Path) -> None:
    (home / "cache").chmod(0o777)


def everybody_writes_as_in_tmp(home: Path) -> None:
    (home / "cache").chmod(0o1777)


def a_group_writes(home: Path) -> None:
    (home / "cache").chmod(0o770)


def a_link(home: Path) -> None:
    (home / "cache").rename(home / "elsewhere")
    (home / "cache").symlink_to(home / "elsewhere")


def a_file(home: Path) -> None:
    shutil.rmtree(home / "cache")
    (home / "cache").write_text("x")


def everybody_may_replace_it(home: Path) -> None:
    home.chmod(0o777)


def another_owner(home: Path) -> None:
    os.chown(home / "cache", NOBODY, NOBODY)


root = pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
FOLDERS = [
    everybody_writes, everybody_writes_as_in_tmp, a_group_writes, a_link, a_file, everybody_may_replace_it,
    pytest.param(another_owner, marks=root),
]  # fmt: skip


@pytest.mark.parametrize("change", FOLDERS)
def test_a_folder_of_others_is_passed_over_and_said_once(
    home: Path, change: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    change(home)
    before = files(home) if (home / "cache").is_dir() else []
    with caplog.at_level(logging.WARNING, "edgewright"):
        assert not answers_planted(home) and not answers_planted(home)
    (record,) = caplog.records
    assert "is passed over" in record.message and "EDGEWRIGHT_CACHE" in record.message
    assert not before or files(home) == before, "and nothing is written there"


def linked(path: Path) -> None:
    moved = path.with_name("moved" + path.suffix)
    path.rename(moved)
    path.symlink_to(moved)


def linked_twice(path: Path) -> None:
    os.link(path, path.with_name("other" + path.suffix))


def writable(path: Path) -> None:
    path.chmod(0o666)


def given_away(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize("change", [linked, linked_twice, writable, pytest.param(given_away, marks=root)])
@pytest.mark.parametrize("suffix", [".onnx", ".sha256"])
def test_a_file_of_others_is_made_anew(home: Path, change: Callable[[Path], None], suffix: str) -> None:
    (path,) = (path for path in files(home) if path.suffix == suffix)
    change(path)
    assert not answers_planted(home)
    assert (
        not path.is_symlink() and path.stat().st_mode & 0o777 == 0o600 and path.stat().st_uid == os.getuid()
    )


def test_what_is_made_belongs_to_its_user_alone(home: Path) -> None:
    shutil.rmtree(home / "cache")
    mask = os.umask(0)
    try:
        open_session(home / "model.onnx", "cpu", 1)
    finally:
        os.umask(mask)
    assert (home / "cache").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in files(home)} == {0o600} and len(files(home)) == 2


@root
@pytest.mark.parametrize(("owner", "taken"), [(NOBODY, True), (0, True), (12345, False)])
def test_as_a_user_without_rights(home: Path, owner: int, taken: bool) -> None:
    """One's own folder is used, that of root too; that of a third one is not."""
    for path in (home, home / "cache", *files(home)):
        os.chown(path, owner, owner)
        path.chmod(0o755 if path.is_dir() else 0o644)
    if owner == NOBODY:
        os.chown(home, 0, 0)

    def look() -> None:
        assert answers_planted(home) == taken

    assert in_a_child(look, NOBODY) == 0


def test_other_words_of_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "a\x1b[31m\nb"
    folder.mkdir()
    folder.chmod(0o777)
    assert not cache_trust.trusted_folder(folder)
    assert caplog.records[0].message.isprintable()
    assert cache_trust.trusted_folder(tmp_path / "none" / "yet")
