"""Which ways to compute attention a configuration may name: those that are part of transformers, and no others.

Any other name is a repository of kernels to transformers, whose code it fetches and runs, whatever is said of remote
code. The ones of transformers give the same answers, so none of them decides anything here: every model is built with
transformers' own choice for its architecture.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgewright.runtime.errors import ModelError

_KNOWN = frozenset(
    {"eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3", "flash_attention_4"}
)
_FILES = ("config.json", "generation_config.json")
_FOREIGN = ("quantization_config", "kernel_config", "use_kernels", "use_hub_kernels")
"""Further keys by which a configuration asks for kernels."""


def check_attention_names(name: str, folder: Path) -> None:
    """Look at the configurations in `folder` before transformers does. Raises `ModelError` where one asks for code."""
    for file in _FILES:
        try:
            document = json.loads((folder / file).read_bytes())
        except (OSError, ValueError, RecursionError):  # what is wrong with it is said by who needs it
            continue
        check_attention(f"model: {name}: {file}", document)


def check_attention(where: str, document: Any) -> None:
    """Raise `ModelError` where a configuration, or one inside of it, asks for code that is not part of transformers."""
    for key, value in _entries(document):
        named = key.strip("_").removesuffix("_internal")
        if named.endswith(("attn_implementation", "attention_implementation", "experts_implementation")):
            for one in _values(value):
                if one is not None and one not in _KNOWN:
                    raise ModelError(
                        f"{where} names {one!r} as {key}, whose code would be fetched: "
                        f"set it to one of {', '.join(sorted(_KNOWN)[:2])}, or remove it"
                    )
        elif key in _FOREIGN and value:
            raise ModelError(
                f"{where} has {key}, which needs code that is not part of transformers: "
                "get the checkpoint in float32 or float16"
            )


def with_own_attention(config: Any) -> Any:
    """`config`, changed in place: transformers chooses how it and those inside of it compute attention."""
    config._attn_implementation = None
    config._experts_implementation = None
    return config


def _entries(document: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    waiting = [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            for key, value in one.items():
                yield str(key), value
                waiting.append(value)
        elif isinstance(one, list):
            waiting += one


def _values(value: Any) -> Iterator[Any]:
    """The names that stand under a key: one, or one for each part of a model."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _values(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner)
    else:
        yield value
