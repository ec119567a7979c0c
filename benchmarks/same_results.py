"""What of two runs and bundles of one recipe must be equal, and the first place where they are not.

Numbers of JSON may differ by 1e-12, everything else not at all. Latencies are masked, and with them what follows from
them: the order of variants that passed, which of two int8 graphs is called "quantized", sentences that quote a speed.
Outputs of golden samples, how far a device's are from them and how far they may be, may differ by 1e-5: in a batch of
another size torch adds up in another order.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

TOLERANCE, OF_GOLDEN = 1e-12, 1e-5
GOLDEN_OUTPUTS = "golden.safetensors"
MANIFEST, CARD, VERDICT = "edgewright.json", "README.md", "export/verdict.json"

_TIMED = {
    "p50_ms", "p95_ms", "torch_p50_ms", "torch_p95_ms", "speed_vs_torch", "speed_vs_fp32", "step_p50_us",
    "torch_step_p50_us", "step_speed_vs_torch", "step_speed_vs_fp32",
}  # fmt: skip
_TIMED_COLUMNS = {"ms (median)", "speed / torch", "us a step", "step / torch"}
_BY_ORDER = {"ships", "default_variant"}
_SPEED = re.compile(r"-?[\d.]+ times (the|its) speed")
_SLOW = "slower than fp32 here"
_SHIPS = re.compile(r"`auto` runs \*\*[\w-]+\*\*")
_STATUSES = {"PASS", "REJECTED"}
_GOLDEN = re.compile(
    r"(^|\.)golden\.(outputs|tolerances)\.|^variants\.\d+\.tolerance\.|^stdout\.rows\.\d+\.relative(_allowed)?$"
)
_ASIDE = {"status": "*", "reason": "*", "notes": "*"}


@dataclass(frozen=True)
class Finding:
    """One thing that was compared. `difference` is empty where it is equal; `note` says what was left out, and why."""

    what: str
    difference: str = ""
    note: str = ""


def first_difference(one: Any, two: Any, where: str = "") -> str:
    """The first place where two JSON documents differ, as "path: this / that"; empty where they do not."""
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        pairs = [(key, one.get(key, _Absent), two.get(key, _Absent)) for key in {**one, **two}]
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        pairs = [(str(place), *values) for place, values in enumerate(zip(one, two, strict=True))]
    elif _same(one, two, OF_GOLDEN if _GOLDEN.search(where) else TOLERANCE):
        return ""
    else:
        return f"{where}: {_short(one)} / {_short(two)}"
    inner = (first_difference(mine, other, f"{where}.{key}".lstrip(".")) for key, mine, other in pairs)
    return next((found for found in inner if found), "")


class _Absent:
    """A key that one side does not have."""


def _same(one: Any, two: Any, tolerance: float) -> bool:
    numbers = [type(value) in (int, float) for value in (one, two)]
    if all(numbers):
        return math.isclose(one, two, rel_tol=tolerance, abs_tol=tolerance) or (one != one and two != two)
    return type(one) is type(two) and bool(one == two)


def _short(value: Any) -> str:
    if value is _Absent:
        return "absent"
    if isinstance(value, list):
        return f"{len(value)} entries"
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def masked(value: Any) -> Any:
    """A JSON document without what a clock decides; of a latency its type is left, so that a missing one shows."""
    if isinstance(value, Mapping):
        return {key: _masked_key(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value if not (isinstance(inner, str) and inner.startswith(_SLOW))]
    return _SPEED.sub("* times \\1 speed", value) if isinstance(value, str) else value


def _masked_key(key: str, value: Any) -> Any:
    if key in _TIMED:
        return type(value).__name__
    if key in _BY_ORDER:
        return "*"
    return sorted(value) if key == "ranking" and isinstance(value, list) else masked(value)


def decided_by_speed(one: Path, two: Path) -> list[str]:
    """The variants of two runs that passed on one side and did not earn their place on the other."""
    statuses = [_statuses(run / VERDICT) for run in (one, two)]
    common = statuses[0].keys() & statuses[1].keys()
    return sorted(name for name in common if {side[name] for side in statuses} == _STATUSES)


def _statuses(path: Path) -> dict[str, str]:
    rows = json.loads(path.read_bytes())["rows"] if path.exists() else []
    return {row["name"]: row["status"] for row in rows}


def without(document: Any, names: Sequence[str]) -> Any:
    """A verdict, or a document with one in it, without what is said of the variants in `names`, and what follows."""
    if not names or not isinstance(document, Mapping):
        return document
    result = {key: without(value, names) for key, value in document.items() if key != "golden"}
    if "rows" in result and "ranking" in result:
        rows = [row if row["name"] not in names else {**row, **_ASIDE} for row in result["rows"]]
        ranking = [name for name in result["ranking"] if name not in names]
        result |= {"rows": rows, "ranking": ranking}
    return result


def compare_runs(one: Path, two: Path) -> Iterator[Finding]:
    """Every file of two run folders: recipe, splits, weights, figures, curves, markers, graphs, verdict."""
    by_speed = decided_by_speed(one, two)
    for name in _names(one, two):
        yield Finding(name, _file_difference(one / name, two / name, name, by_speed))


def compare_bundles(one: Path, two: Path) -> Iterator[Finding]:
    """Graphs by variant and role, golden samples and decisions, the card, and every file that other tools read."""
    first, second = (json.loads((folder / MANIFEST).read_bytes()) for folder in (one, two))
    graphs, others = _graphs(first), _graphs(second)
    yield Finding("bundle: variants and roles", first_difference([*graphs], [*others]))
    for role in [role for role in graphs if role in others]:
        yield Finding(f"bundle: graph {role}", _bytes_difference(one / graphs[role], two / others[role]))
    golden, other = first["golden"], second["golden"]
    yield Finding("bundle: golden decisions", first_difference(golden["decisions"], other["decisions"]))
    yield Finding(f"bundle: {MANIFEST}", first_difference(_manifest(first), _manifest(second)))
    yield Finding(f"bundle: {CARD}", first_difference(_card(one / CARD), _card(two / CARD)))
    for name in _names(one, two):
        if name not in (MANIFEST, CARD) and not name.endswith(".onnx"):
            yield Finding(f"bundle: {name}", _file_difference(one / name, two / name, name))


def _names(one: Path, two: Path) -> list[str]:
    """The files of both folders, relative; the lock of a run says nothing."""
    found = {
        file.relative_to(folder).as_posix()
        for folder in (one, two)
        for file in folder.rglob("*")
        if file.is_file()
    }
    return sorted(found - {".lock"})


def _file_difference(one: Path, two: Path, name: str, by_speed: Sequence[str] = ()) -> str:
    for path, side in ((one, "second"), (two, "first")):
        if not path.exists():
            return f"only on the {side} side"
    if name == GOLDEN_OUTPUTS:
        return golden_difference(one, two)
    if name.endswith(".safetensors"):
        return tensors_difference(one, two)
    if name.endswith((".json", ".jsonl")):
        first, second = (without(_document(path, name), by_speed) for path in (one, two))
        return first_difference(first, second)
    return _bytes_difference(one, two)


def _document(path: Path, name: str) -> Any:
    """A JSON document of a run or a bundle, or a list of them.

    The verdict's marker has the digest of latencies. The keys of an export's markers are a version's own business.
    """
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    document = json.loads(path.read_bytes())
    if name.startswith("export/") and name.endswith(".done.json"):
        document = {**document, "key": "*"}
    if name.endswith("verdict.json"):  # which has the golden outputs, as the bundle's own file has them
        document = {**document, "golden": {**document["golden"], "outputs": "*"}}
    if name.endswith("verdict.done.json"):
        return {**document, "files": list(document["files"])}
    return masked(document)


def golden_difference(one: Path, two: Path) -> str:
    """The first difference of what two bundles keep of torch's answers, above `OF_GOLDEN`: of every sample, whether its
    outputs lie alone or, padded with zeros, in one tensor with those of the others.
    """
    first, second = (_by_sample(load_file(path)) for path in (one, two))
    if first.keys() != second.keys():
        return first_difference([*first], [*second], "names")
    for name, value in first.items():
        length = min(len(value), len(second[name]))
        apart = np.abs(value[:length].astype(np.float64) - second[name][:length]).max(initial=0.0)
        rest = max(float(np.abs(side[length:]).max(initial=0.0)) for side in (value, second[name]))
        if apart > OF_GOLDEN or rest:
            return f"{name}: up to {max(apart, rest):.3g} apart"
    return ""


def _by_sample(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of each sample by number and name, sorted."""
    found = {}
    for name, value in tensors.items():
        alone = name.partition(".")[0].isdecimal()
        found.update({name: value} if alone else {f"{row}.{name}": one for row, one in enumerate(value)})
    return {name: np.atleast_1d(found[name]) for name in sorted(found)}


