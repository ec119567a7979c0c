"""The files by which other tools know a model: config.json and what stands beside it, in Hugging Face's words."""

import re
from collections.abc import Mapping
from typing import Any

from edgewright.runtime.tasks.description import Description

_ARCHITECTURE = re.compile(r"(\w+?)(Model|For[A-Z]\w*|PreTrainedModel)")
"""A class of transformers: the architecture, and the head that it has."""


def hub_files(
    description: Description, model: str, config: Mapping[str, Any] | None = None
) -> dict[str, Mapping[str, Any]]:
    """File name to content. The manifest stays the only thing that edgewright itself reads.

    `config` is the config.json of the checkpoint that the model came from, which says more of it than the manifest.
    """
    kind = _of_checkpoint(config, description.head) if config else {"model_type": model.removeprefix("timm:")}
    return {"config.json": {**kind, **description.config}, **description.files}


def _of_checkpoint(config: Mapping[str, Any], head: str) -> dict[str, Any]:
    """What a checkpoint says of itself, with the class of transformers that has this head."""
    # Neither where the checkpoint lay on the workstation, nor by which release it was written.
    told = {key: value for key, value in config.items() if key[0] != "_" and key != "transformers_version"}
    known = _ARCHITECTURE.fullmatch((told.get("architectures") or [""])[0])
    if known is not None:
        told["architectures"] = [known[1] + head]
    return told
