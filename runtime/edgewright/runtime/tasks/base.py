"""What the device half of a task is: raw input to tensors, tensors to answers.

This is the only place where preprocessing exists. Training, evaluation, calibration and parity all call these
methods.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edgewright.runtime.manifest import TensorSpec

__all__ = ["DeviceTask", "Feeds"]

Feeds = dict[str, NDArray[Any]]
"""Tensors by name: what goes into a graph, or comes out of it."""


class DeviceTask(Protocol):
    """One task, built from a manifest's `processor` settings and `labels`.

    A task knows nothing of models, graphs or sessions. Its methods are pure and safe to call from many
    threads.
    """

    @property
    def processor(self) -> Mapping[str, Any]:
        """The settings as plain JSON values, as they stand in the manifest."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the graph's output; empty where a task has none."""

    def check(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Raise `BundleError` when a graph with these inputs and outputs cannot serve this task."""

    def files(self, directory: Path) -> list[Path]:
        """The raw inputs that a directory stands for. Raises `InputError` when there is none."""

    def encode(self, raw: Any) -> Feeds:
        """One raw input to the tensors of one sample, without a batch axis. Raises `InputError`."""

    def collate(self, samples: Sequence[Feeds]) -> Feeds:
        """Samples to one batch, on a new leading axis."""

    def decode(self, outputs: Feeds) -> list[Any]:
        """A batch of graph outputs to one answer each. Raises `InputError` when an output is not finite."""

    def decisions(self, outputs: Feeds) -> list[Any]:
        """A batch of graph outputs to what is decided for each, in plain JSON values that can be compared
        with ==.
        """