def tensors_difference(one: Path, two: Path, tolerance: float = 0.0) -> str:
    """The first difference of two safetensors files: metadata, names, types, shapes, bits; of floats, differences
    above `tolerance`.
    """
    if one.read_bytes() == two.read_bytes():
        return ""
    with safe_open(one, framework="np") as first, safe_open(two, framework="np") as second:
        names, others = sorted(first.keys()), sorted(second.keys())
        differences = [
            first_difference(_metadata(first), _metadata(second), "metadata"),
            first_difference(names, others, "names"),
            *(_tensor(name, first, second, tolerance) for name in names if name in others),
        ]
    found = next((found for found in differences if found), "")
    return found or ("" if tolerance else "the same tensors in another order")


def _metadata(file: Any) -> dict[str, Any]:
    return {key: _parsed(text) for key, text in (file.metadata() or {}).items()}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tensor(name: str, first: Any, second: Any, tolerance: float) -> str:
    one, two = first.get_tensor(name), second.get_tensor(name)
    if (one.dtype, one.shape) != (two.dtype, two.shape):
        return f"{name}: {one.dtype} {one.shape} / {two.dtype} {two.shape}"
    if one.tobytes() == two.tobytes():
        return ""
    apart = np.abs(one.astype(np.float64) - two.astype(np.float64)).max()
    return "" if one.dtype.kind == "f" and apart <= tolerance else f"{name}: up to {apart:.3g} apart"


