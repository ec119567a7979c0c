"""The messages of all errors that tests meet, whole, in one golden file: what a user reads is seen when it changes.

`refused` is how a test meets one. Its message has to be that of `messages.json`, whose keys are tests; what differs
from machine to machine is a word in angle brackets there. `pytest --update-messages` writes down what is said now.
Without it a test fails that meets an unknown message, or none where the file has one.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest
from filelock import FileLock

from edgewright.runtime.errors import EdgewrightError

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_name("messages.json")

_TEMPORARY = re.compile(
    r"[^\s'\"(]*/pytest-of-[^/\s]+/pytest-\d+(/popen-gw\d+)?/[^/\s'\":)]+|/tmp/edgewright-\w+"
)
_GROUP = re.compile(r"@[\w-]+$")
"""What pytest-xdist adds to the name of a test that shares a process with others."""
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")

_running: list["Messages"] = []


class Messages:
    """A plugin of pytest: those of the tests of this process."""

    def __init__(self, update: bool) -> None:
        self.update = update
        self.known = read()
        self.said: dict[str, list[str]] = {}
        self.collected: set[str] = set()
        """The tests there are of the functions that are run."""
        self.ran: set[str] = set()
        _running[:] = [self]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.collected |= {_key(item.nodeid) for item in items}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        key = _key(item.nodeid)
        self.said.pop(key, None)
        yield
        self.ran.add(key)
        missing = self.known.get(key, [])[len(self.said.get(key, ())) :]
        assert self.update or not missing, f"tests/messages.json has what is not said any more: {missing}"

    def meet(self, message: str) -> None:
        """Compare the next message of the test that is running with the file's."""
        key, text = _key(os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]), plain(message)
        said = self.said.setdefault(key, [])
        known = self.known.get(key, [])[len(said) : len(said) + 1]
        said.append(text)
        assert self.update or [text] == known, (
            "not what tests/messages.json has (--update-messages writes it down)"
        )

    def pytest_sessionfinish(self) -> None:
        if not self.update:
            return
        with FileLock(FILE.with_suffix(".lock")):
            kept = {key: value for key, value in read().items() if key not in self.ran and self.there(key)}
            document = dict(
                sorted({**kept, **{key: self.said[key] for key in self.ran & self.said.keys()}}.items())
            )
            FILE.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        FILE.with_suffix(".lock").unlink(missing_ok=True)

    def there(self, key: str) -> bool:
        """Whether there is the test of a key; one of a function that is not run now is taken to be there."""
        function = _function(key)
        if function in set(map(_function, self.collected)):
            return key in self.collected
        path, _, name = function.partition("::")
        file = ROOT / "tests" / path
        return file.exists() and f"def {name.rpartition('::')[2]}(" in file.read_text("utf-8")


def running() -> Messages:
    """The plugin of this process."""
    return _running[0]


def read() -> dict[str, list[str]]:
    """What the file has: the messages of each test, in the order in which they are met."""
    found: dict[str, list[str]] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return found


class refused:
    """What is done inside is refused with an error of this kind, in the words of the golden file."""

    def __init__(self, kind: type[EdgewrightError]) -> None:
        self._raises = pytest.raises(kind)

    def __enter__(self) -> pytest.ExceptionInfo[EdgewrightError]:
        self._caught: pytest.ExceptionInfo[EdgewrightError] = self._raises.__enter__()
        return self._caught

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        done = self._raises.__exit__(kind, error, trace)
        if done:
            running().meet(str(self._caught.value))
        return done


def plain(message: str) -> str:
    """A message without what differs from machine to machine."""
    text = _TEMPORARY.sub("<tmp>", message).replace(str(ROOT), "<root>")
    return _ADDRESS.sub("<address>", text)


def _key(nodeid: str) -> str:
    return _GROUP.sub("", nodeid.removeprefix("tests/"))


def _function(key: str) -> str:
    return key.partition("[")[0]
