"""Random changes to a picture before it is encoded. Every draw comes from the generator that is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Strength:
    """How far a picture may be changed.

    `area` is the smallest share of the picture a crop keeps, `aspect` the largest factor by which the crop's
    aspect ratio may differ from the picture's, `light` the largest relative change of brightness, contrast
    and saturation.
    """

    area: float
    aspect: float
    light: float
    flip: bool = True


STRENGTHS = {
    "light": Strength(area=0.8, aspect=1.1, light=0.1),
    "standard": Strength(area=0.35, aspect=4 / 3, light=0.4),
}


def augment_image(image: Any, strength: Strength, generator: np.random.Generator) -> Any:
    """A randomly cropped, mirrored and re-lit copy of the PIL image `image` (RGB); the same draws, the same
    pixels.
    """
    from torchvision.transforms.v2 import functional

    image = functional.crop(image, *_crop_box(image.width, image.height, strength, generator))
    if strength.flip and generator.random() < 0.5:
        image = functional.horizontal_flip(image)
    relight: tuple[Callable[[Any, float], Any], ...] = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
    )
    for adjust in relight:
        image = adjust(image, float(generator.uniform(1 - strength.light, 1 + strength.light)))
    return image


def _crop_box(
    width: int, height: int, strength: Strength, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random crop inside the picture."""
    area = generator.uniform(strength.area, 1.0)
    stretch = np.exp(generator.uniform(-np.log(strength.aspect), np.log(strength.aspect)))
    crop_width = min(width, max(1, round(width * np.sqrt(area * stretch))))
    crop_height = min(height, max(1, round(height * np.sqrt(area / stretch))))
    top = int(generator.integers(0, height - crop_height + 1))
    left = int(generator.integers(0, width - crop_width + 1))
    return top, left, crop_height, crop_width
