"""What model hubs read at the top of a card: licence, what the model was made of, and its figures."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from edgewright.exporters.bundle.origin import Origin
from edgewright.exporters.verdict import Verdict
from edgewright.runtime.bundle.manifest import Manifest
from edgewright.runtime.printable import one_line
from edgewright.runtime.tasks.description import Description

_LICENCES = """
afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0
cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0
cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 gemma
gfdl gpl gpl-2.0 gpl-3.0 intel-research isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3
lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 open-mdw openrail openrail++ osl-3.0 pddl postgresql unknown
unlicense wtfpl zlib
"""
LICENCES = frozenset(_LICENCES.split())
"""What a hub knows a licence by."""

_KEY = re.compile(r"[a-z_-]+")


def front_matter(
    manifest: Manifest, description: Description, verdict: Verdict | None, origin: Origin
) -> list[str]:
    """The lines of the header, with the marks around them. Whatever the names in it hold, it is valid YAML."""
    found: dict[str, Any] = {
        **_licence(manifest.licence),
        "pipeline_tag": description.tag,
        "library_name": "onnxruntime",
        "tags": ["onnx", "edgewright"],
    }
    if origin.base_model:
        found["base_model"] = _name(origin.base_model)
    if origin.datasets:
        found["datasets"] = [_name(name) for name in origin.datasets]
    results = _results(description, verdict, origin) if verdict is not None else []
    if results:
        found["model-index"] = [{"name": one_line(manifest.model), "results": results}]
    return ["---", *_mapping(found), "---"]


def _licence(said: str) -> dict[str, str]:
    """A hub's id of a licence or, of what it does not know, a name."""
    first, rest = re.match(r"([^\s(]*)(.*)", said.strip().lower(), re.DOTALL).groups()  # type: ignore[union-attr]
    if first in LICENCES and (not rest.strip() or first == "unknown"):
        return {"license": first}
    return {"license": "other", "license_name": _slug(said) or "unknown"}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


def _name(text: str) -> str:
    """A name as a hub takes one: letters, digits and a few marks, perhaps an owner before it."""
    owner, slash, name = text.rpartition("/")
    parts = (re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip("-.") or "unnamed" for part in (owner, name))
    made = "/".join(parts) if slash else re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    return made or "unnamed"


def _results(description: Description, verdict: Verdict, origin: Origin) -> list[dict[str, Any]]:
    """What every variant that passed reached on the evaluation samples."""
    metrics = [
        {
            "type": _slug(verdict.metric_name),
            "value": float(f"{row.metric:.6g}"),
            "name": f"{one_line(verdict.metric_name)} ({row.name}, {verdict.samples} samples)",
        }
        for name in verdict.ranking
        for row in verdict.rows
        if row.name == name and row.metric is not None
    ]
    if not metrics:
        return []
    data = [_name(name) for name in origin.datasets] or ["evaluation"]
    dataset = {"name": data[0], "type": data[0], "split": "evaluation"}
    return [{"task": {"type": description.tag}, "dataset": dataset, "metrics": metrics}]


def _mapping(value: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, inner in value.items():
        assert _KEY.fullmatch(key), key
        below = _lines(inner)
        lines += [f"{key}: {below[0]}"] if isinstance(inner, (str, int, float)) else [f"{key}:", *below]
    return lines


def _sequence(value: Sequence[Any]) -> list[str]:
    found = []
    for inner in value:
        first, *rest = _lines(inner)
        found += [f"- {first.removeprefix('  ')}", *(f"  {line.removeprefix('  ')}" for line in rest)]
    return found


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"  {line}" for line in _mapping(value)]
    if isinstance(value, str):
        # As JSON, which YAML reads: no text can end its line, or be a number, a word such as "no", or a mark.
        return [json.dumps(one_line(value), ensure_ascii=False)]
    return [json.dumps(value)] if isinstance(value, (int, float)) else _sequence(value)
