"""A part of a test as another process: killed on its way, or as a user who may not do everything."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

NOBODY = 65534


def in_a_child(work: Callable[[], Any], user: int | None = None) -> int:
    """Call `work` in a forked process, as `user` where this one is root; its exit status, below zero for a signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if user is not None and os.getuid() == 0:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def killed_at(event: str, part: str, work: Callable[[], Any]) -> bool:
    """Whether `work`, in a forked process, came to a file operation on a path with `part`, where it is killed."""

    def hooked() -> None:
        def hook(name: str, arguments: tuple[Any, ...]) -> None:
            if name == event and any(part in str(one) for one in arguments[:2]):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        work()

    return in_a_child(hooked) == -signal.SIGKILL
