"""What the device half of a task is: raw input to tensors, tensors to answers.

This is the only place where preprocessing exists. Training, evaluation, calibration and parity all call these
methods.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edgewright.runtime.manifest import TensorSpec

__all__ = ["DeviceTask", "Feeds", "StreamFront", "StreamingTask"]

Feeds = dict[str, NDArray[Any]]
"""Tensors by name: what goes into a graph, or comes out of it."""


class DeviceTask(Protocol):
    """One task, built from a manifest's `processor` settings, `labels` and assets.

    A task knows nothing of models, graphs or sessions. Its methods are pure and safe to call from many
    threads.
    """

    @property
    def processor(self) -> Mapping[str, Any]:
        """The settings as plain JSON values, as they stand in the manifest."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the graph's output; empty where a task has none."""

    @property
    def assets(self) -> Mapping[str, tuple[str, bytes]]:
        """What does not fit into the manifest: role to file name ("tokenizer.json") and content; mostly empty."""

    def check(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Raise `BundleError` when a graph with these inputs and outputs cannot serve this task."""

    def files(self, directory: Path) -> list[Path]:
        """The raw inputs that a directory stands for. Raises `InputError` when there is none."""

    def inputs(self, argument: str) -> list[tuple[str, Any]]:
        """What one word on the command line stands for: a name and a raw input for each.

        A file may hold several raw inputs (the series of a table, the lines of a text file). Nothing is decoded more
        than that needs; what cannot be found is returned as it is, so that answering it says what is wrong.
        """

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        """A raw input as the content and suffix (".png") of a file that encodes to exactly the same tensors."""

    def encode(self, raw: Any) -> Feeds:
        """One raw input to the tensors of one sample, without a batch axis. Raises `InputError`."""

    def collate(self, samples: Sequence[Feeds]) -> Feeds:
        """Samples to one batch, on a new leading axis, padded with zeros where their lengths differ."""

    def decode(self, outputs: Feeds) -> list[Any]:
        """A batch of graph outputs to one answer each. Raises `InputError` when an output is not finite."""

    def decisions(self, outputs: Feeds) -> list[Any]:
        """A batch of graph outputs to what is decided for each, in plain JSON values that can be compared
        with ==. A task whose answers are numbers alone decides nothing: an empty list for each.
        """

    def plain(self, answer: Any, top: int = 5) -> dict[str, Any]:
        """An answer as plain JSON values; of ranked labels the `top` best."""

    def show(self, answer: Any, top: int = 1) -> str:
        """An answer as one line for a person."""


class StreamFront(Protocol):
    """The raw half of one stream: pieces in, steps out. It remembers what the next step needs of the raw input."""

    def push(self, piece: Any) -> Iterator[Feeds]:
        """The steps that `piece` completes, each the step graph's inputs without a batch axis. Raises `InputError`, and
        then remembers nothing of the piece.
        """

    def state(self) -> Feeds:
        """All that it remembers, as arrays by name."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state` returned. Raises `InputError` when it does not fit."""

    def reset(self) -> None:
        """Forget everything."""


class StreamingTask(DeviceTask, Protocol):
    """A task whose raw input can arrive in pieces."""

    def stream_front(self) -> StreamFront:
        """The raw half of a new stream."""
