"""Images at the device: exactly what torchvision computes, and no picture that breaks it."""

import io
import os
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.images.decoding import load_image
from edgewright.runtime.images.encoding import ImageSettings, encode_image, image_settings
from tests.messages import refused

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(raw: Any, **options: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    image = load_image(raw, **options)
    assert image.mode == "RGB"
    return np.asarray(image)


# --- encode: equal to torchvision to the last bit ---------------------------------------------------------


@pytest.mark.parametrize(
    "interpolation", ["nearest", "nearest-exact", "bilinear", "bicubic", "lanczos", "box", "hamming"]
)
@pytest.mark.parametrize("resize", [1, 7, 32, 57])
@pytest.mark.parametrize("crop", [1, 16, 31, 57, 64])
def test_encode_is_torchvisions_preset(interpolation: str, resize: int, crop: int) -> None:
    import torch
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    torch.set_num_threads(1)
    preset = ImageClassification(
        crop_size=crop, resize_size=resize, mean=MEAN, std=STD, interpolation=InterpolationMode(interpolation)
    )
    settings = ImageSettings(resize, (crop, crop), interpolation, MEAN, STD)
    sizes = [(1, 1), (1, 9), (2, 3), (33, 32), (32, 33), (57, 57), (61, 40), (40, 61), (97, 13), (100, 300)]
    for height, width in sizes:
        image = Image.fromarray(noise(height, width, seed=height * width))
        found, expected = encode_image(image, settings), preset(image).numpy()
        assert found.dtype == np.float32 and found.shape == (3, crop, crop)
        assert np.array_equal(found, expected), (height, width)


@pytest.mark.parametrize("resize", [(30, 50), (64, 20), None])
def test_encode_with_an_exact_or_no_resize(resize: tuple[int, int] | None) -> None:
    import torch
    from torchvision.transforms import functional

    for height, width in [(1, 1), (29, 31), (63, 80), (64, 20)]:
        image = Image.fromarray(noise(height, width))
        expected = functional.resize(image, list(resize)) if resize else image
        tensor = functional.pil_to_tensor(functional.center_crop(expected, [33, 28])).to(torch.float32) / 255
        expected = functional.normalize(tensor, list(MEAN), list(STD)).numpy()
        found = encode_image(image, ImageSettings(resize, (33, 28), "bilinear", MEAN, STD))
        assert np.array_equal(found, expected), (height, width)


def test_encode_keeps_every_published_preset_exact() -> None:
    from torchvision import models

    image = Image.fromarray(noise(301, 473))
    seen = set()
    for name in models.list_models(module=models):
        preset = models.get_model_weights(name)["DEFAULT"].transforms()
        key = (
            preset.resize_size[0],
            preset.crop_size[0],
            preset.interpolation.value,
            *preset.mean,
            *preset.std,
        )
        if key in seen:
            continue
        seen.add(key)
        resize, crop, interpolation, *numbers = key
        mean, std = tuple(numbers[:3]), tuple(numbers[3:])
        settings = ImageSettings(resize, (crop, crop), interpolation, mean, std)
        assert np.array_equal(encode_image(image, settings), preset(image).numpy()), name
    assert len(seen) >= 10


def test_encode_refuses_an_image_that_resizing_would_blow_up() -> None:
    settings = ImageSettings(256, (224, 224), "bilinear", MEAN, STD, max_pixels=1_000_000)
    with refused(InputError):
        encode_image(Image.fromarray(noise(1, 20000)), settings)


def test_encode_refuses_other_modes() -> None:
    with refused(InputError):
        encode_image(Image.new("L", (8, 8)), ImageSettings(8, (8, 8), "bilinear", MEAN, STD))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interpolation": "cubic"}, "'cubic' is not one of nearest"),
        ({"crop": [0, 8]}, "between 1 and 65536"),
        ({"resize": 1 << 20}, "between 1 and 65536"),
        ({"std": [0.0, 1.0, 1.0]}, "std above 0"),
        ({"std": [1.0, -0.5, 1.0]}, "std above 0"),
        ({"mean": [0.0, 1.0]}, "expected 3 values, found 2"),
        ({"mean": ["a", 1.0, 1.0]}, "processor.mean.0"),
        ({"max_pixels": 0}, "must be positive"),
        ({"colour": 1}, "processor.colour: unknown key"),
    ],
)
def test_settings_that_cannot_be_used(change: dict[str, Any], message: str) -> None:
    plain = to_plain(ImageSettings(8, (8, 8), "bilinear", MEAN, STD))
    assert image_settings(plain) == ImageSettings(8, (8, 8), "bilinear", MEAN, STD)
    with pytest.raises(BundleError, match=message):
        image_settings(plain | change)


