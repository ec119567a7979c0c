"""One call at a time: what goes on from its last state has no answer for two at once."""

import threading
from collections.abc import Callable
from typing import Any

from edgewright.runtime.errors import InputError

_SHARED = (
    "the stream is at work in another thread: use each stream in one thread at a time, "
    "and begin as many streams as there are threads"
)


class Alone:
    """Refuses a second call while one is at work. It costs a tenth of a microsecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(False):
            raise InputError(_SHARED)

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def guard(self, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """`call`, which is refused while any other call is at work: quicker than `with`."""
        begin, end = self._lock.acquire, self._lock.release

        def guarded(piece: Any) -> Any:
            if not begin(False):
                raise InputError(_SHARED)
            try:
                return call(piece)
            finally:
                end()

        return guarded


def refuse_copy(state: str) -> InputError:
    """What a stream that is copied or pickled is refused with; `state` is the call that gives what can be."""
    return InputError(
        f"a stream is not copied, its memory belongs to one session: copy or pickle {state}, and restore it in another"
    )
