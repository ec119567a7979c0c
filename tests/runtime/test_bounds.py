"""Small inputs do not take much memory: what results is bounded before anything is made of it."""

import dataclasses
import io
import resource
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.errors import BundleError, EdgewrightError, InputError
from edgewright.runtime.images.decoding import load_image
from edgewright.runtime.images.encoding import ImageSettings, image_settings
from edgewright.runtime.series.settings import ForecastSettings
from edgewright.runtime.sound import decoding, mel
from edgewright.runtime.sound.decoding import load_audio
from edgewright.runtime.sound.mel import AudioSettings, log_mel
from edgewright.runtime.sound.resampling import resample_audio
from edgewright.runtime.tables.reading import read_table
from edgewright.runtime.text.encoding import EncoderTokenizer
from edgewright.runtime.text.settings import EncoderTextSettings
from tests.messages import refused
from tests.runtime.as_another import in_a_child
from tests.runtime.text.encoder_tokenizers import family

MIB = 1 << 20
SOUND = AudioSettings(8000, 200, 80, 256, 20, 0.0, 4000.0, (0.0,) * 20, (1.0,) * 20)


def takes(work: Callable[[], Any], megabytes: int) -> bool:
    """Whether `work` needs no more address space than so much more than there is in use."""

    def limited() -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * MIB,) * 2)
        work()

    return in_a_child(limited) == 0


linux = pytest.mark.skipif(sys.platform != "linux", reason="a limit of address space is known from Linux")


# --- images ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"resize": [65536, 65536]}, {"resize": [1, 65536], "crop": [65536, 65536]}, {"resize": 65536},
        {"crop": [4097, 4097]}, {"resize": [8192, 4096]}, {"max_pixels": 10**12}, {"resize": 1 << 40},
    ],
)  # fmt: skip
def test_settings_of_images_beyond_every_graph(change: dict[str, Any]) -> None:
    plain = to_plain(ImageSettings(8, (8, 8), "bilinear", (0.5,) * 3, (0.5,) * 3))
    with refused(BundleError):
        image_settings({**plain, **change})


def test_the_largest_image_that_a_graph_may_take() -> None:
    settings = ImageSettings((4096, 4096), (4096, 4096), "bilinear", (0.5,) * 3, (0.5,) * 3)
    assert settings.crop == (4096, 4096)


