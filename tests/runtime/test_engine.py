"""The engine: raw inputs in, answers out, strict about tensors, safe from threads."""

import io
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewright.runtime import Engine, open_bundle
from edgewright.runtime.contracts import TensorSpec
from edgewright.runtime.errors import InputError
from edgewright.runtime.graphs.checks import check_feeds
from tests.messages import refused
from tests.runtime.small_bundle import LABELS, colour_image, reference_logits

IMAGES = np.random.default_rng(0).normal(size=(3, 3, 16, 16)).astype(np.float32)


@pytest.fixture
def engine(bundle: Path) -> Engine:
    return Engine(bundle, provider="cpu")


def test_every_kind_of_raw_input(engine: Engine, tmp_path: Path) -> None:
    image = colour_image(1)
    path = tmp_path / "green.png"
    image.save(path)
    expected = engine(image)
    assert expected.label == "green" and expected.index == 1
    for raw in (path, str(path), path.read_bytes(), np.asarray(image)):
        assert engine(raw) == expected


def test_lists_tuples_and_directories(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for index, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        colour_image(index).save(folder / label / "photo.png")
    images = [colour_image(index) for index in range(3)]
    assert [answer.label for answer in engine(images)] == list(LABELS)
    assert engine(tuple(images)) == engine(images)
    named = {name: answer.label for name, answer in engine(folder).items()}
    assert named == {f"{label}/photo.png": label for label in sorted(LABELS)}
    assert list(engine(str(folder)).values()) == engine(sorted(folder.rglob("*.png")))
    assert engine([]) == []
    assert [answer.label for answer in engine(images[:1])] == ["red"]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 32])
def test_batches_do_not_change_answers(bundle: Path, batch_size: int) -> None:
    images = [colour_image(number % 3, (10 + number, 20), seed=number) for number in range(7)]
    with Engine(bundle, provider="cpu", batch_size=batch_size) as engine:
        together = engine(images)
        for image, answer in zip(images, together, strict=True):
            alone = engine(image)
            assert alone.label == answer.label
            assert alone.probabilities == pytest.approx(answer.probabilities, rel=1e-5)


def test_an_error_in_a_list_names_the_input(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no")
    with refused(InputError):
        engine([colour_image(0), tmp_path / "bad.png"])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "is a folder"),
        ("x" * 5000, "cannot be read"),
        ("a\0b", "cannot be read"),
        (None, "from NoneType"),
    ],
)
def test_paths_that_lead_nowhere(engine: Engine, raw: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        engine(raw)


def test_an_empty_directory(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with refused(InputError):
        engine(tmp_path / "empty")


def test_an_engine_from_an_open_bundle(bundle: Path) -> None:
    opened = open_bundle(bundle)
    engine = Engine(opened, variant="copy", provider="cpu", threads=1)
    assert engine.bundle is opened and engine.variant == "copy" and engine.provider == "cpu"
    assert engine.manifest is opened.manifest and engine.task.labels == LABELS
    assert "colours, copy on cpu" in repr(engine)


def test_a_closed_engine(bundle: Path) -> None:
    with Engine(bundle, provider="cpu") as engine:
        engine(colour_image(0))
    with refused(InputError):
        engine(colour_image(0))
    assert "closed" in repr(engine)
    engine.close()


def test_a_batch_size_of_none(bundle: Path) -> None:
    with refused(InputError):
        Engine(bundle, batch_size=0)


def test_infer(engine: Engine) -> None:
    expected = reference_logits(IMAGES)
    for feeds in (IMAGES, {"pixel_values": IMAGES}, np.asfortranarray(IMAGES), IMAGES[::-1][::-1]):
        found = engine.infer(feeds)
        assert list(found) == ["logits"]
        np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-6)


def planted(value: float, place: tuple[int, ...]) -> np.ndarray[Any, Any]:
    array = IMAGES.copy()
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        (planted(np.nan, (0, 0, 0, 0)), "holds NaN or infinity"),
        (planted(np.nan, (2, 2, 15, 15)), "holds NaN or infinity"),
        (planted(np.inf, (1, 1, 3, 4)), "holds NaN or infinity"),
        (planted(-np.inf, (1, 1, 3, 4)), "holds NaN or infinity"),
        (IMAGES.astype(np.float64), "is float64: convert it to float32"),
        (IMAGES.astype(np.float16), "is float16: convert it to float32"),
        (IMAGES.astype(">f4"), "is >f4: convert it to float32"),
        ((IMAGES * 9).astype(np.uint8), "is uint8: convert it to float32"),
        (IMAGES[0], "is shaped 3x16x16: give batch x 3 x 16 x 16 float32"),
        (IMAGES[np.newaxis], "is shaped 1x3x3x16x16"),
        (np.array(1, np.float32), "is shaped a scalar: give batch x 3"),
        (IMAGES[:, :1], "is shaped 3x1x16x16"),
        (IMAGES[:, :, :15], "is shaped 3x3x15x16"),
        (IMAGES[:0], "is empty \\(0x3x16x16\\): give at least one sample"),
        ({}, "'pixel_values' is missing"),
        ({"picture": IMAGES}, "no input 'picture': it takes pixel_values"),
        ({"pixel_values": IMAGES, "more": IMAGES}, "no input 'more'"),
        ({"pixel_values": IMAGES.tolist()}, "is list: give a numpy array"),
        ({"pixel_values": None}, "is NoneType: give a numpy array"),
        (IMAGES.tolist(), "cannot run list"),
        (None, "cannot run NoneType"),
    ],
)
def test_infer_is_strict(engine: Engine, feeds: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        engine.infer(feeds)
    assert "\n" not in str(caught.value)


def test_large_finite_values_are_not_called_infinite() -> None:
    spec = TensorSpec("x", "float32", ("batch", 4))
    huge = np.full((2, 4), np.finfo(np.float32).max, np.float32)
    check_feeds({"x": huge}, [spec])
    check_feeds({"x": huge * np.array([1, -1, 1, -1], np.float32)}, [spec])
    with pytest.raises(InputError):
        check_feeds({"x": np.array([[np.inf, -np.inf, 0, 0]], np.float32)}, [spec])


def test_axes_of_one_name_have_one_size() -> None:
    specs = [TensorSpec("a", "int64", ("batch", "time")), TensorSpec("b", "int64", ("batch", "time"))]
    a = np.zeros((2, 5), np.int64)
    check_feeds({"a": a, "b": a}, specs)
    for other in (np.zeros((2, 4), np.int64), np.zeros((3, 5), np.int64)):
        with refused(InputError):
            check_feeds({"a": a, "b": other}, specs)


def test_a_copied_bundle_gives_the_same_answers(bundle: Path, tmp_path: Path) -> None:
    first = Engine(bundle, provider="cpu")(colour_image(2))
    shutil.copytree(bundle, tmp_path / "copy")
    assert Engine(tmp_path / "copy", provider="cpu")(colour_image(2)) == first


def test_many_threads_at_once(engine: Engine) -> None:
    images = [colour_image(index, (30, 20), seed=index) for index in range(3)]
    files = []
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG")
        files.append(buffer.getvalue())
    expected = [engine(file) for file in files]
    wrong: list[int] = []

    def work(number: int) -> None:
        for turn in range(30):
            which = (number + turn) % 3
            if turn % 10 == 9:  # an error of one caller is not the others' business
                with pytest.raises(InputError):
                    engine(b"no image")
            elif engine(files[which]) != expected[which]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
