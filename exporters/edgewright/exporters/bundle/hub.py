"""The files by which other tools know a model: config.json and what stands beside it, in Hugging Face's words."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.images.encoding import INTERPOLATIONS, image_settings
from edgewright.runtime.text.settings import ZeroShotSettings, encoder_settings, is_encoder


def hub_files(
    manifest: Manifest, config: Mapping[str, Any] | None = None, tokenizer: bytes | None = None
) -> dict[str, dict[str, Any]]:
    """File name to content. The manifest stays the only thing that edgewright itself reads.

    `config` is the config.json of a checkpoint, which says more of an encoder than the manifest does; `tokenizer` is
    the content of the tokenizer.json, an asset of its task, which lies there already.
    """
    if manifest.task in _ENCODERS and is_encoder(manifest.processor):
        return _encoder(manifest, config or {"model_type": manifest.model}, tokenizer)
    describe = _DESCRIBE.get(manifest.task)
    return describe(manifest) if describe is not None else {}


def _classifier(manifest: Manifest, architecture: str) -> dict[str, Any]:
    return {
        "model_type": manifest.model.removeprefix("timm:"),
        "architectures": [architecture],
        "id2label": {str(index): label for index, label in enumerate(manifest.labels)},
        "label2id": {label: index for index, label in enumerate(manifest.labels)},
        "num_labels": len(manifest.labels),
        "problem_type": "single_label_classification",
    }


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
        "config.json": _classifier(manifest, "ImageClassification"),
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


def _sequence_classification(manifest: Manifest) -> dict[str, dict[str, Any]]:
    features = list(manifest.processor["features"])
    config = _classifier(manifest, "SequenceClassification")
    return {"config.json": {**config, "input_size": len(features), "features": features}}


def _sequence_regression(manifest: Manifest) -> dict[str, dict[str, Any]]:
    return {"config.json": {**_numbers(manifest, "SequenceRegression"), "problem_type": "regression"}}


def _forecasting(manifest: Manifest) -> dict[str, dict[str, Any]]:
    forecast = manifest.processor["forecast"]
    return {
        "config.json": {
            **_numbers(manifest, "TimeSeriesForecasting"),
            "prediction_length": forecast["horizon"],
            "context_length": forecast["context"],
        }
    }


def _numbers(manifest: Manifest, architecture: str) -> dict[str, Any]:
    features, targets = list(manifest.processor["features"]), list(manifest.processor["targets"])
    return {
        "model_type": manifest.model,
        "architectures": [architecture],
        "input_size": len(features),
        "features": features,
        "targets": targets,
    }


def _text_classification(manifest: Manifest) -> dict[str, dict[str, Any]]:
    longest = manifest.processor["max_tokens"]
    return {
        "config.json": {**_classifier(manifest, "TextClassification"), "max_position_embeddings": longest},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": longest,
            "clean_up_tokenization_spaces": False,
        },
    }


_ENCODERS = {
    "text-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "question-answering": "ForQuestionAnswering",
    "zero-shot-classification": "ForSequenceClassification",
    "sentence-embedding": "Model",
}
"""Task to what follows the name of the architecture where transformers names a model for it."""

_LABELLED = ("text-classification", "token-classification")
"""Tasks whose labels are the places of the logits."""


def _encoder(
    manifest: Manifest, config: Mapping[str, Any], tokenizer: bytes | None
) -> dict[str, dict[str, Any]]:
    settings = encoder_settings(manifest.processor)
    # Neither where the checkpoint lay on the workstation, nor by which release it was written.
    told = {key: value for key, value in config.items() if key[0] != "_" and key != "transformers_version"}
    kind = _ENCODERS[manifest.task]
    if settings.zero_shot is not None and settings.zero_shot.by != "nli":
        kind = "Model"
    family = re.match(r"(\w+?)(Model|For[A-Z]\w*|PreTrainedModel)$", (told.get("architectures") or [""])[0])
    if family is not None:
        told["architectures"] = [family[1] + kind]
    names = manifest.labels if manifest.task in _LABELLED else _inference(settings.zero_shot, told)
    if names:
        told["id2label"] = {str(index): label for index, label in enumerate(names)}
        told["label2id"] = {label: index for index, label in enumerate(names)}
    if manifest.task == "text-classification":
        several = "multi_label_classification"
        told["problem_type"] = several if settings.multi_label else "single_label_classification"
    reading: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": settings.max_tokens,
        "clean_up_tokenization_spaces": False,
        "model_input_names": list(settings.inputs),
        "truncation_side": settings.truncation_side,
    }
    padding = None if tokenizer is None else _token(tokenizer, settings.pad_id)
    if padding is not None:
        reading["pad_token"] = padding
    return {"config.json": told, "tokenizer_config.json": reading}


def _inference(way: ZeroShotSettings | None, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names for the outputs of an NLI model where those of its config.json are not in the order of the head, which a
    run may have left; nothing where they are.
    """
    if way is None or way.by != "nli":
        return ()
    own = {int(place): str(name).lower() for place, name in (config.get("id2label") or {}).items()}
    said = own.get(way.entailment, "")
    if "entail" in said and re.search(r"(^|[^a-z])(not|non|no)[^a-z]*entail", said) is None:
        return ()
    places = {way.entailment: "entailment"}
    if way.contradiction is not None:
        places[way.contradiction] = "contradiction"
    count = max(len(own), max(places) + 1)
    rest = "neutral" if count - len(places) == 1 else "LABEL_{}"
    return tuple(places.get(index, rest.format(index)) for index in range(count))


def _token(tokenizer: bytes, index: int) -> str | None:
    """The token of this number."""
    from tokenizers import Tokenizer

    token: str | None = Tokenizer.from_str(tokenizer.decode("utf-8")).id_to_token(index)
    return token


def _audio_classification(manifest: Manifest) -> dict[str, dict[str, Any]]:
    settings = manifest.processor
    return {
        "config.json": {
            **_classifier(manifest, "AudioClassification"),
            "sampling_rate": settings["sample_rate"],
            "num_mel_bins": settings["mels"],
        }
    }


_DESCRIBE: Mapping[str, Callable[[Manifest], dict[str, dict[str, Any]]]] = {
    "image-classification": _image_classification,
    "sequence-classification": _sequence_classification,
    "sequence-regression": _sequence_regression,
    "forecasting": _forecasting,
    "text-classification": _text_classification,
    "audio-classification": _audio_classification,
}
