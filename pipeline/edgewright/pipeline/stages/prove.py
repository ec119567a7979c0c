"""Replay a bundle's golden samples where an emulator stands for another class of CPU, and write down what passed."""

import dataclasses
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgewright.pipeline.progress import Progress, in_words, silent
from edgewright.runtime.bundle.files import write_text
from edgewright.runtime.bundle.manifest import MANIFEST_NAME, Proof, Variant, manifest_to_json
from edgewright.runtime.bundle.opening import open_bundle
from edgewright.runtime.errors import BundleError, InputError, MachineError
from edgewright.runtime.graphs.cpu import ARM64, AVX2
from edgewright.runtime.self_test import SelfTestRow

CLASSES: Mapping[str, str] = {"x86-64-avx2": AVX2, "arm64": ARM64}
"""The classes that can be asked for, by the names that a command line has for them."""

_NATIVE = "qemu-x86_64 -cpu Haswell {python}"
"""What runs this very Python on an x86 CPU without VNNI."""

_REPLAY = """
import dataclasses, json, sys
import onnxruntime
from edgewright.runtime import selftest
from edgewright.runtime.graphs.session_options import cpu_class

(row,) = selftest(sys.argv[1], [sys.argv[2]], provider="cpu", threads=1)
print(json.dumps({"on": cpu_class(), "onnxruntime": onnxruntime.__version__, "row": dataclasses.asdict(row)}))
"""


@dataclasses.dataclass(frozen=True)
class Proved:
    """What came of it: the class, and a row for each variant."""

    on: str
    rows: tuple[SelfTestRow, ...]

    @property
    def passed(self) -> bool:
        """Whether every variant answered as torch does."""
        return all(row.passed for row in self.rows)


def prove(
    bundle: Path, on: str, python: str | None = None, timeout: float = 600.0, progress: Progress | None = None
) -> Proved:
    """Replay the golden samples in every variant where an emulator stands for the class `on`, and write what came of it
    into the manifest: "emulated" for what passed, "not" for what did not. What was measured there stays.

    Args:
        on: One of `CLASSES`.
        python: The words that start a Python with edgewright on such a CPU; None for this one under Debian's
            qemu-user, where `on` is a class of x86.
        timeout: Seconds that one variant may take.

    Raises:
        InputError: The class is unknown, or needs `python`.
        BundleError: The bundle does not open, or holds no golden samples.
        MachineError: The emulator is missing, fails, takes too long, or stands for another class.
    """
    report = progress or silent
    if on not in CLASSES:
        raise InputError(f"unknown class {on!r}: choose from {', '.join(CLASSES)}")
    opened = open_bundle(bundle)
    if not opened.manifest.golden.samples:
        raise BundleError(f"the bundle {bundle} holds no golden samples: pack it again with some")
    words, variants, rows = _words(on, python), [], []
    for done, variant in enumerate(opened.manifest.variants):
        report(f"replaying {variant.name} on {CLASSES[on]}", done, len(opened.manifest.variants))
        found = _replayed(words, bundle, variant.name, timeout)
        if found["on"] != CLASSES[on]:
            raise MachineError(
                f"{words[0]} stands for {found['on']}, not for {CLASSES[on]}: give other words with --python"
            )
        row = SelfTestRow(**found["row"])
        rows.append(row)
        proof = Proof(CLASSES[on], "emulated" if row.passed else "not", found["onnxruntime"])
        variants.append(_with_proof(variant, proof))
    manifest = dataclasses.replace(opened.manifest, variants=tuple(variants))
    write_text(bundle / MANIFEST_NAME, manifest_to_json(manifest))
    return Proved(CLASSES[on], tuple(rows))


def _with_proof(variant: Variant, proof: Proof) -> Variant:
    if any(known.on == proof.on and known.how == "measured" for known in variant.proven):
        return variant
    others = tuple(known for known in variant.proven if known.on != proof.on)
    return dataclasses.replace(variant, proven=(*others, proof))


def _words(on: str, python: str | None) -> list[str]:
    if python is None:
        if on == "arm64" or (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise InputError(
                f"no emulator of {CLASSES[on]} is known here: give --python with the words that start a Python with "
                "edgewright there, such as 'qemu-aarch64 -L /arm64 /arm64/usr/bin/python3'"
            )
        python = _NATIVE.format(python=shlex.quote(sys.executable))
    try:
        words = shlex.split(python)
    except ValueError as error:
        raise InputError(f"--python {python!r} cannot be read ({error}): quote it as a shell does") from None
    if not words or shutil.which(words[0]) is None:
        missing = words[0] if words else "a program"
        raise MachineError(f"{missing} is not installed: apt-get install qemu-user, or give --python")
    return words


def _replayed(words: list[str], bundle: Path, variant: str, timeout: float) -> dict[str, Any]:
    command = [*words, "-W", "ignore", "-c", _REPLAY, str(bundle), variant]
    environment = {**os.environ, "EDGEWRIGHT_CACHE": "off", "OMP_NUM_THREADS": "1"}
    start = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise MachineError(
            f"{variant} took longer than {in_words(timeout)} under {words[0]}: give more with --timeout"
        ) from None
    except OSError as error:
        raise MachineError(f"{words[0]} does not start ({error.strerror}): check --python") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
        raise MachineError(
            f"{variant} could not be replayed under {words[0]} ({said}) after {in_words(time.monotonic() - start)}: "
            "check that edgewright and onnxruntime run there"
        )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise MachineError(f"{words[0]} printed no result: check that --python starts a Python") from None
    return found
