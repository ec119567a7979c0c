"""Folders of images: layouts, and every kind of file that is not a good image."""

import io
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgewright.pipeline.data.files.table_files import find_tables
from edgewright.pipeline.data.samples import Splits
from edgewright.pipeline.data.sources import open_data, restore_splits
from edgewright.pipeline.recipe.load import recipe_from_plain
from edgewright.pipeline.recipe.recipe import Recipe
from edgewright.runtime.errors import DataError, RecipeError
from edgewright.runtime.images.decoding import load_image
from tests.messages import refused


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are really decoded from here on."""
    paths: list[Path] = []

    def watched(path: Path) -> Image.Image:
        paths.append(path)
        return load_image(path)

    monkeypatch.setattr("edgewright.pipeline.data.files.scan.load_image", watched)
    return paths


def image_bytes(number: int, kind: str = "PNG", size: int = 6) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


_numbers: Iterator[int] = iter(range(1_000_000))


def fill(folder: Path, count: int = 6, suffix: str = ".png", kind: str = "PNG") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (folder / f"{index:03d}{suffix}").write_bytes(image_bytes(next(_numbers), kind))
    return folder


def recipe(source: Path, **data: Any) -> Recipe:
    return recipe_from_plain(
        {
            "task": "image-classification",
            "model": "resnet18",
            "data": {"source": str(source), **data},
        }
    )


def open_folder(source: Path, **data: Any) -> Splits:
    return open_data(recipe(source, **data))


def error_of(source: Path, kind: type[Exception] = DataError, **data: Any) -> str:
    with pytest.raises(kind) as caught:
        open_folder(source, **data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        fill(tmp_path / "pets" / name, 10)
    return tmp_path / "pets"


def test_one_folder_for_each_class(pets: Path) -> None:
    fill(pets / "cat" / "more" / "deep", 2, ".JPG", "JPEG")
    splits = open_folder(pets)
    assert splits.classes == ("cat", "dog") and splits.source == str(pets)
    assert splits.looked_at == "22 files" and sum(map(sum, splits.counts().values())) == 22
    samples = [sample for name in splits.counts() for sample in splits.split(name)]
    assert "cat/more/deep/000.JPG" in {sample.id for sample in samples}
    for sample in samples:
        assert isinstance(sample.raw, Path) and sample.raw == pets / sample.id
        assert sample.label is not None
        assert sample.id.startswith(splits.classes[sample.label] + "/")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_every_format_the_device_reads(tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        fill(tmp_path / name, 5, f".{kind.lower()}", kind)
    assert open_folder(tmp_path).skipped == ()


@pytest.mark.parametrize(
    ("folders", "given"),
    [
        (("train", "val", "test"), {"validation", "evaluation"}),
        (("Training", "validation", "eval"), {"validation", "evaluation"}),
        (("train", "valid"), {"validation"}),
        (("train", "test"), {"evaluation"}),
        (("train", "calibration"), {"calibration"}),
        (("train",), set()),
    ],
)
def test_folders_of_splits(tmp_path: Path, folders: tuple[str, ...], given: set[str]) -> None:
    for folder in folders:
        for name in ("a", "b"):
            fill(tmp_path / folder / name, 10)
    counts = open_folder(tmp_path).counts()
    for split in ("validation", "evaluation", "calibration"):
        assert counts[split] == ((10, 10) if split in given else {"evaluation": (2, 2)}.get(split, (1, 1)))


def test_classes_may_be_called_like_splits(tmp_path: Path) -> None:
    for name in ("bus", "test", "train"):
        fill(tmp_path / name, 6)
    fill(tmp_path / "train" / "steam", 6)
    fill(tmp_path / "test" / "driving", 6)
    splits = open_folder(tmp_path)
    assert splits.classes == ("bus", "test", "train") and splits.files == 30


def test_hidden_files_and_system_junk_are_not_looked_at(pets: Path) -> None:
    fill(pets / ".hidden", 3)
    fill(pets / "__MACOSX", 3)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (pets / "cat" / name).write_text("x")
    splits = open_folder(pets)
    assert splits.classes == ("cat", "dog") and splits.files == 20


def test_linked_folders_are_followed_once(tmp_path: Path, pets: Path) -> None:
    shutil.move(pets / "cat", tmp_path / "elsewhere")
    (pets / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "elsewhere")
    (pets / "cat" / "linked").symlink_to(fill(tmp_path / "others", 3))
    splits = open_folder(pets)
    assert splits.files == 23 and splits.notes == ()


def write_truncated(path: Path) -> None:
    path.write_bytes(image_bytes(1, "JPEG", 64)[:-400])


BAD_FILES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "zero-byte": (lambda path: path.write_bytes(b""), ".png", "is empty"),
    "truncated": (write_truncated, ".jpg", "is damaged"),
    "corrupt": (lambda path: path.write_bytes(image_bytes(2)[:40] + b"\xa5" * 99), ".png", "is damaged"),
    "not an image": (
        lambda path: path.write_text("hello"),
        ".jpg",
        "is not a JPEG, PNG, WebP, BMP or GIF image",
    ),
    "a PNG called JPEG": (
        lambda path: path.write_bytes(image_bytes(3)),
        ".jpg",
        "is a PNG image but ends in .jpg",
    ),
    "an image called text": (
        lambda path: path.write_bytes(image_bytes(4)),
        ".txt",
        "does not end like an image",
    ),
    "a document": (lambda path: path.write_text("notes"), ".md", "does not end like an image"),
    "a broken link": (lambda path: path.symlink_to("nowhere"), ".png", "cannot be read"),
    "a pipe": (os.mkfifo, ".png", "is not a regular file"),
    "a bomb": (
        lambda path: Image.new("1", (9000, 9000)).save(path),
        ".png",
        "has 9000x9000 pixels, the limit is 50000000",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_skipped_counted_and_named(pets: Path, name: str) -> None:
    make, suffix, reason = BAD_FILES[name]
    make(pets / "dog" / f"bad{suffix}")
    splits = open_folder(pets)
    (skipped,) = splits.skipped
    assert skipped.path == f"dog/bad{suffix}" and skipped.reason.startswith(reason)
    assert str(pets) not in skipped.reason and splits.files == 21
    assert sum(map(sum, splits.counts().values())) == 20


def test_a_name_that_is_not_text_is_skipped_and_still_printable(pets: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(pets / "cat") + b"/\xff.png")).write_bytes(image_bytes(5))
    except OSError:  # a file system that has only text names cannot hold the file in question
        assert open_folder(pets).skipped == ()
        return
    (skipped,) = open_folder(pets).skipped
    assert skipped.path.encode() == rb"cat/\udcff.png" and "not UTF-8" in skipped.reason


def test_too_many_bad_files_are_an_error(pets: Path) -> None:
    for index in range(2):
        (pets / "dog" / f"bad{index}.png").write_bytes(b"")
    message = error_of(pets)
    assert message.startswith("2 of 22 files cannot be used, more than data.max_bad allows (0.05)")
    assert (
        "dog/bad0.png is empty" in message and "dog/bad1.png" in message and "raise data.max_bad" in message
    )
    assert len(open_folder(pets, max_bad=0.1).skipped) == 2
    assert error_of(pets, max_bad=0).startswith("2 of 22")
    for index in range(18):
        (pets / "dog" / f"good{index}.png").write_bytes(image_bytes(next(_numbers)))
    assert len(open_folder(pets).skipped) == 2, "2 of 40 is the share that is still allowed"


def test_a_missing_folder(pets: Path) -> None:
    message = error_of(pets.with_name("petz"))
    assert message.startswith(f"there is no data folder {pets.with_name('petz')} (did you mean 'pets'?)")
    assert error_of(pets / "no" / "such").startswith("there is no data folder")
    assert "is a file" in error_of(pets / "cat" / "000.png")


def test_images_that_are_not_sorted_into_classes(tmp_path: Path) -> None:
    assert "has no folders" in error_of(tmp_path)
    fill(tmp_path, 3)
    assert (
        error_of(tmp_path) == f"the images lie directly in {tmp_path}: put them in one folder for each class"
    )


def test_one_class_only(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 5)
    assert "only one class (cat)" in error_of(tmp_path)


def test_an_empty_class(pets: Path) -> None:
    (pets / "fish").mkdir()
    assert error_of(pets).startswith("no usable image of class 'fish': add images, or leave the class out")
    assert open_folder(pets, classes=["dog", "cat"]).classes == ("dog", "cat")
    (pets / "fish" / "only.png").write_bytes(b"")
    assert "no usable image of class 'fish'" in error_of(pets)


def test_fewer_images_than_classes(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    fill(tmp_path / "a", 2)
    assert "3 classes and only 2 usable images" in error_of(tmp_path)


def test_classes_that_differ_between_splits(tmp_path: Path) -> None:
    for folder, names in (("train", ("cat", "dog")), ("test", ("cat", "dogs"))):
        for name in names:
            fill(tmp_path / folder / name, 6)
    assert "'dog' is in train but not in evaluation (did you mean 'dogs'?)" in error_of(tmp_path)
    shutil.move(tmp_path / "test" / "dogs", tmp_path / "test" / "dog")
    fill(tmp_path / "test" / "fish")
    assert "'fish' is in evaluation but not in train" in error_of(tmp_path)
    assert open_folder(tmp_path, classes=["cat", "dog"]).counts()["evaluation"] == (6, 6)


def test_folders_that_are_neither_classes_nor_splits(tmp_path: Path) -> None:
    for folder in ("train", "tset"):
        for name in ("a", "b"):
            fill(tmp_path / folder / name, 4)
    assert "has a folder 'tset' beside 'train' (did you mean 'test'?)" in error_of(tmp_path)
    shutil.move(tmp_path / "tset", tmp_path / "training")
    assert "has both 'train' and 'training': keep one folder for train" in error_of(tmp_path)
    shutil.rmtree(tmp_path / "train")
    shutil.move(tmp_path / "training", tmp_path / "test")
    assert error_of(tmp_path) == f"{tmp_path} has test but no train folder: add one"


def test_an_unknown_class(pets: Path) -> None:
    message = error_of(pets, RecipeError, classes=["cat", "dg"])
    assert message == f"data.classes: {pets} has no class 'dg' (did you mean 'dog'?): it has cat, dog"


def test_copies_between_train_and_test(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        for name in ("a", "b"):
            fill(tmp_path / folder / name, 6)
    shutil.copy(tmp_path / "train" / "a" / "000.png", tmp_path / "test" / "a" / "leak.png")
    splits = open_folder(tmp_path)
    assert splits.counts()["evaluation"] == (6, 6)
    assert splits.notes[0].startswith("test/a/leak.png: left out of evaluation")


def test_a_folder_that_cannot_be_read(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(
        Path, "iterdir", refuse
    )  # a super-user may read anything, so permissions cannot be tested
    assert error_of(pets) == f"cannot read {pets} (Permission denied): check its permissions"


def test_the_second_look_reads_nothing(
    pets: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Path]
) -> None:
    (pets / "cat" / "bad.png").write_bytes(b"")
    first = open_folder(pets)
    assert len(opened) == 21
    opened.clear()
    assert open_folder(pets) == first and opened == []
    changed = pets / "dog" / "003.png"
    changed.write_bytes(image_bytes(99, size=7))
    assert open_folder(pets) != first and opened == [changed]
    times = (changed.stat().st_atime_ns, changed.stat().st_mtime_ns)
    changed.write_bytes(image_bytes(99, size=9))
    os.utime(changed, ns=times)
    open_folder(pets)
    assert opened == [changed, changed], "another size at the same time is another file"
    monkeypatch.setenv("EDGEWRIGHT_CACHE", "off")
    opened.clear()
    open_folder(pets)
    assert len(opened) == 21


def test_a_broken_cache_is_not_used(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_folder(pets)
    (cache,) = Path(os.environ["EDGEWRIGHT_CACHE"]).glob("data/*.json")
    other = json.loads(cache.read_text())
    other["reader"] = "another"
    for entry in other["files"].values():
        entry["reason"] = "is damaged"
    for text in ("{", "[]", json.dumps(other), '{"reader": 1, "files": {"a": 2}}'):
        cache.write_text(text)
        assert open_folder(pets) == first
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(pets / "cat" / "000.png"))  # cannot be a folder
    assert open_folder(pets) == first


def test_an_interrupted_look_keeps_what_it_has_seen(
    pets: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Path]
) -> None:
    monkeypatch.setattr("edgewright.pipeline.data.files.scan._BATCH", 5)

    def interrupt(done: int, total: int) -> None:
        assert total == 20
        if done >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_data(recipe(pets), interrupt)
    opened.clear()
    reported: list[tuple[int, int]] = []
    open_data(recipe(pets), lambda done, total: reported.append((done, total)))
    assert len(opened) == 10 and reported == [(5, 20), (10, 20), (15, 20), (20, 20)]


@pytest.mark.parametrize("way", ["written over", "replaced", "moved in"])
def test_another_image_of_the_same_size_and_time_is_seen(tmp_path: Path, way: str) -> None:
    photos = tmp_path / "photos"
    for number in range(12):
        file = photos / ("cat" if number % 2 else "dog") / f"{number}.bmp"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number * 20, 0, 0)).save(file)
    before = {sample.id: sample.content for sample in open_data(recipe(photos)).train}
    name = sorted(before)[0]
    file, status = photos / name, (photos / name).stat()
    Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "other.bmp")
    os.utime(tmp_path / "other.bmp", ns=(status.st_atime_ns, status.st_mtime_ns))
    if way == "written over":
        file.write_bytes((tmp_path / "other.bmp").read_bytes())
    elif way == "replaced":
        file.unlink()
        shutil.copy2(tmp_path / "other.bmp", file)
    else:
        (tmp_path / "other.bmp").rename(file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    found = open_data(recipe(photos))
    contents = {
        sample.id: sample.content
        for part in (found.train, found.validation, found.calibration, found.evaluation)
        for sample in part
    }
    assert contents[name] != before[name] and sum(contents[one] != before[one] for one in before) == 1


def test_a_run_finds_its_images_again(pets: Path) -> None:
    splits = open_folder(pets)
    document = json.loads(json.dumps(splits.to_plain()))
    again = restore_splits(document, recipe(pets))
    assert again == splits
    assert all(sample.raw == pets / sample.id for sample in again.train)
    (pets / "cat" / "000.png").unlink()  # in whichever part it is
    with refused(DataError):
        restore_splits(document, recipe(pets))


def test_an_image_that_was_altered_after_the_training_is_not_judged_with(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for label in ("cat", "dog"):
        for number in range(10):
            file = photos / label / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number * 20, 0, 200 if label == "cat" else 0)).save(file)
    splits = open_data(recipe(photos))
    document = splits.to_plain()
    assert restore_splits(document, recipe(photos)).digest() == splits.digest()
    altered = splits.evaluation[0]
    Image.new("RGB", (8, 8), (1, 2, 3)).save(photos / altered.id)
    with pytest.raises(DataError, match=f"{altered.id} in .* is no longer the image"):
        restore_splits(document, recipe(photos))


def test_the_digest_follows_the_content_and_not_the_place(pets: Path) -> None:
    first = open_folder(pets)
    moved = pets.with_name("moved")
    shutil.copytree(pets, moved)
    assert open_folder(moved).digest() == first.digest()
    (moved / "cat" / "000.png").write_bytes(image_bytes(98))
    assert open_folder(moved).digest() != first.digest()


@pytest.mark.parametrize("splits", [(), ("train", "test")])
def test_images_beside_the_folders_of_classes_are_named(tmp_path: Path, splits: tuple[str, ...]) -> None:
    for split in splits or ("",):
        for name in ("a", "b"):
            fill(tmp_path / split / name, 20)
    (tmp_path / "stray.png").write_bytes(image_bytes(1_000_001))
    for name in (".hidden.png", "README.md"):
        (tmp_path / name).write_bytes(b"not looked at")
    wanted = {"stray.png"}
    if splits:
        (tmp_path / "test" / "other.JPG").write_bytes(image_bytes(1_000_002, "JPEG"))
        wanted.add("test/other.JPG")
    found = open_data(recipe(tmp_path))
    assert {one.path for one in found.skipped} == wanted
    assert all(one.reason == "lies in no folder of a class: move it into one" for one in found.skipped)
    assert found.files == 40 * max(len(splits), 1) + len(wanted), "they count against max_bad"


def test_what_lies_beside_tables_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        (tmp_path / f"{number}.csv").write_text("a,b\n1,2\n")
    suffixes = {".csv": "csv"}
    with caplog.at_level(logging.INFO, "edgewright"):
        find_tables(tmp_path, "auto", suffixes, class_folders=False)
        assert not caplog.records
        for name in ("notes.xlsx", "more.txt", ".hidden", *(f"{number}.bak" for number in range(5))):
            (tmp_path / name).touch()
        (tmp_path / "older").mkdir()
        tables = find_tables(tmp_path, "auto", suffixes, class_folders=False)
    assert [file.name for file in tables] == ["0", "1", "2"]
    (record,) = caplog.records
    said = record.getMessage()
    assert (
        "0.bak" in said and ".hidden" not in said and "and 3 more: no tables of this folder, not read" in said
    )
