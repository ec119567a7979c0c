"""The page of the bundle's format, from the dataclasses of its manifest and the registry of precisions."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, get_type_hints

from docs.generator.markdown import GENERATED, prose, table
from docs.generator.processing import sections
from docs.generator.python_api import annotation, inner_classes
from edgewright.exporters.precision.registry import PRECISIONS
from edgewright.runtime.bundle import manifest
from edgewright.runtime.bundle.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, SCHEMA_VERSION, Manifest

_INTRO = f"""\
# Bundle format

A bundle is a folder in the shape of a model repository of Hugging Face, so that other tools can read it too:

```text
{MANIFEST_NAME}                 the manifest, described below
onnx/                           a graph for each variant; step*.onnx beside it where the model can be streamed
golden/                         raw inputs from your evaluation samples, with torch's outputs
config.json  preprocessor_config.json     for other tools, where the model has them; so are
tokenizer_config.json  special_tokens_map.json  modules.json  1_Pooling/  sentence_bert_config.json
tokenizer.json                  of texts
README.md                       the model card, for people
```

- A bundle with a missing, extra, resized or altered file, or with a link in it, does not open. Digests are checked
  before anything but the manifest is parsed.
- There is no pickle in it, and nothing that is run: see
  [what a device can rely on](../explanation/security.md) when it opens a bundle of somebody else.
- Two exports of one run are byte-identical.
- Graphs beyond 2 GB keep their weights in a file of their own beside them, which the manifest lists like any other.
- The golden samples are data of yours: mind whom you give a bundle to.

The manifest is UTF-8 JSON of at most {MAX_MANIFEST_BYTES >> 20} MiB, schema version {SCHEMA_VERSION}. Unknown keys,
missing keys, values of another type, NaN and duplicate keys are refused. So is every byte that edgewright would write
otherwise: keys are sorted, two spaces indent, and beside the keys below there are `schema_version` and `digest`, the
SHA-256 of the same text without it. Whoever changes a manifest on purpose writes it with `sealed_json` of
`edgewright.runtime.bundle.manifest`.

A device that meets a newer schema says that edgewright has to be updated there. Bundles of schema 1 are refused with
the command that makes them anew from their run: `edgewright export RUN --out BUNDLE`.
"""

_BEST_INT8 = """\
Of the int8 variants that are right on every CPU without a session option, the one that ranks first is called
`onnx/model_quantized.onnx`, the name that transformers.js looks for. The manifest says which file is which.
"""


def page() -> str:
    """The whole page."""
    parts = [
        GENERATED,
        _INTRO,
        "## Files of the variants\n",
        table(("variant", "file"), _files()),
        _BEST_INT8,
    ]
    for kind in _dataclasses():
        title = MANIFEST_NAME if kind is Manifest else kind.__name__
        parts += [f"## {title}\n", prose(kind.__doc__ or ""), table(("key", "type", "default"), _keys(kind))]
    return "\n".join([*parts, *sections(_keys)])


def _files() -> Iterator[tuple[str, str]]:
    for name, precision in PRECISIONS.items():
        yield f"`{name}`", f"`onnx/{precision.file}`"


def _dataclasses() -> list[Any]:
    """The manifest, and every dataclass in it, each after the one that has it first."""
    found: list[Any] = [Manifest]
    for kind in found:
        for hint in get_type_hints(kind, vars(manifest)).values():
            inside = filter(dataclasses.is_dataclass, inner_classes(hint))
            found += [inner for inner in inside if inner not in found]
    return found


def _keys(kind: Any) -> Iterator[tuple[str, str, str]]:
    written = get_type_hints(kind)
    for one in dataclasses.fields(kind):
        if one.default is not dataclasses.MISSING:
            default = f"`{json.dumps(one.default)}`"
        elif one.default_factory is not dataclasses.MISSING:
            default = f"`{json.dumps(one.default_factory())}`"
        else:
            default = "required"
        yield f"`{one.name}`", f"`{annotation(written[one.name])}`", default
