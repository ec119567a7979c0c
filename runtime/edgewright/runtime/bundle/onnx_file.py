"""What an ONNX file asks for beside its own bytes: domains of operators, functions, files of weights.

A device has no onnx package, so the file is walked as the protocol buffers that it is: strictly, within bounds, and
past every weight without a look at it. Field numbers: onnx.proto3 of ONNX, https://protobuf.dev for the encoding.
"""

import errno
import mmap
from dataclasses import dataclass
from pathlib import Path

from edgewright.runtime.errors import BundleError, no_memory

_MOST_FIELDS = 5_000_000
"""Fields that are looked at before a file is refused: the largest models that are published have some 200,000."""

_DEEPEST = 100
"""How deep messages may lie in one another; protocol buffers end there, too."""

_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING, _ENTRY, _DOMAIN = range(10)
_PARTS: tuple[dict[int, int], ...] = (
    {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    {5: _ATTRIBUTE, 7: _DOMAIN},
    {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    {13: _ENTRY},
    {1: _TENSOR, 2: _TENSOR},
    {7: _NODE, 11: _ATTRIBUTE},
    {1: _GRAPH, 2: _GRAPH},
)
"""For each kind of message the fields that are followed, and what kind of message lies there."""


@dataclass(frozen=True)
class OnnxFile:
    """What a file asks for: `domains` of the operators of all its graphs, the standard one as "", whether it has
    `functions` of its own, and the places of `weights` outside, as the file gives them.
    """

    domains: frozenset[str]
    functions: bool
    weights: frozenset[str]


def read_onnx_file(path: Path) -> OnnxFile:
    """What the ONNX file at `path` asks for. Raises `BundleError` for a file that is none, `MachineError` for want of
    memory.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Walk(content).result()
    except _MalformedError as error:
        raise BundleError(f"{path} is not an ONNX file ({error}): get a fresh copy of the bundle") from None
    except ValueError:  # an empty file has no map
        raise BundleError(f"{path} is empty: get a fresh copy of the bundle") from None
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise no_memory(f"to look into {path}") from None
        raise BundleError(f"{path} cannot be read ({error.strerror or error}): check the disk") from None


class _MalformedError(Exception):
    """What is wrong with the bytes."""


class _Walk:
    """Through all messages of a file, in no order."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._waiting = [(0, len(content), _MODEL, 0)]
        self._left = _MOST_FIELDS
        self._domains: set[str] = set()
        self._weights: set[str] = set()
        self._functions = False

    def result(self) -> OnnxFile:
        try:
            while self._waiting:
                start, end, kind, depth = self._waiting.pop()
                if depth > _DEEPEST:
                    raise _MalformedError("nested too deeply")
                if kind == _ENTRY:
                    self._entry(start, end)
                else:
                    self._message(start, end, kind, depth)
        except IndexError:
            raise _MalformedError("it ends too early") from None
        return OnnxFile(frozenset(self._domains), self._functions, frozenset(self._weights))

    def _message(self, start: int, end: int, kind: int, depth: int) -> None:
        parts, waiting = _PARTS[kind], self._waiting
        named = kind != _NODE
        for number, place, after in self._lengths(start, end):
            part = parts.get(number)
            if part is None:
                continue
            if part == _DOMAIN:
                named = True
                self._domains.add(standard_domain(self._text(place, after)))
            else:
                self._functions |= part == _FUNCTION
                waiting.append((place, after, part, depth + 1))
        if not named:
            self._domains.add("")

    def _entry(self, start: int, end: int) -> None:
        """One entry of `external_data`: a key and a value."""
        found = {number: self._text(place, after) for number, place, after in self._lengths(start, end)}
        if found.get(1) == "location":
            self._weights.add(found.get(2, ""))

    def _lengths(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """The fields of a message that have a length: number, and where the content begins and ends."""
        content, place, left = self._content, start, self._left
        found: list[tuple[int, int, int]] = []
        while place < end:
            left -= 1
            if left < 0:
                raise _MalformedError("it has too many parts")
            tag = content[place]
            place += 1
            if tag > 127:
                tag, place = self._number(place - 1)
            kind = tag & 7
            if tag < 8:
                raise _MalformedError("a field without a number")
            if kind == 2:
                size = content[place]
                place += 1
                if size > 127:
                    size, place = self._number(place - 1)
                found.append((tag >> 3, place, place + size))
                place += size
            elif kind == 0:
                _, place = self._number(place)
            elif kind in (1, 5):
                place += 8 if kind == 1 else 4
            else:
                raise _MalformedError("a field of an unknown kind")
        if place != end:
            raise _MalformedError("a field is longer than what it lies in")
        self._left = left
        return found

    def _number(self, place: int) -> tuple[int, int]:
        """A number of 7 bits a byte, and the place after it."""
        value = shift = 0
        while True:
            byte = self._content[place]
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, place
            shift += 7
            if shift > 63:
                raise _MalformedError("a number of more than 64 bits")

    def _text(self, start: int, end: int) -> str:
        try:
            return self._content[start:end].decode()
        except UnicodeDecodeError:
            raise _MalformedError("a name that is not UTF-8") from None


def standard_domain(domain: str) -> str:
    """A domain of operators by the shorter of its names."""
    return "" if domain == "ai.onnx" else domain
