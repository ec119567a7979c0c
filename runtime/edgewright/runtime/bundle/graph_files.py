"""What the graphs of a bundle may ask for: operators of the domains that its manifest lists, weights that lie in it."""

import posixpath
from collections.abc import Collection
from pathlib import Path

from edgewright.runtime.bundle.manifest import OPERATOR_DOMAINS, Manifest, Variant
from edgewright.runtime.bundle.onnx_file import read_onnx_file, standard_domain
from edgewright.runtime.errors import BundleError


def check_graph_files(root: Path, manifest: Manifest) -> None:
    """Raise `BundleError` unless every graph of every variant keeps to what it may ask for."""
    listed = {entry.path for entry in manifest.files}
    for variant in manifest.variants:
        for graph in variant.graphs.values():
            _check_graph_file(root, graph, variant, listed)


def _check_graph_file(root: Path, graph: str, variant: Variant, listed: Collection[str]) -> None:
    found = read_onnx_file(root / graph)
    if found.functions:
        raise BundleError(
            f"{graph} in the bundle has functions of its own, which edgewright never writes: "
            "get a fresh copy of the bundle"
        )
    # Bundles of before this was written down list nothing: theirs may use whatever a bundle may.
    allowed = {standard_domain(domain) for domain in variant.domains or OPERATOR_DOMAINS}
    foreign = sorted(found.domains - allowed)
    if foreign:
        raise BundleError(
            f"{graph} in the bundle uses operators of {foreign[0] or 'ai.onnx'!r}, which its manifest does not list: "
            "get a fresh copy of the bundle"
        )
    for place in sorted(found.weights):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(graph), place))
        if posixpath.isabs(place) or path not in listed:
            raise BundleError(
                f"{graph} in the bundle takes weights from {place!r}, which is no file of the bundle: "
                "get a fresh copy of the bundle"
            )
