"""Raw images to tensors: the only place in the project where an image is decoded, resized or normalised."""

import io
import math
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.structure import StructureError, from_plain

__all__ = [
    "IMAGE_SUFFIXES",
    "INTERPOLATIONS",
    "MAX_PIXELS",
    "ImageSettings",
    "encode_image",
    "image_files",
    "image_settings",
    "load_image",
]

MAX_PIXELS = 50_000_000
"""Images with more pixels than this are refused before they are decoded, unless the settings say otherwise.
"""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"})
"""Endings of file names, lower case, that a directory of images is searched for."""

INTERPOLATIONS: Mapping[str, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "nearest-exact": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Names of the resampling filters, as torchvision's `InterpolationMode` spells them."""

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


@dataclass(frozen=True)
class ImageSettings:
    """How an image becomes a tensor; it stands in the manifest as `processor`.

    `resize`: an int scales the shorter side to that many pixels, a pair is the exact (height, width), None
    leaves the image as it is. `crop`: (height, width) of the centre crop, padded with black where the image
    is smaller. Pixels are then scaled to 0..1, `mean` is subtracted and the rest divided by `std`, one number
    per channel (red, green, blue). Raises `ValueError` for settings that no image can meet.
    """

    resize: int | tuple[int, int] | None
    crop: tuple[int, int]
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        sides = [*self.crop]
        if isinstance(self.resize, int):
            sides.append(self.resize)
        elif self.resize is not None:
            sides.extend(self.resize)
        if any(side < 1 or side > 1 << 16 for side in sides):
            raise ValueError(f"resize {self.resize} and crop {self.crop} must lie between 1 and 65536 pixels")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"interpolation {self.interpolation!r} is not one of {', '.join(INTERPOLATIONS)}"
            )
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)) or 0 in self.std:
            raise ValueError(f"mean {self.mean} and std {self.std} must be finite, and std not zero")
        if self.max_pixels < 1:
            raise ValueError(f"max_pixels {self.max_pixels} must be positive")


def image_settings(processor: Mapping[str, Any]) -> ImageSettings:
    """The settings from a manifest's `processor`. Raises `BundleError` naming what is wrong."""
    try:
        return from_plain(ImageSettings, dict(processor), "processor")
    except (StructureError, ValueError) as error:
        raise BundleError(
            f"the image settings cannot be used: {error}: get a fresh copy of the bundle"
        ) from None


def image_files(directory: Path) -> list[Path]:
    """Every image file below `directory`, by the ending of its name, sorted. Raises `InputError` when there
    is none.
    """
    found = sorted(
        path for path in directory.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )
    if not found:
        raise InputError(
            f"no image in {directory}: give a folder with {', '.join(sorted(IMAGE_SUFFIXES))} files"
        )
    return found


def load_image(raw: Any, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one raw image to an upright RGB image.

    `raw` is the path of a JPEG, PNG, WebP, BMP or GIF file, the bytes of one, a PIL image, or an array of
    uint8 or uint16 shaped (height, width), (height, width, 1), (height, width, 3) or (height, width, 4). EXIF
    orientation is applied, alpha is composited on white, 16-bit values keep their high byte, animations give
    their first frame. Raises `InputError` naming the file, also for images of more than `max_pixels` pixels,
    which are never decoded.
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


def encode_image(image: Image.Image, settings: ImageSettings) -> NDArray[np.float32]:
    """An RGB image to the float32 tensor [3, height, width] that a graph takes.

    Equal to the last bit to what torchvision's `ImageClassification` preset makes of the same image.
    """
    if image.mode != "RGB":
        raise InputError(f"the image is in mode {image.mode}, not RGB: decode it with load_image first")
    height, width = _resized(image.height, image.width, settings)
    if (height, width) != (image.height, image.width):
        image = image.resize((width, height), INTERPOLATIONS[settings.interpolation])
    crop_height, crop_width = settings.crop
    if (height, width) != settings.crop:
        top, left = _offset(height, crop_height), _offset(width, crop_width)
        image = image.crop((left, top, left + crop_width, top + crop_height))  # black outside of the image
    pixels = np.asarray(image)
    tensor = np.empty((3, crop_height, crop_width), np.float32)
    # The order of operations is torchvision's, and in place: that is what makes the values equal and the code
    # fast.
    for channel, (mean, std) in enumerate(zip(settings.mean, settings.std, strict=True)):
        plane = tensor[channel]
        plane[...] = pixels[:, :, channel]
        plane /= np.float32(255)
        plane -= np.float32(mean)
        plane /= np.float32(std)
    return tensor


def _resized(height: int, width: int, settings: ImageSettings) -> tuple[int, int]:
    if settings.resize is None:
        return height, width
    if not isinstance(settings.resize, int):
        return settings.resize
    # torchvision truncates the longer side
    if width <= height:
        size = int(settings.resize * height / width), settings.resize
    else:
        size = settings.resize, int(settings.resize * width / height)
    if size[0] * size[1] > max(settings.max_pixels, settings.resize**2):
        raise InputError(
            f"an image of {width}x{height} pixels is too narrow to scale to a side of {settings.resize}: "
            "crop it first"
        )
    return size


def _offset(size: int, crop: int) -> int:
    # torchvision rounds the margin half to even when it crops, and pads the smaller half first
    return round((size - crop) / 2.0) if crop <= size else -((crop - size) // 2)


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
        grey = Image.fromarray((values >> 8).astype(np.uint8))
        grey.info = {key: value for key, value in image.info.items() if key != "transparency"}
        return grey.convert("RGB")
    if image.mode == "F":
        raise InputError(
            f"{name} has floating-point pixels, whose range is unknown: convert it to 8 bits per channel"
        )
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        flat = Image.alpha_composite(white, layer).convert("RGB")
        flat.info = {key: value for key, value in image.info.items() if key != "transparency"}
        return flat
    return image if image.mode == "RGB" else image.convert("RGB")


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