def _bytes_difference(one: Path, two: Path) -> str:
    first, second = one.read_bytes(), two.read_bytes()
    if first == second:
        return ""
    sizes = f"{len(first)} / {len(second)} bytes"
    place = next(
        (at for at, (mine, other) in enumerate(zip(first, second, strict=False)) if mine != other), None
    )
    return sizes if place is None else f"{sizes}, the first that differs is {place}"


def _graphs(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Variant and role to the file of the graph."""
    return {
        f"{one['name']} {role}": path for one in manifest["variants"] for role, path in one["graphs"].items()
    }


def _manifest(document: Mapping[str, Any]) -> Any:
    """The manifest without the names of graphs and the digest of the card, which follow from latencies, and without
    the digest of the golden outputs, which are compared by themselves.
    """
    document = _of_schema_2(document)
    variants = [{**one, "graphs": list(one["graphs"])} for one in document["variants"]]
    kept = [
        {**entry, "sha256": "*", "size": 0} if entry["path"] == GOLDEN_OUTPUTS else entry
        for entry in document["files"]
        if entry["path"] != CARD and not entry["path"].endswith(".onnx")
    ]
    return masked({**document, "variants": variants, "files": kept})


def _of_schema_2(document: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of either schema as one of schema 2, without its digest: roles have signatures, and what has its
    default value is not written.
    """
    found = {key: value for key, value in document.items() if key not in ("schema_version", "digest")}
    if "graphs" not in found:
        step = found.pop("streaming", None)
        found["graphs"] = {"model": {"inputs": found.pop("inputs"), "outputs": found.pop("outputs")}}
        if step is not None:
            states = [{k: v for k, v in one.items() if (k, v) != ("initial", 0.0)} for one in step["states"]]
            found["graphs"]["step"] = {**step, "states": states}
        for one in found["variants"]:
            one["tolerance"] = {k: v for k, v in one["tolerance"].items() if (k, v) != ("decisions", 1.0)}
        if not found["assets"]:
            del found["assets"]
    return found


def _card(path: Path) -> list[str]:
    """The lines of a model card, without the columns of the verdict that hold latencies."""
    lines, timed = [], set[int]()
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if cells[:2] == ["", "variant"]:
            timed = {place for place, cell in enumerate(cells) if cell in _TIMED_COLUMNS}
        if len(cells) > 2:
            line = "|".join("*" if place in timed else cell for place, cell in enumerate(cells))
        if line and _SLOW not in line:  # where it was the only reason, an empty line goes with it
            lines.append(_SHIPS.sub("`auto` runs *", _SPEED.sub("* times \\1 speed", line)))
    return lines
