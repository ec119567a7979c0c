"""What the device half of a task is: raw input to tensors, tensors through the graphs, outputs to answers.

This is the only place where preprocessing exists. Training, evaluation, calibration and parity all call these
methods.
"""

import abc
import functools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from numpy.typing import NDArray

from edgewright.runtime.bundle.manifest import StreamMemory
from edgewright.runtime.bundle.structure import to_plain
from edgewright.runtime.contracts import MODEL, STEP, GraphSpec, StreamEncoder, Tensors
from edgewright.runtime.errors import BundleError
from edgewright.runtime.graphs.graphs import Graphs
from edgewright.runtime.inputs import Named, word_inputs
from edgewright.runtime.options import Option
from edgewright.runtime.running.parts import in_parts
from edgewright.runtime.running.rows import run_samples
from edgewright.runtime.tasks.answers import Answer
from edgewright.runtime.tasks.description import Description, ModelFacts
from edgewright.runtime.tasks.shapes import check_tensors, fits, pad_collate

A = TypeVar("A", bound=Answer)


class Task(abc.ABC, Generic[A]):
    """One task, built from a manifest's `processor` settings, `labels` and assets; its answers are of the class `A`.

    A task knows nothing of models and sessions. Its methods are pure and safe to call from many threads.
    """

    name = ""
    """The task's name in manifests."""

    noun = "input"
    """What one raw input is called, such as "image"."""

    suffixes: frozenset[str] = frozenset()
    """Endings of the names of files with raw inputs, lower case."""

    reads_text = False
    """Whether a raw input that is a `str` is the text itself; for other tasks it is the path of a file."""

    options: tuple[Option, ...] = ()
    """What may be asked of an answer beside the raw input; mostly nothing."""

    formats: tuple[str, ...] = ()
    """Forms beside JSON and CSV in which `predict --format` writes answers, see `Answer.written`."""

    ragged = False
    """Whether samples differ in length: the first input of the graph then has an axis "time"."""

    counts_tokens = False
    """Whether a batch is limited by its tokens, too."""

    loops = False
    """Whether `run` is more than the windows of a sample through the graph "model"."""

    settings: Any
    """How a raw input is read: a dataclass."""

    calls: tuple[str, ...] = ()
    """What else an engine can be asked, beside answering: methods of the task, each taking a raw input and the graphs;
    mostly none.
    """

    alike = 1.0
    """The `agreement` from which two decisions count as the same: less than 1 where each consists of a thousand."""

    labels: tuple[str, ...] = ()
    """The names of the classes, in the order of the graph's output; empty where a task has none."""

    signatures: Mapping[str, GraphSpec]
    """What the graph of each role has to take and give. "step" may be missing from a bundle."""

    @property
    def processor(self) -> Mapping[str, Any]:
        """The settings as plain JSON values, as they stand in the manifest."""
        plain: dict[str, Any] = to_plain(self.settings)
        return plain

    @property
    def assets(self) -> Mapping[str, tuple[str, bytes]]:
        """What does not fit into the manifest: role to file name ("tokenizer.json") and content; mostly empty."""
        return {}

    def check(self, graphs: Mapping[str, GraphSpec]) -> None:
        """Raise `BundleError` when graphs that take and give this cannot serve the task."""
        for role, wanted in self.signatures.items():
            found = graphs.get(role)
            if found is None:
                if role == STEP:
                    continue
                raise BundleError(f"the bundle has no graph {role!r}: get a fresh copy of the bundle")
            graph = "the graph" if role == MODEL else f"the {role} graph"
            check_tensors("input", found.inputs, wanted.inputs, graph)
            check_tensors("output", found.outputs, wanted.outputs, graph)
            if role != STEP and not _same_states(found, wanted):
                raise BundleError(
                    f"{graph} has other states or constants than {self.name} needs: get a fresh copy of the bundle"
                )
        for role in graphs.keys() - self.signatures.keys():
            raise BundleError(f"{self.name} does not know a graph {role!r}: get a fresh copy of the bundle")

    @abc.abstractmethod
    def describe(self, model: ModelFacts) -> Description:
        """What is said of `model`, one of this task, to people and to other tools."""

    def inputs_of(self, path: Path) -> Iterable[Named]:
        """A name and a raw input for each that a file holds: the series of a table, the rows of a file of texts.

        Nothing is decoded more than that needs, nor held longer. What is none comes as `Unreadable`, and a file that
        cannot be opened as its path, so that answering it says what is wrong.
        """
        return [(str(path), path)]

    def typed(self, word: str) -> Any:
        """A text that somebody typed, as a raw input, where the task reads text."""
        return word

    def inputs(self, word: str, stdin_format: str = "") -> Iterator[Named]:
        """What one word on the command line stands for, see `word_inputs`."""
        return word_inputs(self, word, stdin_format)

    @abc.abstractmethod
    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        """A raw input as the content and suffix (".png") of a file that encodes to exactly the same tensors."""

    @abc.abstractmethod
    def encode(self, raw: Any) -> Tensors:
        """One raw input to the tensors of one sample, without a batch axis. Raises `InputError`.

        Beside the graph's inputs there may be what `decode` needs to know of the sample: the "scale" of its series,
        the "time" of its last step.
        """

    def steps(self, raw: Any) -> NDArray[Any]:
        """The steps of a raw input as graphs take them, of a forecast those before its context too. Raises
        `InputError`.
        """
        found: NDArray[Any] = self.encode(raw)[self.input_names[0]]
        return found

    def encode_all(self, raws: Sequence[Any]) -> list[Tensors]:
        """What `encode` makes of each, on all cores where that helps. Raises `InputError` for the first that is bad."""
        return [self.encode(raw) for raw in raws]

    def is_one(self, raw: Sequence[Any]) -> bool:
        """Whether a list or a tuple is a single raw input, such as samples with their rate."""
        return False

    def parts(self, raws: Sequence[Any], count: int) -> Iterator[Sequence[Any]]:
        """Raw inputs in parts of at most `count` rows, which are encoded at once."""
        return in_parts(raws, count)

    def windows(self, sample: Tensors) -> Sequence[Tensors]:
        """The rows of the graph "model" that a sample is: mostly itself, of a long text several."""
        return (sample,)

    def merge(self, rows: Sequence[Tensors], sample: Tensors, graphs: Graphs) -> Tensors:
        """The outputs of a sample from those of its `windows`, none of them padded and none with a batch axis."""
        return rows[0]

    @property
    def rows(self) -> GraphSpec:
        """The graph that samples are rows of: "model", or the first of several."""
        return self.signatures.get(MODEL) or next(iter(self.signatures.values()))

    @functools.cached_property
    def input_names(self) -> tuple[str, ...]:
        """The inputs of the graph `rows`."""
        return tuple(spec.name for spec in self.rows.inputs)

    @functools.cached_property
    def timed_outputs(self) -> frozenset[str]:
        """The outputs of the graph `rows` that have an entry for every step."""
        return frozenset(spec.name for spec in self.rows.outputs if spec.shape[1:2] == ("time",))

    def length(self, row: Tensors) -> int:
        """How many steps a row of a task with ragged samples has."""
        return len(row[self.input_names[0]])

    def collate(self, samples: Sequence[Tensors]) -> Tensors:
        """Samples, or windows of them, to one batch of the inputs of the graph `rows`, on a new leading axis.

        They are padded with zeros where their lengths differ. A single one is not copied.
        """
        return pad_collate(samples, self.rows.inputs)

    def warm_up(self, graphs: Graphs) -> None:
        """Do now what the first sample would have to wait for. Raises `InputError`."""

    def run(self, samples: Sequence[Tensors], graphs: Graphs) -> Iterator[Tensors]:
        """Encoded samples through the graphs: the outputs of each, in order, as `decode` takes them.

        Outputs belong to one sample: they have no batch axis and no padding, and each is put together when it is asked
        for. How samples share batches, windows are merged and loops are driven is known here alone. Raises
        `InputError`, `MachineError`.
        """
        return run_samples(self, samples, graphs)

    def replay(self, sample: Tensors, reference: Tensors, graphs: Graphs) -> Tensors:
        """What these graphs give along `reference`, the outputs of another model for the sample: a loop is led along
        the choices that were made there. What does not choose on its way simply runs.
        """
        (outputs,) = self.run((sample,), graphs)
        return outputs

    def iterate(self, sample: Tensors, graphs: Graphs) -> Generator[A, None, None]:
        """The answer in parts, as they come: pieces of a text, segments of a recording. Who closes it ends the work.

        An answer that has no parts comes as a whole.
        """
        (outputs,) = self.run((sample,), graphs)
        yield self.decode(outputs, sample)

    @abc.abstractmethod
    def decode(self, outputs: Tensors, sample: Tensors) -> A:
        """The outputs of one sample to its answer. Raises `InputError` when they are not finite."""

    def margin(self, outputs: Tensors) -> float | None:
        """How far apart the best and the second best of what a loop chose from were, in the unit of its outputs, where
        they were closest: of two models, only what lies further apart than their difference has to be chosen alike.
        None where that is not known. Nobody asks where nothing loops: there, moved outputs are decided again.
        """
        return None

    def decision(self, answer: A) -> Any:
        """What an answer decides, in plain JSON values; an empty list where answers are numbers alone, which decide
        nothing. Judging keeps one for every sample and variant, so a mask, say, is packed into a text.
        """
        return []

    def agreement(self, one: Any, other: Any) -> float:
        """How far two decisions agree, 0 to 1."""
        return float(one == other)

    def same(self, one: Any, other: Any) -> bool:
        """Whether two decisions count as the same."""
        return self.agreement(one, other) >= self.alike

    def vector(self, answer: A) -> NDArray[Any] | None:
        """The vector of an answer that says something only beside other vectors; None of any other answer."""
        return None

    def with_options(self, **options: Any) -> Self:
        """The same task, answering with these options, of which there is at least one. Raises `InputError`."""
        raise NotImplementedError(f"{self.name} declares options and does not say what they do")

    def stream_front(self, series: str = "", memory: StreamMemory | None = None) -> StreamEncoder:
        """The raw half of a new stream; `series` says which one it is where each has its own scale, `memory` is what a
        bundle says of streams.

        Raises `InputError` for a series that training never saw.
        """
        raise NotImplementedError(f"{self.name} has no stream")

    def block_writer(self, fronts: Sequence[StreamEncoder], feeds: Tensors) -> Callable[[Any], bool]:
        """What writes one whole step of plain numbers of many streams at once into `feeds`, the step graph's inputs.

        It says True when it has done so, and False, with nothing changed, for anything else. Good until anything else
        happens to one of the fronts.
        """
        return lambda piece: False

    def pieces(self, raw: Any) -> Iterator[Any]:
        """A raw input cut into the pieces in which a device would meet it, each good for `Stream.push`."""
        raise NotImplementedError(f"{self.name} has no stream")

    def pushed(self, raw: Any, memory: StreamMemory | None = None) -> Iterator[Any]:
        """What a running stream is pushed of a raw input, and of what parts it from the next one; as few pieces as may
        be.
        """
        yield raw

    def joined(self, answers: Sequence[A]) -> A:
        """The answers of a stream to the steps of a sample as the answer to the sample: mostly the last one."""
        return answers[-1]


def _same_states(found: GraphSpec, wanted: GraphSpec) -> bool:
    ours, theirs = ({state.input: state for state in graph.states} for graph in (found, wanted))
    return (
        dict(found.constants) == dict(wanted.constants)
        and ours.keys() == theirs.keys()
        and all(
            (ours[name].output, ours[name].grows) == (theirs[name].output, theirs[name].grows)
            and fits(ours[name].shape, theirs[name].shape)
            for name in ours
        )
    )
