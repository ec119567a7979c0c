"""What the device half of a task is: raw input to tensors, tensors to answers.

This is the only place where preprocessing exists. Training, evaluation, calibration and parity all call these
methods.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from edgewright.runtime.contracts import GraphSpec, StreamEncoder, Tensors, TensorSpec
from edgewright.runtime.options import Option
from edgewright.runtime.tasks.description import Description, ModelFacts


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
    def reads_text(self) -> bool:
        """Whether a raw input that is a `str` is the text itself; for other tasks it is the path of a file."""

    @property
    def assets(self) -> Mapping[str, tuple[str, bytes]]:
        """What does not fit into the manifest: role to file name ("tokenizer.json") and content; mostly empty."""

    @property
    def options(self) -> tuple[Option, ...]:
        """What may be asked of an answer beside the raw input; mostly nothing."""

    def check(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Raise `BundleError` when a graph with these inputs and outputs cannot serve this task."""

    def describe(self, model: ModelFacts) -> Description:
        """What is said of `model`, one of this task, to people and to other tools."""

    def files(self, directory: Path) -> list[Path]:
        """The raw inputs that a directory stands for. Raises `InputError` when there is none."""

    def inputs(self, argument: str) -> list[tuple[str, Any]]:
        """What one word on the command line stands for: a name and a raw input for each.

        A file may hold several raw inputs (the series of a table, the lines of a text file). Nothing is decoded more
        than that needs; what cannot be found is returned as it is, so that answering it says what is wrong.
        """

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        """A raw input as the content and suffix (".png") of a file that encodes to exactly the same tensors."""

    def encode(self, raw: Any) -> Tensors:
        """One raw input to the tensors of one sample, without a batch axis. Raises `InputError`.

        Beside the graph's inputs there may be what `decode` needs to know of the sample: the "scale" of its series,
        the "time" of its last step.
        """

    def collate(self, samples: Sequence[Tensors]) -> Tensors:
        """Samples to one batch of the graph's inputs, on a new leading axis, padded with zeros where their lengths
        differ.
        """

    def decode(self, outputs: Tensors, samples: Sequence[Tensors] | None = None) -> list[Any]:
        """A batch of graph outputs to one answer each. Raises `InputError` when an output is not finite.

        `samples` is what `encode` made of each, for tasks whose answers depend on the sample; without it, an answer is
        as long as its output and has the scale of the whole training data.
        """

    def decisions(self, outputs: Tensors, samples: Sequence[Tensors] | None = None) -> list[Any]:
        """A batch of graph outputs to what is decided for each, in plain JSON values that can be compared
        with ==. A task whose answers are numbers alone decides nothing: an empty list for each.
        """


class OptionsTask(DeviceTask, Protocol):
    """A task that declares options."""

    def with_options(self, **options: Any) -> DeviceTask:
        """The same task, answering with these options, of which there is at least one. Raises `InputError`."""


class StreamingTask(DeviceTask, Protocol):
    """A task whose raw input can arrive in pieces."""

    def check_step(self, streaming: GraphSpec) -> None:
        """Raise `BundleError` when a step graph of this form cannot serve this task."""

    def stream_front(self, series: str = "") -> StreamEncoder:
        """The raw half of a new stream; `series` says which one it is where each has its own scale.

        Raises `InputError` for a series that training never saw.
        """

    def block_writer(self, fronts: Sequence[StreamEncoder], feeds: Tensors) -> Callable[[Any], bool]:
        """What writes one whole step of plain numbers of many streams at once into `feeds`, the step graph's inputs.

        It says True when it has done so, and False, with nothing changed, for anything else. Good until anything else
        happens to one of the fronts.
        """

    def pieces(self, raw: Any) -> Iterator[Any]:
        """A raw input cut into the pieces in which a device would meet it, each good for `Stream.push`."""
