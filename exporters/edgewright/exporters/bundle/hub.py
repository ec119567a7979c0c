"""The files by which other tools know a model: config.json and what stands beside it, in Hugging Face's words."""

import re
from collections.abc import Mapping
from typing import Any

from edgewright.exporters.bundle.origin import UNKNOWN, Origin
from edgewright.runtime.tasks.description import Description

_ARCHITECTURE = re.compile(r"(\w+?)(Model|For[A-Z]\w*|PreTrainedModel)")
"""A class of transformers: the architecture, and the head that it has."""


def hub_files(
    description: Description, model: str, config: Mapping[str, Any] | None = None, origin: Origin = UNKNOWN
) -> dict[str, Any]:
    """File name to content, plain JSON. The manifest stays the only thing that edgewright itself reads.

    `config` is the config.json of the checkpoint that the model came from, which says more of it than the manifest.
    """
    head = description.head
    if config:
        kind = _of_checkpoint(config, head)
    else:
        kind = {"model_type": origin.model_type or model.removeprefix("timm:")}
        if origin.classes:
            kind["architectures"] = [origin.classes + head]
    return {"config.json": {**kind, **description.config}, **description.files}


def _of_checkpoint(config: Mapping[str, Any], head: str) -> dict[str, Any]:
    """What a checkpoint says of itself, with the class of transformers that has this head."""
    # Neither where the checkpoint lay on the workstation, nor by which release it was written.
    told = {key: value for key, value in config.items() if key[0] != "_" and key != "transformers_version"}
    given = told.get("architectures")
    first = given[0] if isinstance(given, list) and given else ""
    known = _ARCHITECTURE.fullmatch(first) if isinstance(first, str) else None
    if known is not None:
        told["architectures"] = [known[1] + head]
    return told
