"""A directory is replaced whole: one of the two is there at any moment, whoever is killed when, in any container."""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgewright.runtime.bundle import replacing
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.bundle.replacing import exchange, recover_directory, replace_directory
from edgewright.runtime.engine import Engine
from edgewright.runtime.errors import BundleError
from tests.messages import refused
from tests.runtime.as_another import NOBODY, in_a_child, killed_at
from tests.runtime.small_bundle import make_bundle


def writes(text: str) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        for name in ("one", "two"):
            (folder / name).write_text(text)

    return fill


def content(folder: Path) -> set[str]:
    return {path.read_text() for path in folder.iterdir()}


@pytest.fixture
def without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system, or a disk, that cannot exchange two names at once."""
    monkeypatch.setattr(replacing, "exchange", lambda one, other: False)


def test_two_names_change_places(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    assert exchange(tmp_path / "a", tmp_path / "b"), "Linux can"
    assert [(tmp_path / name / "file").read_text() for name in ("a", "b")] == ["b", "a"]
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "none")


def test_whoever_looks_finds_one_of_the_two(tmp_path: Path) -> None:
    target, stop = tmp_path / "target", threading.Event()
    replace_directory(target, writes("0"))
    seen: list[set[str]] = []
    missing: list[str] = []

    def look() -> None:
        while not stop.is_set():
            try:
                descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                missing.append("the target")
                continue
            os.close(descriptor)
            seen.append({"looked"})

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(60):
        replace_directory(target, writes(str(number)))
    stop.set()
    thread.join()
    assert not missing and len(seen) > 100
    assert content(target) == {"59"} and [path.name for path in tmp_path.iterdir()] == ["target"]


MOMENTS = [("open", "/one"), ("open", "/two"), ("os.rename", "/target"), ("shutil.rmtree", ".target.")]


@pytest.mark.parametrize(("event", "part"), MOMENTS)
def test_killed_at_any_moment(tmp_path: Path, event: str, part: str) -> None:
    target = tmp_path / "target"
    replace_directory(target, writes("old"))
    assert killed_at(event, part, lambda: replace_directory(target, writes("new")))
    assert content(target) in ({"old"}, {"new"})
    assert len(list(tmp_path.iterdir())) == 2
    replace_directory(target, writes("newer"))
    assert content(target) == {"newer"} and list(tmp_path.iterdir()) == [target]


@pytest.mark.usefixtures("without_exchange")
@pytest.mark.parametrize(("event", "part"), [*MOMENTS, ("os.rename", ".target.tmp-")])
def test_killed_where_there_are_two_renames(tmp_path: Path, event: str, part: str) -> None:
    target = tmp_path / "target"
    replace_directory(target, writes("old"))
    assert killed_at(event, part, lambda: replace_directory(target, writes("new")))
    recover_directory(target)
    assert content(target) in ({"old"}, {"new"})
    replace_directory(target, writes("newer"))
    assert content(target) == {"newer"} and list(tmp_path.iterdir()) == [target]


@pytest.mark.usefixtures("without_exchange")
@pytest.mark.parametrize("link", [False, True])
def test_a_bundle_that_was_moved_away_opens(tmp_path: Path, link: bool) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    (tmp_path / "current").symlink_to("bundle")
    assert killed_at("os.rename", ".bundle.tmp-", lambda: replace_directory(bundle, writes("new")))
    assert not bundle.exists() and len(list(tmp_path.glob(".bundle.old-*"))) == 1
    engine = Engine(tmp_path / "current" if link else bundle, provider="cpu")
    assert engine(bundle / "golden/1.png").label == "green" and not list(tmp_path.glob(".bundle.old-*"))


@pytest.mark.skipif(os.getuid() != 0, reason="needs a user who may not write, and files of another")
@pytest.mark.usefixtures("without_exchange")
def test_whoever_may_not_put_it_back_is_told_how() -> None:
    with tempfile.TemporaryDirectory() as name:  # where every user may look
        folder = Path(name)
        folder.chmod(0o755)
        bundle = make_bundle(folder / "bundle")
        assert killed_at("os.rename", ".bundle.tmp-", lambda: replace_directory(bundle, writes("new")))
        (old,) = folder.glob(".bundle.old-*")

        def look() -> None:
            with pytest.raises(BundleError, match=f"cannot be put back .*: rename {old} to bundle"):
                open_bundle(bundle)

        assert in_a_child(look, NOBODY) == 0
        old.rename(bundle)
        assert open_bundle(bundle).manifest.model == "colours"


@pytest.mark.usefixtures("without_exchange")
def test_a_writer_that_lives_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    replace_directory(target, writes("old"))
    rename, slow = Path.rename, threading.Event()

    def rename_slowly(path: Path, new: Path) -> Path:
        if ".tmp-" in path.name:
            slow.set()
            time.sleep(0.3)
        return rename(path, new)

    monkeypatch.setattr(Path, "rename", rename_slowly)
    writer = threading.Thread(target=replace_directory, args=(target, writes("new")))
    writer.start()
    assert slow.wait(10) and not target.exists()
    recover_directory(target)
    assert content(target) == {"new"}
    writer.join()


def test_nothing_is_made_up(tmp_path: Path) -> None:
    (tmp_path / ".bundle.old-file").write_text("no folder")
    (tmp_path / ".bundle.old-x-y").mkdir()
    (tmp_path / ".bundle.old-abc").symlink_to(tmp_path / ".bundle.old-x-y")
    with refused(BundleError):
        open_bundle(tmp_path / "bundle")
    with refused(BundleError):
        open_bundle(tmp_path / "none" / "bundle")


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    target, ready = tmp_path / "target", tmp_path / "ready"

    def fill(folder: Path) -> None:
        ready.touch()
        time.sleep(60)

    child = os.fork()
    if child == 0:
        replace_directory(target, fill)
        os._exit(0)
    try:
        while not ready.exists():
            time.sleep(0.01)
        (half,) = tmp_path.glob(".target.tmp-*")
        for number in (os.getpid(), os.getppid(), 2**22 + 7):  # as older releases named them
            (tmp_path / f".target.tmp-{number}").mkdir()
        (tmp_path / ".target2.tmp-0badcafe").mkdir()
        replace_directory(target, writes("mine"))
        assert {path.name for path in tmp_path.iterdir()} == {
            "target", "ready", half.name, ".target2.tmp-0badcafe",
        }  # fmt: skip
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    replace_directory(target, writes("again"))
    assert not half.exists() and content(target) == {"again"}


def test_many_writers_at_once(tmp_path: Path) -> None:
    target = tmp_path / "target"

    def work(text: str) -> None:
        for _ in range(5):
            replace_directory(target, writes(text))

    threads = [threading.Thread(target=work, args=(text,)) for text in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(content(target)) == 1 and list(tmp_path.iterdir()) == [target]


def test_a_link_to_a_folder_is_replaced_by_the_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "target").symlink_to("elsewhere")
    replace_directory(tmp_path / "target", writes("new"))
    assert not (tmp_path / "target").is_symlink() and content(tmp_path / "target") == {"new"}
    assert {path.name for path in tmp_path.iterdir()} == {"target", "elsewhere"}
