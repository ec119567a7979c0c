"""The graphs of a variant, loaded; of "auto" those of the best that is proven where they really run."""

from dataclasses import dataclass
from typing import Any

from edgewright.runtime.bundle.manifest import Variant
from edgewright.runtime.bundle.opening import Bundle
from edgewright.runtime.contracts import STEP
from edgewright.runtime.graphs.proven import best_proven, place_of, tell_of_choice
from edgewright.runtime.graphs.providers import nvidia_driver_present
from edgewright.runtime.graphs.session import SessionGraphs, check_provider, open_graphs


@dataclass(frozen=True)
class Opened:
    """A variant whose graphs are loaded, and where they run (`place_of`)."""

    variant: Variant
    place: str
    graphs: SessionGraphs


def open_variant(bundle: Bundle, name: str, provider: str, batch_size: int, **settings: Any) -> Opened:
    """Load the variant called `name` of a bundle; `settings` are those of `open_session`.

    Raises what `open_graphs` does, and `BundleError` where there is no such variant.
    """

    def load(variant: Variant) -> Opened:
        files = whole_graphs(variant)
        graphs = open_graphs(
            {role: bundle.path(file) for role, file in files.items()},
            bundle.manifest.graphs,
            batch_size,
            digests={role: bundle.digest(file) for role, file in files.items()},
            provider=provider,
            **settings,
        )
        return Opened(variant, place_of(graphs.provider), graphs)

    check_provider(provider)
    if name != "auto":
        return load(bundle.manifest.variant(name))
    expected = place_of("cuda" if provider != "cpu" and nvidia_driver_present() else "cpu")
    opened = load(best_proven(bundle, expected))
    if opened.place != expected:  # CUDA did not start, or not for all graphs
        best = best_proven(bundle, opened.place)
        opened = opened if best == opened.variant else load(best)
    tell_of_choice(bundle, opened.variant, opened.place)
    return opened


def whole_graphs(variant: Variant) -> dict[str, str]:
    """The graphs that answer whole inputs, by role: that of single steps is opened when it is asked for."""
    return {role: file for role, file in variant.graphs.items() if role != STEP}