def png(width: int, height: int, kind: int = 0, depth: int = 8) -> bytes:
    """A PNG of zeros: of grey (0), grey with alpha (4) or RGBA (6)."""
    channels = {0: 1, 4: 2, 6: 4}[kind]

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    deflate, packed = zlib.compressobj(9), b""
    line = bytes(1 + width * channels * depth // 8)
    block = max(1, (1 << 20) // len(line))
    for top in range(0, height, block):
        packed += deflate.compress(line * min(block, height - top))
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", packed + deflate.flush())
        + chunk(b"IEND", b"")
    )


def bmp(width: int, height: int) -> bytes:
    """The head of a BMP file of 24 bits a pixel."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def webp(width: int, height: int) -> bytes:
    """The head of a WebP file that says how large its canvas is."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif(width: int, height: int) -> bytes:
    """A GIF of a small screen and one frame of this size."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    return head + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"


@linux
@pytest.mark.parametrize(
    "content",
    [
        png(1, 49_999_999), png(70_000, 3), png(65_537, 1, 6), bmp(1, 40_000_000), bmp(200_000, 200),
        gif(65_535, 65_535), webp(16_384, 16_384),
    ],
    ids=["column", "row", "row with alpha", "BMP column", "BMP row", "GIF frame", "WebP canvas"],
)  # fmt: skip
def test_images_that_would_take_a_gigabyte(content: bytes) -> None:
    def look() -> None:
        with pytest.raises(InputError):
            load_image(content)

    assert len(content) < 200_000 and takes(look, 64)


@linux
@pytest.mark.parametrize(("kind", "depth"), [(0, 8), (0, 16), (4, 8), (6, 8)])
def test_what_is_decoded_takes_a_few_copies(kind: int, depth: int) -> None:
    content = png(6000, 5000, kind, depth)  # 115 MiB as Pillow keeps it

    def look() -> None:
        assert load_image(content).size == (6000, 5000)

    assert takes(look, 400)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16"])
def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    random = np.random.default_rng(0)
    if mode == "I;16":
        image = Image.fromarray(random.integers(0, 65536, (37, 23), dtype=np.uint16))
    else:
        image = Image.fromarray(random.integers(0, 256, (37, 23, 4), dtype=np.uint8)).convert(mode)
        if mode == "P":
            image.info["transparency"] = 3
    file = io.BytesIO()
    image.save(file, "PNG")
    whole = np.asarray(load_image(file.getvalue()))
    for strip in (1, 24, 100, 23 * 36):
        monkeypatch.setattr("edgewright.runtime.images.decoding._STRIP", strip)
        np.testing.assert_array_equal(np.asarray(load_image(file.getvalue())), whole)


# --- sound ----------------------------------------------------------------------------------------------------


def settings_of_sound(**changes: Any) -> AudioSettings:
    return dataclasses.replace(SOUND, **changes)


@pytest.mark.parametrize(("fft", "mels"), [(1 << 20, 1 << 19), (1 << 16, 1000), (1 << 14, 4096)])
def test_bands_beyond_every_memory(fft: int, mels: int) -> None:
    with pytest.raises(ValueError, match="weights"):
        settings_of_sound(fft=fft, mels=mels, mean=(0.0,) * mels, std=(1.0,) * mels)


def test_frames_beyond_every_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mel, "_MOST_NUMBERS", 100_000)
    with refused(InputError):
        log_mel(np.zeros(20_000, np.float32), settings_of_sound(hop=1))


@linux
def test_long_frames_are_transformed_in_blocks() -> None:
    settings = settings_of_sound(fft=1 << 17, hop=64)
    samples = np.random.default_rng(0).normal(size=(1 << 17) + 64 * 300).astype(np.float32)
    assert takes(lambda: log_mel(samples, settings), 250)
    assert log_mel(samples[: (1 << 17) + 64 * 3], settings).shape == (4, 20)


@pytest.mark.parametrize("form", ["FLAC", "WAV"])
def test_silence_that_stands_for_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(decoding, "MOST_SAMPLES", 100_000)
    path = tmp_path / f"silence.{form.lower()}"
    for channels, seconds in ((1, 13), (2, 7)):
        soundfile.write(path, np.zeros((8000 * seconds, channels), np.int16), 8000, format=form)
        with refused(InputError):
            load_audio(path, SOUND)
    soundfile.write(path, np.zeros(50_000, np.int16), 3000, format=form)
    with refused(InputError):
        load_audio(path, SOUND)


@linux
@pytest.mark.parametrize(("rate", "wanted"), [(999_983, 16_000), (44_101, 999_983), (15_013, 192_001)])
def test_rates_without_a_common_factor(rate: int, wanted: int) -> None:
    samples = np.sin(np.arange(2000) * 0.01).astype(np.float32)
    assert takes(lambda: resample_audio(samples, rate, wanted), 200)


@pytest.mark.parametrize(("rate", "wanted"), [(100, 16_000), (440, 48_000)])
def test_a_rate_that_holds_nothing_of_the_sound(rate: int, wanted: int) -> None:
    with refused(InputError):
        load_audio((np.zeros(100, np.float32), rate), settings_of_sound(sample_rate=wanted))


def test_the_filters_are_the_same_however_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    kept = [resample_audio(samples, *rates) for rates in ((44_100, 16_000), (8000, 11_025), (16_000, 8000))]
    monkeypatch.setattr("edgewright.runtime.sound.resampling._LARGEST_BANK", 0)
    made = [resample_audio(samples, *rates) for rates in ((44_100, 16_000), (8000, 11_025), (16_000, 8000))]
    for one, other in zip(kept, made, strict=True):
        np.testing.assert_array_equal(one, other)


# --- series, tables, texts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["horizon", "season", "context"])
@pytest.mark.parametrize("value", [0, (1 << 20) + 1, 1 << 60])
def test_forecasts_beyond_every_series(name: str, value: int) -> None:
    changes: Any = {name: value}
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(ForecastSettings(1, context=1 << 20), **changes)


@pytest.mark.parametrize("tokens", [0, (1 << 31) + 1, 1 << 62])
def test_texts_beyond_every_model(tokens: int) -> None:
    with pytest.raises(ValueError, match="max_tokens"):
        EncoderTextSettings(tokens)


def test_windows_that_move_by_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.runtime.text.encoding.MOST_WINDOW_TOKENS", 10_000)
    settings = EncoderTextSettings(100, "stride", stride=97)
    encoder = EncoderTokenizer(family("bert")[1], settings)
    text = "a word " * 150
    with refused(InputError):
        encoder.sample(encoder.tokens([text]), [text])
    short = "a word " * 60
    assert len(encoder.sample(encoder.tokens([short]), [short])["windows"]) > 1


def zeros(path: Path, megabytes: int) -> None:
    np.savez_compressed(path, value=np.zeros(megabytes << 17))


def many_small_ones(path: Path, megabytes: int) -> None:
    columns: dict[str, Any] = {f"column_{place}": np.zeros(1 << 17) for place in range(megabytes)}
    np.savez_compressed(path, **columns)


@linux
@pytest.mark.parametrize("write", [zeros, many_small_ones])
def test_an_archive_that_unfolds(tmp_path: Path, write: Callable[[Path, int], None]) -> None:
    path = tmp_path / "bomb.npz"
    write(path, 300)

    def look() -> None:
        with pytest.raises(InputError, match="would become 300 MiB"):
            read_table(path)

    assert path.stat().st_size < MIB and takes(look, 64)
    write(path, 3)
    assert read_table(path).columns


@linux
@pytest.mark.parametrize("shape", [(10**12,), (1 << 20, 1 << 20)])
def test_an_array_that_is_said_to_be_large(tmp_path: Path, shape: tuple[int, ...]) -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    path = tmp_path / "lie.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("value.npy", file.getvalue() + bytes(80))

    def look() -> None:
        with pytest.raises(InputError, match="ends before its array does"):
            read_table(path)

    assert takes(look, 64)


@linux
def test_a_column_of_one_value(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(40_000_000, np.int8)), pa.array([1.5]))
    pq.write_table(pa.table({"a": column}), path, compression="zstd")

    def look() -> None:
        with pytest.raises(InputError, match="would become 305 MiB"):
            read_table(path)

    assert path.stat().st_size < 200_000 and takes(look, 200)


def test_an_error_is_one_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "broken.npz"
    np.savez_compressed(path, value=np.arange(10_000))
    content = bytearray(path.read_bytes())
    for place in range(200, len(content) - 200, 97):
        broken = bytearray(content)
        broken[place] ^= 0xFF
        path.write_bytes(broken)
        try:
            read_table(path)
        except EdgewrightError as error:
            assert "\n" not in str(error)
