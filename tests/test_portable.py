"""Windows: no command needs a module, a function or a signal that only POSIX systems have."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.encoder_bundle import case, make_encoder_bundle

ROOT = Path(__file__).parent.parent
FILES = [
    file for part in ("pipeline", "exporters", "runtime") for file in sorted((ROOT / part).rglob("*.py"))
]

MODULES = {
    "crypt", "curses", "fcntl", "grp", "nis", "ossaudiodev", "pipes", "posix", "pty", "pwd", "readline",
    "resource", "spwd", "syslog", "termios", "tty",
}  # fmt: skip
"""Modules of the standard library that Windows lacks."""

NAMES = {
    "os": r"""
        chflags chown chroot confstr copy_file_range ctermid environb eventfd.* fchdir fchmod fchown fdatasync fork
        forkpty fpathconf fstatvfs fwalk get(_blocking|egid|envb|euid|gid|grouplist|groups|loadavg|pgid|pgrp|priority)
        get(random|resgid|resuid|sid|uid|xattr) grantpt initgroups kill killpg lchflags lchmod lchown listxattr lockf
        login_tty major makedev memfd_create minor mkfifo mknod nice openpty pathconf pidfd_open pipe2 posix_.* pread
        preadv ptsname pwrite pwritev readv register_at_fork removexattr sched_.* sendfile
        set(_blocking|egid|euid|gid|groups|ns|pgid|pgrp|priority|regid|resgid|resuid|reuid|sid|uid|xattr)
        spawn[lv]pe? splice statvfs statx sync sysconf tcgetpgrp tcsetpgrp timerfd_.* ttyname uname unlockpt unshare
        wait wait3 wait4 waitid writev W[A-Z]+ EX_[A-Z]+ F_[A-Z]+ P_PIDFD PRIO_[A-Z]+ RTLD_[A-Z]+ SCHED_[A-Z]+
        O_(ASYNC|CLOEXEC|DIRECT|DIRECTORY|DSYNC|EXLOCK|NDELAY|NOATIME|NOCTTY|NOFOLLOW|NONBLOCK|PATH|RSYNC|SHLOCK|SYNC)
        O_TMPFILE SEEK_DATA SEEK_HOLE
    """,
    "signal": r"""
        SIG(ALRM|BUS|CHLD|CLD|CONT|HUP|IO|KILL|PIPE|POLL|PROF|PWR|QUIT|RTMAX|RTMIN|STOP|SYS|TRAP|TSTP|TTIN|TTOU|URG)
        SIG(USR1|USR2|VTALRM|WINCH|XCPU|XFSZ|_BLOCK|_SETMASK|_UNBLOCK) ITIMER_[A-Z]+ alarm getitimer pause
        pidfd_send_signal pthread_.* setitimer siginterrupt sigpending sigtimedwait sigwait sigwaitinfo
    """,
    "time": "CLOCK_[A-Z_]+ clock_.* pthread_getcpuclockid tzset",
    "select": "devpoll epoll kevent kqueue poll PIPE_BUF",
    "socket": "AF_UNIX send_fds recv_fds",
    "asyncio": "open_unix_connection start_unix_server",
}
"""What else of the standard library Windows lacks, by module: names, or patterns of them. `os.kill` is there, but ends
a process where POSIX only asks whether it runs.
"""

ARGUMENTS = {"preexec_fn", "pass_fds", "process_group", "start_new_session", "umask"}
"""Arguments of `subprocess.Popen` that Windows refuses or ignores."""


def only_posix(module: str, name: str) -> bool:
    """Whether `module.name` is one of NAMES."""
    return any(re.fullmatch(pattern, name) for pattern in NAMES.get(module, "").split())


def uses(source: str) -> Iterator[str]:
    """What `source` needs that Windows lacks and that no `hasattr`, no `sys.platform` in the same function guards."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module.split(".")[0] in MODULES:
                yield module
            yield from (f"{module}.{alias.name}" for alias in node.names if only_posix(module, alias.name))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("subprocess."):
            yield from (word.arg for word in node.keywords if word.arg in ARGUMENTS)
    yield from _attributes(tree, "")


def _attributes(node: ast.AST, around: str) -> Iterator[str]:
    """Attributes below `node`; `around` is the source of the function that it stands in."""
    for child in ast.iter_child_nodes(node):
        inside = ast.unparse(child) if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else around
        if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name):
            module, name = child.value.id, child.attr
            guarded = f"hasattr({module}, '{name}')" in inside or "sys.platform ==" in inside
            if only_posix(module, name) and not guarded:
                yield f"{module}.{name}"
        yield from _attributes(child, inside)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_needs_what_windows_lacks(file: Path) -> None:
    assert list(uses(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import fcntl",
        "def run():\n    import resource",
        "from termios import tcgetattr",
        "import curses.ascii",
        "from os import fork",
        "import os\nos.getuid()",
        "import os\nprint(os.O_RDONLY | os.O_DIRECTORY)",
        "import os\ndef cores():\n    return len(os.sched_getaffinity(0))",
        "import os\ndef a():\n    hasattr(os, 'fork')\ndef b():\n    os.fork()",
        "import os, signal\nos.killpg(3, signal.SIGKILL)",
        "import signal\nclass A:\n    stop = signal.SIGHUP",
        "import os\nos.kill(3, 0)",
        "import subprocess\nsubprocess.run(['a'], preexec_fn=print)",
        "import time\ntime.tzset()",
    ],
)
def test_what_the_look_finds(source: str) -> None:
    assert list(uses(source))


@pytest.mark.parametrize(
    "source",
    [
        "import os, signal\nos.getpid(); os.O_CREAT; os.waitpid; os.open; signal.SIGINT; signal.SIGTERM",
        "import os\ndef cores():\n    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1",
        "import os, sys\ndef runs(p):\n    if sys.platform == 'win32':\n        return True\n    os.kill(p, 0)",
        "import resources, my.resource",
        "import subprocess\nsubprocess.run(['a'], check=False)",
    ],
)
def test_what_the_look_lets_pass(source: str) -> None:
    assert list(uses(source)) == []


BLOCK = (
    f"import sys\nsys.modules.update(dict.fromkeys({sorted(MODULES - {'posix'})}))\n"  # of which os is made
)
MAIN = f"{BLOCK}from edgewright.pipeline.cli.main import main\nmain(sys.argv[1:])"
MEASURE = f"{BLOCK}import runpy\nrunpy.run_module('edgewright.pipeline.stages.bench', run_name='__main__')"


def test_the_device_s_commands_run_without_these_modules(tmp_path: Path) -> None:
    bundle = make_encoder_bundle(tmp_path / "bundle", case("one label"))
    for program, words in (
        (MAIN, ("predict", bundle, "good film")),
        (MAIN, ("verify", bundle)),
        (MAIN, ("doctor", "--no-hub")),
        (MEASURE, (json.dumps([str(bundle), "fp32", 0.1, 2, "cpu", 1]),)),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
