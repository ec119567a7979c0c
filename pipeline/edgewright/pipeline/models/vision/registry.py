"""Which models of images there are: torchvision's classifiers, and timm's under `timm:NAME`.

The two libraries are imported where they are asked: that takes seconds, which nobody else need wait for.
"""

import contextlib
import fnmatch

import torch

from edgewright.pipeline.models.entry import ModelEntry
from edgewright.pipeline.recipe.family import families
from edgewright.runtime.errors import ModelError, RecipeError
from edgewright.runtime.hints import near_names

_COUNTED = 64
"""How many timm models at a time are built, without memory, to count their parameters."""


def vision_models(pattern: str | None = None) -> list[ModelEntry]:
    """The models of torchvision whose name matches, and with a pattern those of timm; see `list_models`."""
    from edgewright.pipeline.models.vision import timm_models, torchvision_models

    names = torchvision_models.model_names()
    if pattern is None:
        return [_torchvision_entry(name) for name in names]
    wanted = pattern.lower()
    glob = wanted if any(sign in wanted for sign in "*?[") else f"*{wanted}*"
    found = [_torchvision_entry(name) for name in names if fnmatch.fnmatchcase(name, glob)]
    others = [name for name in timm_models.model_names() if fnmatch.fnmatchcase(f"timm:{name}".lower(), glob)]
    if "timm" not in wanted and glob != f"*{wanted}*":
        others = [name for name in timm_models.model_names() if fnmatch.fnmatchcase(name.lower(), glob)]
    for name in others:
        with contextlib.suppress(ModelError):  # what cannot be carried is not listed
            found.append(_timm_entry(name, count=len(others) <= _COUNTED))
    return found


def find_model(name: str) -> ModelEntry:
    """The model of images of exactly this name. Raises `RecipeError` with near matches."""
    from edgewright.pipeline.models.vision import timm_models, torchvision_models

    if name in torchvision_models.model_names():
        return _torchvision_entry(name)
    prefix, separator, short = name.partition(":")
    architecture = short.partition(".")[0]
    if separator and prefix == "timm" and architecture in timm_models.model_names():
        tags = timm_models.weights_names(architecture)
        if short != architecture and short.partition(".")[2] not in tags:
            tag = short.partition(".")[2]
            choice = ", ".join(tags) or "none, without a tag"
            raise RecipeError(
                f"model: timm:{architecture} has no weights tagged {tag!r}: choose one of {choice}"
            )
        try:
            return _timm_entry(short, count=False)
        except ModelError as error:
            raise RecipeError(f"model: {error}") from None
    for family in families():
        reason = family.not_alone(name)
        if reason is not None:
            raise RecipeError(f"model: {reason}")
    near = _near(name)
    hint = f"did you mean {' or '.join(near)}?" if near else "see edgewright models for those there are"
    raise RecipeError(f"model: there is no model {name!r}: {hint}")


def _near(name: str) -> list[str]:
    from edgewright.pipeline.models.vision import timm_models, torchvision_models

    def plain(text: str) -> str:
        return "".join(letter for letter in text.lower() if letter.isalnum())

    wanted = plain(name.rpartition(":")[2])
    here = {
        plain(known): known
        for known in (
            *torchvision_models.model_names(),
            *(name for family in families() for name in family.models),
        )
    }
    there = {plain(known): f"timm:{known}" for known in timm_models.model_names()}
    candidates = {**there, **({} if name.startswith("timm:") else here)}
    matches = [candidates[wanted]] if wanted in candidates else []
    matches += [candidates[near] for near in near_names(wanted, candidates, cutoff=0.7)]
    return list(dict.fromkeys(matches))[:3]


def _torchvision_entry(name: str) -> ModelEntry:
    from edgewright.pipeline.models.vision import torchvision_models

    return ModelEntry(
        name=name,
        library="torchvision",
        parameters=torchvision_models.parameter_count(name),
        input_size=torchvision_models.default_size(name),
        licence=torchvision_models.licence(name),
        weights=torchvision_models.weights_names(name),
    )


def _timm_entry(name: str, count: bool) -> ModelEntry:
    """Raises `ModelError` for a model whose input devices cannot prepare."""
    from edgewright.pipeline.models.vision import timm_models

    size = timm_models.default_size(name)
    timm_models.settings(name, size)
    return ModelEntry(
        name=f"timm:{name}",
        library="timm",
        parameters=_count(name) if count else None,
        input_size=size,
        licence=timm_models.licence(name),
        weights=timm_models.weights_names(name),
    )


def _count(name: str) -> int | None:
    from edgewright.pipeline.models.vision import timm_models

    try:
        with torch.device("meta"):
            module = timm_models.construct(name, 1000, timm_models.default_size(name))
    except Exception:
        # a model that computes while it is built cannot be built without memory; its size stays unknown
        return None
    return sum(parameter.numel() for parameter in module.parameters())
