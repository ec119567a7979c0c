"""The files by which other tools know a model: config.json and preprocessor_config.json, in Hugging Face's
words.
"""

from collections.abc import Callable, Mapping
from typing import Any

from edgewright.runtime.images import INTERPOLATIONS, image_settings
from edgewright.runtime.manifest import Manifest

__all__ = ["hub_files"]


def hub_files(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """File name to content, all of it derived from the manifest, which stays the only thing edgewright itself
    reads.
    """
    describe = _DESCRIBE.get(manifest.task)
    return describe(manifest) if describe is not None else {}


def _image_classification(manifest: Manifest) -> dict[str, dict[str, Any]]:
    settings = image_settings(manifest.processor)
    resize = settings.resize
    if resize is None:
        size: Mapping[str, int] = {"height": settings.crop[0], "width": settings.crop[1]}
    elif isinstance(resize, int):
        size = {"shortest_edge": resize}
    else:
        size = {"height": resize[0], "width": resize[1]}
    return {
        "config.json": {
            "model_type": manifest.model.removeprefix("timm:"),
            "architectures": ["ImageClassification"],
            "id2label": {str(index): label for index, label in enumerate(manifest.labels)},
            "label2id": {label: index for index, label in enumerate(manifest.labels)},
            "num_labels": len(manifest.labels),
            "problem_type": "single_label_classification",
        },
        "preprocessor_config.json": {
            "image_processor_type": "CLIPImageProcessor",  # its steps are these: resize, crop, scale, normalise
            "do_convert_rgb": True,
            "do_resize": resize is not None,
            "size": dict(size),
            "resample": int(INTERPOLATIONS[settings.interpolation]),
            "do_center_crop": True,
            "crop_size": {"height": settings.crop[0], "width": settings.crop[1]},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(settings.mean),
            "image_std": list(settings.std),
        },
    }


_DESCRIBE: Mapping[str, Callable[[Manifest], dict[str, dict[str, Any]]]] = {
    "image-classification": _image_classification,
}
