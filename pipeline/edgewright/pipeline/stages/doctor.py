"""What this machine is: versions, CPU features that decide int8 speed, providers that really start, hubs in reach.

Imports nothing heavy: the version of a package is read from its metadata, and only ONNX Runtime is started.
"""

import http.client
import os
import platform
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib import metadata

from edgewright.runtime.errors import MachineError
from edgewright.runtime.graphs.cpu import read_cpu

_PACKAGES = (
    "edgewright", "numpy", "pillow", "safetensors", "soundfile", "tokenizers", "onnxruntime", "onnxruntime-gpu",
    "torch", "torchvision", "timm", "transformers", "optimum", "onnx", "onnxscript", "accelerate", "pyarrow",
)  # fmt: skip

_READERS = {"soundfile": "bundles that hear (audio-classification)", "tokenizers": "bundles that read text"}
"""What a device needs for one kind of raw input only."""

_FEATURES: dict[str, str] = {
    "avx2": "the least that fast fp32 needs",
    "avx512f": "wider fp32",
    "avx512_vnni": "fast int8 (U8S8)",
    "avx_vnni": "fast int8 (U8S8)",
    "amx_int8": "fastest int8",
    "avx512_bf16": "bfloat16",
    "asimddp": "fast int8 on Arm (dot product)",
    "i8mm": "fastest int8 on Arm",
}

_INT8 = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")

_INT8_WAYS = {
    False: "products are exact as they are",
    True: "no VNNI: sums of products would saturate, so they are computed with unsigned weights: exact, but slower",
}

_HUBS = {"torchvision weights": "download.pytorch.org", "Hugging Face hub": "huggingface.co"}


@dataclass(frozen=True)
class ProviderFinding:
    """One execution provider: listed by the installed package, and whether a session on it really runs."""

    name: str
    starts: bool
    reason: str


@dataclass(frozen=True)
class Findings:
    """Everything `edgewright doctor` prints.

    `features` maps a CPU feature to whether this CPU has it; it is empty where the system does not tell.
    `cpu_class` is what the proofs in a bundle are for; `int8_saturates` says whether sums of integer products would
    overflow on this CPU, so that sessions compute them in another way; both are None where there is no ONNX Runtime to
    ask.
    """

    python: str
    system: str
    cpu: str
    cores: int
    features: dict[str, bool]
    cpu_class: str | None
    int8_saturates: bool | None
    versions: dict[str, str | None]
    providers: tuple[ProviderFinding, ...]
    hubs: dict[str, bool]
    advice: tuple[str, ...]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _reachable(host: str) -> bool:
    """Whether a download would get an answer: through the proxy that is set, if one is."""
    request = urllib.request.Request(f"https://{host}/", method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=3).close()
    except urllib.error.HTTPError as error:  # it has nothing at this address, but it answers
        error.close()
    except (OSError, http.client.HTTPException):
        return False
    return True


def _providers() -> tuple[ProviderFinding, ...]:
    from edgewright.runtime.graphs.probe import probe_providers

    try:
        return tuple(ProviderFinding(name, starts, reason) for name, starts, reason in probe_providers())
    except MachineError as error:
        return (ProviderFinding("onnxruntime", False, str(error)),)


def _int8_ways() -> tuple[str | None, bool | None]:
    """The class of this CPU, and whether sums of integer products saturate on it."""
    from edgewright.runtime.graphs.session_options import cpu_class, products_saturate

    try:
        return cpu_class(), products_saturate()
    except MachineError:
        return None, None


def _advise(
    features: dict[str, bool], versions: dict[str, str | None], providers: tuple[ProviderFinding, ...]
) -> list[str]:
    advice = []
    if versions["onnxruntime"] and versions["onnxruntime-gpu"]:
        advice.append(
            "onnxruntime and onnxruntime-gpu overwrite each other: pip uninstall both, then install one of them"
        )
    if not any(provider.starts for provider in providers):
        advice.append("no provider starts: pip install 'edgewright[cpu]' or 'edgewright[gpu]'")
    if features and not any(features[name] for name in _INT8):
        advice.append("this CPU has no int8 dot product: expect int8 to be smaller but not faster than fp32")
    for package, what in _READERS.items():
        if versions[package] is None:
            advice.append(f"{package} is absent: {what} cannot run here: pip install {package}")
    if versions["torch"] is None:
        advice.append(
            "torch is absent: this machine runs bundles; to make them pip install 'edgewright[train]'"
        )
    return advice


def examine(try_hub: bool = True) -> Findings:
    """Look at this machine. `try_hub` asks each hub for an answer, for some 3 s at most."""
    cpu = read_cpu()
    features = {} if cpu.flags is None else {feature: feature in cpu.flags for feature in _FEATURES}
    versions = {package: _version(package) for package in _PACKAGES}
    providers = _providers()
    cpu_class, saturates = _int8_ways()
    return Findings(
        python=sys.version.split()[0],
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=cpu.name,
        cores=os.cpu_count() or 1,
        features=features,
        cpu_class=cpu_class,
        int8_saturates=saturates,
        versions=versions,
        providers=providers,
        hubs={what: _reachable(host) for what, host in _HUBS.items()} if try_hub else {},
        advice=tuple(_advise(features, versions, providers)),
    )


def report_text(findings: Findings) -> str:
    """The findings for a person."""
    lines = [
        f"python     {findings.python} on {findings.system}",
        f"cpu        {findings.cpu}, {findings.cores} cores",
    ]
    lines += [
        f"  {'yes' if there else 'no ':3}  {name:12} {_FEATURES[name]}"
        for name, there in findings.features.items()
    ]
    if findings.cpu_class is not None:
        lines.append(f"class      {findings.cpu_class}: auto takes what a bundle has proven for it")
    if findings.int8_saturates is not None:
        lines.append(f"int8       {_INT8_WAYS[findings.int8_saturates]}")
    lines.append("packages")
    lines += [f"  {name:16} {version or '-'}" for name, version in findings.versions.items()]
    lines.append("providers")
    lines += [
        f"  {'starts' if found.starts else 'FAILS ':6}  {found.name}"
        + (f": {found.reason}" if found.reason else "")
        for found in findings.providers
    ]
    if findings.hubs:
        lines.append("hubs")
        lines += [
            f"  {'reachable' if there else 'out of reach':12}  {what}"
            for what, there in findings.hubs.items()
        ]
    lines += [f"advice     {line}" for line in findings.advice]
    return "\n".join(lines)