# --- load: every kind of image ----------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["PNG", "BMP", "JPEG", "WEBP", "GIF"])
def test_path_bytes_image_and_array_are_the_same(format: str, tmp_path: Path) -> None:
    content = saved(Image.fromarray(noise(13, 11)), format)
    path = tmp_path / "picture.dat"  # the ending does not matter, the content does
    path.write_bytes(content)
    with Image.open(path) as opened:
        expected = np.asarray(opened.convert("RGB"))
    for raw in (
        path,
        str(path),
        content,
        bytearray(content),
        memoryview(content),
        expected,
    ):
        assert np.array_equal(pixels(raw), expected)
    with Image.open(path) as opened:
        assert np.array_equal(pixels(opened), expected)


def test_cmyk_jpeg() -> None:
    image = Image.fromarray(noise(16, 16)).convert("CMYK")
    content = saved(image, "JPEG", quality=95)
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.mode == "CMYK"
        expected = np.asarray(opened.convert("RGB"))
    assert np.array_equal(pixels(content), expected)


def test_16_bit_grey_keeps_the_high_byte() -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    expected = np.repeat((values >> 8).astype(np.uint8)[:, :, np.newaxis], 3, axis=2)
    content = saved(Image.fromarray(values), "PNG")
    assert np.array_equal(pixels(content), expected)
    assert np.array_equal(pixels(values), expected)
    assert np.array_equal(pixels(np.repeat(values[:, :, np.newaxis], 3, axis=2)), expected)
    assert np.array_equal(pixels(Image.fromarray(values.astype(np.int32))), expected)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand, for what Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, colour, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def test_16_bit_colour_keeps_the_high_byte() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (5, 4, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    assert np.array_equal(pixels(png(4, 5, 16, 2, rows)), (values >> 8).astype(np.uint8))


def test_transparency_is_composited_on_white() -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (200, 100, 0, 255)
    rgba[0, 1] = (200, 100, 0, 0)
    rgba[1, 0] = (0, 0, 0, 128)
    found = pixels(saved(Image.fromarray(rgba), "PNG"))
    assert found[0, 0].tolist() == [200, 100, 0]
    assert found[0, 1].tolist() == [255, 255, 255]
    assert found[1, 0].tolist() == [127, 127, 127]
    assert np.array_equal(pixels(rgba), found)
    grey_alpha = Image.fromarray(rgba).convert("LA")
    assert pixels(saved(grey_alpha, "PNG"))[0, 1].tolist() == [255, 255, 255]


def test_palette_with_alpha() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    content = saved(image, "PNG", transparency=bytes([255, 0, 128]))
    assert pixels(content).tolist() == [[[255, 0, 0], [255, 255, 255], [127, 127, 255]]]
    one_colour = saved(image, "GIF", transparency=1)
    assert pixels(one_colour).tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]


def test_grey_and_one_bit() -> None:
    grey = noise(6, 5, channels=1)
    expected = np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    for raw in (saved(Image.fromarray(grey), "PNG"), grey, grey[:, :, np.newaxis], Image.fromarray(grey)):
        assert np.array_equal(pixels(raw), expected)
    bits = Image.fromarray(grey > 127)
    assert set(np.unique(pixels(saved(bits, "PNG")))) <= {0, 255}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int, format: str) -> None:
    quadrants = np.zeros((16, 32, 3), np.uint8)
    quadrants[:8, :16, 0] = 255
    quadrants[:8, 16:, 1] = 255
    quadrants[8:, :16, 2] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(Image.fromarray(quadrants), format, exif=exif)
    with Image.open(io.BytesIO(content)) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
        once = load_image(opened)
    assert np.array_equal(pixels(content), expected)
    assert once.size == ((16, 32) if orientation >= 5 else (32, 16))
    assert np.array_equal(pixels(once), expected), "an upright image must not be turned again"


