"""Image classification on the device: an image in, every class with its probability out."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgewright.runtime.contracts import MODEL, GraphSpec, Tensors, TensorSpec
from edgewright.runtime.images.decoding import IMAGE_SUFFIXES, load_image
from edgewright.runtime.images.encoding import (
    INTERPOLATIONS,
    ImageSettings,
    encode_image,
    image_settings,
)
from edgewright.runtime.tasks.description import Description, ModelFacts, classifier_config, label_sentence
from edgewright.runtime.tasks.labels import Classifier, label_names

INPUT = "pixel_values"

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif"}


class ImageClassification(Classifier):
    """The device half of image classification; `processor` holds `ImageSettings` as plain values."""

    name = "image-classification"
    noun = "image"
    suffixes = IMAGE_SUFFIXES

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        self.settings: ImageSettings = image_settings(processor)
        self.labels = label_names(labels, "image classifier")
        image = TensorSpec(INPUT, "float32", ("batch", 3, *self.settings.crop))
        self.signatures = {MODEL: GraphSpec((image,), self.outputs("batch"))}

    def describe(self, model: ModelFacts) -> Description:
        """Its labels, and the preprocessing in the words of transformers."""
        height, width = self.settings.crop
        return Description(
            tag=self.name,
            reads=f"{height} x {width} pixels",
            answers=label_sentence(self.labels),
            example='"photo.jpg"',
            config={**classifier_config(self.labels), "image_size": max(height, width), "num_channels": 3},
            head="ForImageClassification",
            files={"preprocessor_config.json": self._image_processor()},
        )

    def _image_processor(self) -> dict[str, Any]:
        settings, (height, width) = self.settings, self.settings.crop
        size: dict[str, int] = {"height": height, "width": width}
        if isinstance(settings.resize, int):
            size = {"shortest_edge": settings.resize}
        elif settings.resize is not None:
            size = {"height": settings.resize[0], "width": settings.resize[1]}
        return {
            "image_processor_type": "CLIPImageProcessor",  # its steps are these: resize, crop, scale, normalise
            "do_convert_rgb": True,
            "do_resize": settings.resize is not None,
            "size": size,
            "resample": int(INTERPOLATIONS[settings.interpolation]),
            "do_center_crop": True,
            "crop_size": {"height": height, "width": width},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(settings.mean),
            "image_std": list(settings.std),
        }

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        """The raw input as the bytes of a file: unchanged where it is one, else losslessly as PNG."""
        if isinstance(raw, (str, Path)):
            content = Path(raw).read_bytes()
        elif isinstance(raw, bytes):
            content = raw
        else:
            image = raw if isinstance(raw, Image.Image) else Image.fromarray(_plane(np.asarray(raw)))
            buffer = BytesIO()
            image.save(buffer, format="PNG")
            content = buffer.getvalue()
        with Image.open(BytesIO(content)) as opened:
            return content, _SUFFIXES.get(opened.format or "", ".bin")

    def load(self, raw: Any) -> Image.Image:
        """The first half of `encode`: decode to an upright RGB image. Training augments between the two
        halves.
        """
        return load_image(raw, self.settings.max_pixels)

    def encode_loaded(self, image: Image.Image) -> Tensors:
        """The second half of `encode`: an RGB image to a float32 tensor [3, height, width]."""
        return {INPUT: encode_image(image, self.settings)}

    def encode(self, raw: Any) -> Tensors:
        """One raw image to a float32 tensor [3, height, width], without a batch axis. Raises `InputError`."""
        return self.encode_loaded(self.load(raw))


def _plane(value: NDArray[Any]) -> NDArray[Any]:
    return value[..., 0] if value.ndim == 3 and value.shape[2] == 1 else value
