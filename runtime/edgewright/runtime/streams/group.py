"""Many streams of one model that step together, in one run of the graph."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, overload

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.arguments import check_text, check_whole, kind_of
from edgewright.runtime.contracts import AnswerMaker, Steps, Tensors
from edgewright.runtime.errors import InputError
from edgewright.runtime.streams.alone import Alone, refuse_copy
from edgewright.runtime.streams.state import StreamState, save_state
from edgewright.runtime.streams.stream import StreamModel
from edgewright.runtime.tasks.base import Task


class _Answers(Sequence[Any]):
    """The answers of one step of many streams, each made when it is looked at: 64 of them cost as much as a third of
    the run.
    """

    def __init__(self, makers: Sequence[AnswerMaker], output: NDArray[Any]) -> None:
        self._makers, self._output = makers, output

    def __len__(self) -> int:
        return len(self._makers)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        rows = range(len(self))[index]
        if isinstance(rows, range):
            return [self[row] for row in rows]
        return self._makers[rows](self._output[rows])

    def __iter__(self) -> Iterator[Any]:
        return (self[row] for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def __repr__(self) -> str:
        return repr(list(self))


_MOST = 1 << 16
"""Streams of a group; the buffers of each are made at once."""


class StreamGroup:
    """Independent streams, numbered from 0, that are pushed together. For one thread at a time: a call while another is
    at work is refused. A group is neither copied nor pickled, the `state(row)` of each stream is.
    """

    def __init__(
        self,
        model: StreamModel,
        task: Task[Any],
        count: int,
        series: Sequence[str] | None = None,
    ) -> None:
        if isinstance(count, int) and count < 1:
            raise InputError(f"a group of {count} streams: give 1 or more")
        count = check_whole(count, "the number of streams")
        if count > _MOST:
            raise InputError(f"a group of {count} streams: give {_MOST} at most, and several groups for more")
        if series is not None:
            if not isinstance(series, (list, tuple)):
                raise InputError(f"series is {kind_of(series)}: give a list with the name of each")
            if len(series) != count:
                raise InputError(f"{count} streams and {len(series)} names of series: give one for each")
            for name in series:
                check_text(name, "the name of a series", "a str")
        self._model, self._task = model, task
        self._fronts = [task.stream_front(name, model.memory) for name in series or [""] * count]
        self._runner = model.runner(count)
        self._output = self._runner.bound.output
        self._answers = [front.answer for front in self._fronts]
        self._later = all(front.timeless for front in self._fronts)
        self._axes = {spec.name: spec.shape.index("batch") for spec in model.streaming.inputs}
        self._alone = Alone()
        self._renew()

    def __len__(self) -> int:
        return len(self._fronts)

    def _renew(self) -> None:
        self._write = self._task.block_writer(self._fronts, self._runner.feeds)

    def push(
        self, pieces: Any, rows: Sequence[int] | NDArray[np.integer[Any]] | None = None
    ) -> Sequence[Any]:
        """Push one piece to each stream, or to those of `rows`, and return each one's newest answer, in that order.

        `pieces` is an array [streams, features], one step for each, or a list of what `Stream.push` takes. The answer
        of a stream that completes no step is None. Raises `InputError` naming the stream whose piece cannot be
        answered; no stream has then moved.
        """
        with self._alone:
            if rows is None and self._write(pieces):
                self._runner.step()
                answers = _Answers(self._answers, self._output.copy())
                return answers if self._later else list(answers)
            return [found[-1] if found else None for found in self._push(pieces, rows, newest=True)]

    def push_all(
        self, pieces: Any, rows: Sequence[int] | NDArray[np.integer[Any]] | None = None
    ) -> list[list[Any]]:
        """Push as `push` does and return the answer to every step that each stream completes."""
        with self._alone:
            return self._push(pieces, rows, newest=False)

    def _push(
        self, pieces: Any, rows: Sequence[int] | NDArray[np.integer[Any]] | None, newest: bool
    ) -> list[list[Any]]:
        chosen = self._chosen(rows)
        listed = hasattr(pieces, "__len__") and hasattr(pieces, "__iter__") and getattr(pieces, "ndim", 1) > 0
        if not listed or isinstance(pieces, (str, bytes)) or len(pieces) != len(chosen):
            count = len(pieces) if listed else 1
            raise InputError(f"{count} pieces for {len(chosen)} streams: give one for each")
        steps = self._take(pieces, chosen)
        answers: list[list[Any]] = [[] for _ in chosen]
        wanted = [frozenset(taken.answered[-1:] if newest else taken.answered) for taken in steps]
        for turn in range(max((taken.count for taken in steps), default=0)):
            moving = [place for place, taken in enumerate(steps) if taken.count > turn]
            for place in moving:
                if turn in steps[place].begins:
                    self._runner.reset(chosen[place])
            output = self._run(
                [chosen[place] for place in moving], [steps[place].feeds for place in moving], turn
            )
            for position, place in enumerate(moving):
                taken = steps[place]
                if turn in wanted[place]:
                    time = None if taken.times is None else float(taken.times[turn])
                    answers[place].append(self._fronts[chosen[place]].answer(output[position], time))
        return answers

    def _chosen(self, rows: Sequence[int] | NDArray[np.integer[Any]] | None) -> list[int]:
        if rows is None:
            return list(range(len(self)))
        try:
            chosen = [self._row(row) for row in rows]
        except TypeError:
            raise InputError(f"rows is {kind_of(rows)}: give the numbers of streams") from None
        if len(set(chosen)) != len(chosen):
            raise InputError("a stream is chosen twice: push to each once")
        return chosen

    def _row(self, row: int) -> int:
        whole = isinstance(row, (int, np.integer)) and not isinstance(row, bool)
        if not whole or not 0 <= row < len(self):
            called = row if isinstance(row, (int, float, np.number)) else kind_of(row)
            raise InputError(f"there is no stream {called}: they are numbered 0 to {len(self) - 1}")
        return int(row)

    def _take(self, pieces: Any, chosen: Sequence[int]) -> list[Steps]:
        """What each front makes of its piece; all of them or none."""
        before = [(self._fronts[row].state(), self._fronts[row].series) for row in chosen]
        steps: list[Steps] = []
        row = 0
        try:
            for piece, row in zip(pieces, chosen, strict=True):
                steps.append(self._fronts[row].push(piece))
        except InputError as error:
            for other, (state, series) in zip(chosen[: len(steps)], before, strict=False):
                self._fronts[other].restore(state, series)
            raise InputError(f"stream {row}: {error}") from None
        finally:
            self._renew()
        return steps

    def _run(self, rows: list[int], feeds: Sequence[Tensors], turn: int) -> NDArray[Any]:
        """Run some streams one step; their outputs, in the order of `rows`."""
        batch = {name: np.stack([feed[name][turn] for feed in feeds]) for name in self._axes}
        if len(rows) == len(self):
            for name, axis in self._axes.items():
                np.moveaxis(self._runner.feeds[name], axis, 0)[rows] = self._column(batch[name], axis)
            self._runner.step()
            found: NDArray[Any] = self._output[rows]  # a copy
            return found
        few = {
            name: np.moveaxis(self._column(batch[name], axis), 0, axis) for name, axis in self._axes.items()
        }
        return next(iter(self._runner.step_rows(np.array(rows), few).values()))

    @staticmethod
    def _column(batch: NDArray[Any], axis: int) -> NDArray[Any]:
        """A batch with its batch axis first, and the leading 1 of `values` where the graph has one."""
        return batch[:, np.newaxis] if axis == 1 else batch

    def reset(self, row: int | None = None) -> None:
        """Begin one stream anew, or all of them."""
        with self._alone:
            for number in range(len(self)) if row is None else [self._row(row)]:
                self._fronts[number].reset()
                self._runner.reset(number)
            self._renew()

    def state(self, row: int) -> StreamState:
        """All that one stream remembers, copied; `Stream.restore` takes it as well."""
        number = self._row(row)
        with self._alone:
            return self._model.state(self._runner, number, self._fronts[number])

    def restore(self, row: int, state: StreamState | str | Path) -> None:
        """Set one stream to a state, or to the file of one. Raises `InputError` as `Stream.restore` does."""
        number = self._row(row)
        with self._alone:
            self._model.restore(state, self._runner, number, self._fronts[number])
            self._renew()

    def save(self, row: int, path: str | Path) -> None:
        """Write the state of one stream to `path`, atomically."""
        save_state(self.state(row), Path(path))

    def __reduce__(self) -> NoReturn:
        raise refuse_copy("group.state(row)")