def test_broken_exif_does_not_cost_the_picture() -> None:
    image = Image.fromarray(noise(8, 8))
    content = saved(image, "PNG", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff")
    assert np.array_equal(pixels(content), np.asarray(image))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if format == "WEBP" else {}
    content = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert pixels(content)[0, 0].tolist() == [255, 0, 0]


def test_the_first_picture_of_a_phones_multi_picture_file() -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    content = saved(first, "MPO", save_all=True, append_images=[second])
    assert content.startswith(b"\xff\xd8\xff") and pixels(content)[0, 0, 0] > 250


def test_one_pixel() -> None:
    raw = np.array([[[10, 20, 30]]], np.uint8)
    assert pixels(saved(Image.fromarray(raw), "PNG")).tolist() == [[[10, 20, 30]]]
    tensor = encode_image(load_image(raw), ImageSettings(8, (8, 8), "bilinear", (0, 0, 0), (1, 1, 1)))
    assert np.array_equal(
        tensor, np.broadcast_to(np.array([[[10]], [[20]], [[30]]], np.float32) / 255, (3, 8, 8))
    )


def test_an_array_that_is_a_view_of_another() -> None:
    whole = noise(20, 20)
    assert np.array_equal(pixels(whole[::-2, ::3]), whole[::-2, ::3])
    assert np.array_equal(pixels(whole[:, :, ::-1]), whole[:, :, ::-1])


# --- load: what is refused --------------------------------------------------------------------------------


def bomb(width: int, height: int) -> bytes:
    """A one-bit PNG of this size in a few kilobytes."""
    return png(width, height, 1, 0, (b"\0" + bytes(-(-width // 8))) * height)


@pytest.mark.parametrize("size", [(9000, 9000), (14000, 14000), (50001, 1000)])
def test_bombs_are_refused_before_they_are_decoded(size: tuple[int, int], tmp_path: Path) -> None:
    import resource

    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(*size))
    assert path.stat().st_size < 40_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            InputError, match=rf"bomb\.png has {size[0]}x{size[1]} pixels, the limit is 50000000"
        ):
            load_image(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize("side", [7500, 10000, 16383])
def test_a_webp_that_claims_to_be_large(side: int) -> None:
    import resource

    content = bytearray(saved(Image.new("RGB", (64, 64), "red"), "WEBP", lossless=True))
    place = content.index(b"VP8L") + 9
    claimed = (int.from_bytes(content[place : place + 4], "little") >> 28 << 28) | side - 1 | (side - 1) << 14
    content[place : place + 4] = claimed.to_bytes(4, "little")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with refused(InputError):
        load_image(bytes(content))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_the_limit_is_the_callers() -> None:
    assert pixels(bomb(100, 10), max_pixels=1000).shape == (10, 100, 3)
    with refused(InputError):
        load_image(bomb(100, 10), max_pixels=999)
    with refused(InputError):
        load_image(np.zeros((10, 100), np.uint8), max_pixels=999)
    with refused(InputError):
        load_image(Image.new("RGB", (100, 10)), max_pixels=999)


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    jpeg = saved(Image.fromarray(noise(64, 64)), "JPEG")
    files = {
        "empty": (b"", "is empty"),
        "text.jpg": (b"this is not a picture", "is not a JPEG, PNG, WebP, BMP or GIF"),
        "tiff.jpg": (saved(Image.new("RGB", (4, 4)), "TIFF"), "is not a JPEG"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "is damaged"),
        "head.jpg": (jpeg[:20], "is damaged"),
        "cut.png": (saved(Image.fromarray(noise(64, 64)), "PNG")[:200], "is damaged"),
        "cut.gif": (saved(Image.fromarray(noise(64, 64)), "GIF")[:60], "is damaged"),
        "cut.webp": (saved(Image.fromarray(noise(64, 64)), "WEBP")[:60], "is damaged"),
        "cut.bmp": (saved(Image.fromarray(noise(64, 64)), "BMP")[:60], "is damaged"),
        "no-pixels.png": (png(0, 5, 8, 2, b""), "damaged|no pixels"),
        "chunk.png": (png(1, 1, 8, 2, b"\0abc", b"\x7f\xff\xff\xffzTXt"), "is damaged"),
    }
    result = {}
    for name, (content, message) in files.items():
        (folder / name).write_bytes(content)
        result[name] = (folder / name, message)
    return result


def test_files_that_are_no_images(tmp_path: Path) -> None:
    for name, (path, message) in broken_files(tmp_path).items():
        with pytest.raises(InputError, match=message) as caught:
            load_image(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value), name
        with pytest.raises(InputError, match=message):
            load_image(path.read_bytes())


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in [
        (tmp_path / "nothing.jpg", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "is not a regular file"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot be read"),
    ]:
        with pytest.raises(InputError, match=message):
            load_image(path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "is float32: give uint8"),
        (np.zeros((4, 4, 3), bool), "is bool: give uint8"),
        (np.zeros((4, 4, 2), np.uint8), "is 4x4x2: give height x width"),
        (np.zeros((1, 4, 4, 3), np.uint8), "is 1x4x4x3"),
        (np.zeros(4, np.uint8), "is 4: give"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (Image.new("F", (4, 4)), "floating-point pixels"),
        (Image.new("I", (4, 4), 70000), "32-bit pixels"),
        (Image.new("RGB", (0, 4)), "no pixels"),
        (None, "from NoneType"),
        (12, "from int"),
        ({}, "from dict"),
    ],
)
def test_raw_inputs_that_are_no_images(raw: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_image(raw)


def test_damage_never_escapes_as_another_error() -> None:
    """Random damage to real files: an image or an InputError, nothing else."""
    random = np.random.default_rng(7)
    image = Image.fromarray(noise(24, 24))
    formats = [
        ("JPEG", {}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("PNG", {"exif": b"Exif\0\0II*\0"}),
    ]
    outcomes = set()
    for format, options in formats:
        content = np.frombuffer(saved(image, format, **options), np.uint8)
        for _ in range(150):
            damaged = content.copy()
            places = random.integers(0, len(damaged), random.integers(1, 6))
            damaged[places] = random.integers(0, 256, len(places))
            try:
                outcomes.add(load_image(damaged.tobytes()[: random.integers(20, len(damaged) + 1)]).mode)
            except InputError as error:
                assert "\n" not in str(error)
                outcomes.add("refused")
    assert outcomes == {"RGB", "refused"}


def test_many_threads_at_once(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(saved(Image.fromarray(noise(80, 60)), "JPEG"))
    settings = ImageSettings(32, (32, 32), "bilinear", MEAN, STD)
    expected = encode_image(load_image(path), settings)
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            if not np.array_equal(encode_image(load_image(path), settings), expected):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_callers_image_is_left_alone() -> None:
    calls: list[Callable[[], Image.Image]] = [
        lambda: Image.fromarray(noise(8, 8)),
        lambda: Image.fromarray(noise(8, 8, 4)),
        lambda: Image.fromarray(noise(8, 8, 1)),
    ]
    for make in calls:
        image, mode = make(), make().mode
        encode_image(load_image(image), ImageSettings(4, (4, 4), "bilinear", MEAN, STD))
        assert image.mode == mode and np.array_equal(np.asarray(image), np.asarray(make()))


def test_odd_files_are_answered_without_a_word_on_stderr(tmp_path: Path) -> None:
    """Pillow warns of EXIF that ends too early, and of palettes with transparency that it cannot tell."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x09\0\x06\0\0\xff\xff\0\0"
    Image.new("RGB", (9, 9)).save(tmp_path / "a.jpg", exif=exif)
    Image.new("P", (9, 9)).save(tmp_path / "b.png", transparency=b"\x01\x02\x03")
    script = (
        "import sys; from pathlib import Path; from edgewright.runtime.images.decoding import load_image;"
        "[load_image(path) for path in sorted(Path(sys.argv[1]).iterdir())]"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
