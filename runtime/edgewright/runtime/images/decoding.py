"""Files, bytes and arrays to upright RGB images: the only place in the project where an image is decoded."""

import io
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgewright.runtime.errors import InputError

# What Pillow remarks about odd files belongs on nobody's stderr: a picture is answered or refused.
warnings.filterwarnings("ignore", module=r"PIL\b")

MAX_PIXELS = 50_000_000
"""Images with more pixels than this are refused before they are decoded, unless the settings say otherwise.
"""

MOST_SIDE = 1 << 16
"""Pixels of a side: of an image of one column, the table of its rows alone would take more memory than its pixels."""

_STRIP = 1 << 22
"""Pixels of which copies are made at once."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"})
"""Endings of file names, lower case, that a directory of images is searched for."""

_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_image(raw: Any, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one raw image to an upright RGB image.

    `raw` is the path of a JPEG, PNG, WebP, BMP or GIF file, the bytes of one, a PIL image, or an array of
    uint8 or uint16 shaped (height, width), (height, width, 1), (height, width, 3) or (height, width, 4). EXIF
    orientation is applied, alpha is composited on white, 16-bit values keep their high byte, animations give
    their first frame. Raises `InputError` naming the file, also for images of more than `max_pixels` pixels, or more
    than `MOST_SIDE` on a side, which are never decoded.
    """
    if isinstance(raw, (str, Path)):
        path = Path(raw)
        with _open_file(path) as file:
            return _from_file(file, str(path), max_pixels)
    if isinstance(raw, (bytes, bytearray, memoryview)):
        return _from_file(io.BytesIO(raw), f"the image given as {len(raw)} bytes", max_pixels)
    if isinstance(raw, Image.Image):
        return _finish(raw, "the image given", max_pixels)
    if isinstance(raw, np.ndarray):
        return _from_array(raw, max_pixels)
    raise InputError(
        f"cannot read an image from {type(raw).__name__}: give a path, bytes, a PIL image or a uint8 array"
    )


def _open_file(path: Path) -> BinaryIO:
    try:
        # Opening a pipe would wait forever, so look before opening.
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path} is a folder: give an image file")
        if not stat.S_ISREG(mode):
            raise InputError(f"{path} is not a regular file: give an image file")
        return path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): check the path"
        ) from None


def _opener(head: bytes) -> Callable[[BinaryIO], Image.Image] | None:
    # Chosen here by the first bytes instead of by Image.open: that one would load every plugin it has for a
    # file it does not know, and warns on stderr about large images by a limit of its own.
    if head.startswith(b"\xff\xd8\xff"):
        from PIL.JpegImagePlugin import JpegImageFile

        return JpegImageFile
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        from PIL.WebPImagePlugin import WebPImageFile

        return WebPImageFile
    if head.startswith(b"BM"):
        from PIL.BmpImagePlugin import BmpImageFile

        return BmpImageFile
    if head.startswith((b"GIF87a", b"GIF89a")):
        from PIL.GifImagePlugin import GifImageFile

        return GifImageFile
    return None


def _from_file(file: BinaryIO, name: str, max_pixels: int) -> Image.Image:
    try:
        head = file.read(16)
        file.seek(0)
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror or error}): check the disk") from None
    if not head:
        raise InputError(f"{name} is empty: give an image file")
    opener = _opener(head)
    if opener is None:
        raise InputError(f"{name} is not a JPEG, PNG, WebP, BMP or GIF image: convert it to one of these")
    try:
        image = opener(file)
    except Image.DecompressionBombError:  # where the plugin must look for itself before it makes room
        raise InputError(
            f"{name} has more pixels than the limit of {max_pixels}: scale it down first"
        ) from None
    except Exception as error:  # a hostile file can make a decoder raise anything
        raise _broken(name, error) from None
    return _finish(image, name, max_pixels)


def _broken(name: str, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{name} is damaged and cannot be decoded ({reason}): replace the file")


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise InputError(f"{name} has no pixels ({width}x{height}): give another image")
    if max(width, height) > MOST_SIDE:
        raise InputError(f"{name} has {width}x{height} pixels, a side may have {MOST_SIDE}: crop it first")
    if width * height > max_pixels:
        raise InputError(
            f"{name} has {width}x{height} pixels, the limit is {max_pixels}: scale it down first"
        )


def _finish(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    _check_size(image.width, image.height, name, max_pixels)
    try:
        image.load()
        orientation = _orientation(image)
        image = _to_rgb(image, name)
        if orientation in _ORIENTATIONS:
            image = image.transpose(_ORIENTATIONS[orientation])
            for key in ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"):
                image.info.pop(key, None)  # it is upright now: loading it again must not turn it again
    except InputError:
        raise
    except Exception as error:  # as above
        raise _broken(name, error) from None
    return image


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # unreadable EXIF is common, and the picture is still good
        return 1
    return value if isinstance(value, int) else 1


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(f"{name} has 32-bit pixels: convert it to 8 or 16 bits per channel")
        grey = Image.fromarray(_high_bytes(values))
        grey.info = {key: value for key, value in image.info.items() if key != "transparency"}
        return grey.convert("RGB")
    if image.mode == "F":
        raise InputError(
            f"{name} has floating-point pixels, whose range is unknown: convert it to 8 bits per channel"
        )
    if image.has_transparency_data:
        flat = _on_white(image)
        flat.info = {key: value for key, value in image.info.items() if key != "transparency"}
        return flat
    return image if image.mode == "RGB" else image.convert("RGB")


def _high_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 of 16-bit values [height, width], some rows at a time."""
    made = np.empty(values.shape, np.uint8)
    rows = max(1, _STRIP // values.shape[1])
    for top in range(0, len(values), rows):
        made[top : top + rows] = values[top : top + rows] >> 8
    return made


def _on_white(image: Image.Image) -> Image.Image:
    """The image without its transparency, on white. In strips, for each takes several copies of its own."""
    flat = Image.new("RGB", image.size)
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        if "transparency" in image.info:
            strip.info["transparency"] = image.info["transparency"]
        layer = strip.convert("RGBA")
        flat.paste(
            Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB"), (0, top)
        )
    return flat


def _from_array(array: NDArray[Any], max_pixels: int) -> Image.Image:
    shape = "x".join(map(str, array.shape))
    if array.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"the image array is {array.dtype}: give uint8 or uint16; ready tensors go to Engine.infer"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InputError(
            f"the image array is {shape}: give height x width, or height x width x 1, 3 or 4 channels"
        )
    _check_size(array.shape[1], array.shape[0], f"the image array ({shape})", max_pixels)
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return _to_rgb(Image.fromarray(np.ascontiguousarray(array)), "the image array")
