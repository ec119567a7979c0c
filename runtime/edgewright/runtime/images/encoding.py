"""How an image becomes a tensor: the only place in the project where one is resized or normalised."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgewright.runtime.bundle.structure import StructureError, from_plain
from edgewright.runtime.errors import BundleError, InputError
from edgewright.runtime.images.decoding import MAX_PIXELS

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

MOST_ENCODED = 1 << 24
"""Pixels that a graph may be given of one image: 200 MB of float32, far beyond what any of them takes."""

MOST_DECODED = 1 << 29
"""The largest limit of pixels that settings may have."""


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
        exact = self.resize if isinstance(self.resize, tuple) else (self.resize or 1,) * 2
        if max(math.prod(exact), math.prod(self.crop)) > MOST_ENCODED:
            raise ValueError(
                f"resize {self.resize} and crop {self.crop} must make images of at most {MOST_ENCODED} pixels"
            )
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"interpolation {self.interpolation!r} is not one of {', '.join(INTERPOLATIONS)}"
            )
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)) or min(self.std) <= 0:
            raise ValueError(f"mean {self.mean} and std {self.std} must be finite, and std above 0")
        if not 1 <= self.max_pixels <= MOST_DECODED:
            raise ValueError(f"max_pixels {self.max_pixels} must be positive, and at most {MOST_DECODED}")


def image_settings(processor: Mapping[str, Any]) -> ImageSettings:
    """The settings from a manifest's `processor`. Raises `BundleError` naming what is wrong."""
    try:
        return from_plain(ImageSettings, dict(processor), "processor")
    except (StructureError, ValueError) as error:
        raise BundleError(
            f"the image settings cannot be used: {error}: get a fresh copy of the bundle"
        ) from None


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
