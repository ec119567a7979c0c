"""Where a variant is proven: what the manifest says, and what a self-test has found on this machine.

`auto` takes the best variant that is proven for the class of this CPU, or for the provider that is used. A bundle says
where it was judged; elsewhere a self-test that says yes (or no) is kept in the user's cache, under the digest of the
bundle's manifest, the class and the version of ONNX Runtime. It is never written into the bundle.
"""

import contextlib
import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgewright.runtime.bundle.files import canonical_json, sha256_of_bytes, sha256_of_file, write_atomically
from edgewright.runtime.bundle.manifest import MANIFEST_NAME, Manifest, Proof, Variant
from edgewright.runtime.bundle.opening import Bundle
from edgewright.runtime.bundle.structure import StructureError, parse_json
from edgewright.runtime.errors import MachineError
from edgewright.runtime.graphs.cache import cache_directory
from edgewright.runtime.graphs.providers import load_onnxruntime
from edgewright.runtime.graphs.session_options import cpu_class

SAFE = "fp32"
"""The variant that is right everywhere by the way it is made: as it was exported."""

MEASURED, EMULATED, NOT = "measured", "emulated", "not"

_LARGEST = 1 << 16
_log = logging.getLogger(__name__)
_told: set[tuple[Path, str]] = set()


def place_of(provider: str) -> str:
    """What `Proof.on` calls the place where a session runs: the class of this CPU, or the provider."""
    return cpu_class() if provider == "cpu" else provider


def proof_of(bundle: Bundle, variant: Variant, place: str) -> Proof:
    """Where `variant` was seen to answer as torch does, as far as that counts for `place`: by a self-test here, else by
    the manifest; `how` is "not" where it was not.
    """
    return _proof(variant, place, kept_proofs(bundle, place).get(variant.name))


def _proof(variant: Variant, place: str, kept: bool | None) -> Proof:
    if kept is None:
        for proof in variant.proven:
            if proof.on == place and proof.how != NOT:
                return proof
    return Proof(place, MEASURED if kept else NOT, _version())


def best_proven(bundle: Bundle, place: str) -> Variant:
    """The variant that "auto" means at `place`: the first in the verdict's order that is proven there, else fp32."""
    manifest, kept = bundle.manifest, kept_proofs(bundle, place)
    names = _order(manifest)
    for name in names:
        if _proof(manifest.variant(name), place, kept.get(name)).how != NOT:
            return manifest.variant(name)
    return manifest.variant(SAFE if SAFE in names else names[0])


def tell_of_choice(bundle: Bundle, chosen: Variant, place: str) -> None:
    """Say once, in the log, that `auto` means another variant than the verdict's first, and why."""
    first = bundle.manifest.variant("auto")
    if chosen.name == first.name or (bundle.root, place) in _told:
        return
    _told.add((bundle.root, place))
    _log.warning(
        "auto runs %s: %s is not proven on %s: 'edgewright verify %s' proves it where it says yes",
        chosen.name, first.name, place, bundle.root,
    )  # fmt: skip


def _order(manifest: Manifest) -> list[str]:
    """All variants, the verdict's first ones first."""
    names = [variant.name for variant in manifest.variants]
    ranking = manifest.verdict.get("ranking")
    ranked = [name for name in ranking if name in names] if isinstance(ranking, (list, tuple)) else []
    return list(dict.fromkeys([manifest.default_variant, *ranked, *names]))


def keep_proofs(bundle: Bundle, place: str, found: Mapping[str, bool]) -> bool:
    """Keep what a self-test found at `place` of each variant, for `auto`; whether that could be kept."""
    path = _file(bundle, place)
    if path is None:
        return False
    document = {**_about(bundle, place), "variants": {**kept_proofs(bundle, place), **found}}
    try:
        with write_atomically(path) as temporary:
            temporary.touch(mode=0o600)
            temporary.write_text(canonical_json(document), encoding="utf-8")
    except MachineError:
        return False
    return True


def kept_proofs(bundle: Bundle, place: str) -> dict[str, bool]:
    """What self-tests found on this machine, by variant; nothing where the file is not the user's own."""
    path = _file(bundle, place)
    if path is None:
        return {}
    with contextlib.suppress(OSError, StructureError):
        document: Any = parse_json(_read_own(path))
        if isinstance(document, dict):
            found = document.pop("variants", None)
            if document == _about(bundle, place) and isinstance(found, dict):
                return {name: seen for name, seen in found.items() if isinstance(seen, bool)}
    return {}


def _read_own(path: Path) -> bytes:
    """The file's bytes. Raises `OSError` for a link, and for a file that someone else owns or may write."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        strange = not stat.S_ISREG(status.st_mode) or status.st_nlink > 1
        if hasattr(os, "getuid"):
            strange = strange or status.st_uid != os.getuid() or bool(status.st_mode & 0o022)
        if strange:
            raise PermissionError(path)
        return file.read(_LARGEST)


def _file(bundle: Bundle, place: str) -> Path | None:
    directory = cache_directory()
    try:
        return (
            directory
            and directory / f"proven-{sha256_of_bytes(canonical_json(_about(bundle, place)).encode())}.json"
        )
    except OSError:  # the bundle is gone
        return None


def _about(bundle: Bundle, place: str) -> dict[str, str]:
    return {"bundle": _digest(bundle), "on": place, "onnxruntime": _version()}


def _digest(bundle: Bundle) -> str:
    return sha256_of_file(bundle.root / MANIFEST_NAME)


def _version() -> str:
    return str(load_onnxruntime().__version__)
