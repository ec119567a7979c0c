"""Answers that are made when they are first looked at: a control loop must not pay for what nobody reads."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Late:
    """What stands in for an answer: `pending` holds the function that makes it, and its argument.

    After the first look it is an ordinary answer. A look at one whose output is not finite raises `InputError`.
    """

    pending: tuple[Callable[[Any], Any], Any] | None

    def __getattr__(self, name: str) -> Any:
        # Called only for what is not there yet. Names with underscores are asked for by copy, pickle and doctest.
        if name.startswith("__"):
            raise AttributeError(name)
        _arrive(self)
        return getattr(self, name)

    def __eq__(self, other: object) -> Any:
        _arrive(self)
        return self == other

    def __hash__(self) -> int:
        _arrive(self)
        return hash(self)

    def __repr__(self) -> str:
        _arrive(self)
        return repr(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        _arrive(self)
        return self.__reduce_ex__(protocol)


def _arrive(answer: Any) -> None:
    make, argument = answer.pending
    made = make(argument)  # raises, and the next look does so again, where there is nothing to see
    # Answers are frozen: their own assignment refuses.
    object.__setattr__(answer, "__dict__", made.__dict__)
    object.__setattr__(answer, "__class__", type(made))


def late(kind: type[T]) -> type[T]:
    """The subclass of `kind`, a class without slots, whose objects begin with `pending` alone."""
    return cast(
        type[T], type(kind.__name__, (Late, kind), {"__module__": kind.__module__, "__doc__": kind.__doc__})
    )


class LateAnswer:
    """Makes answers of `kind`, a class that `late` has made.

    `make` turns the output [1, ...] of a step into the real one, `make_all` that of many streams [streams, ...] into
    one for each; it raises `InputError` where any of them is not finite. `at_once` is for answers that cost less to
    make than to keep for later: given the buffer that every output comes in, and what makes a late answer of it (for an
    output that is not finite), it returns what makes the real one.
    """

    def __init__(
        self,
        kind: type[Any],
        make: Callable[[Any], Any],
        make_all: Callable[[Any], list[Any]],
        at_once: Callable[[NDArray[Any], Callable[[], Any]], Callable[[], Any]] | None = None,
    ) -> None:
        self.kind, self.make, self.make_all, self.at_once = kind, make, make_all, at_once

    def __call__(self, outputs: NDArray[Any], time: float | None = None) -> Any:
        """The answer to a step, made when it is first looked at."""
        answer: Any = object.__new__(self.kind)
        answer.__dict__["pending"] = self.make, outputs
        return answer

    def of(self, output: NDArray[Any]) -> Callable[[], Any]:
        """What makes the answer to what is in `output`, a buffer, at that moment."""
        new: Any = object.__new__
        # Bytes are copied in half of the time that an array is.
        kind, make, content, dtype, shape = self.kind, self.make, output.tobytes, output.dtype, output.shape

        def read(content: bytes) -> Any:
            return make(np.frombuffer(content, dtype).reshape(shape))

        def promise() -> Any:
            answer = new(kind)
            answer.__dict__["pending"] = read, content()
            return answer

        return promise if self.at_once is None else self.at_once(output, promise)
