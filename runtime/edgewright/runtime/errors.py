"""Every error that edgewright raises on purpose.

EdgewrightError
├── RecipeError     what the user asked for cannot be done as written
├── DataError       the user's data cannot be used
├── ModelError      a model or its weights cannot be had
├── TrainingError   training cannot go on
├── ExportError     no graph, or no variant, could be made
├── BundleError     a bundle is not what its manifest says
├── InputError      one raw input (image, tensor) cannot be answered
├── ProviderError   the execution provider asked for is not the one that runs
└── MachineError    disk, permission or a missing package

Each message is one line: what is wrong, where, and what to do about it.
"""

import re

from edgewright.runtime.printable import printable


class EdgewrightError(Exception):
    """Something the user can act on; the command line prints it as one line and exits 1.

    Names and values from files of others get into messages, so what could break a line or steer a terminal is
    escaped here.
    """

    _kept = ""
    """Characters that may stand in a message although they are not printable."""

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message, self._kept))


class RecipeError(EdgewrightError):
    """The recipe asks for something that does not exist or does not fit together, a line for each problem."""

    _kept = "\n"


class DataError(EdgewrightError):
    """The data is missing, unreadable, or does not suit the task."""


class ModelError(EdgewrightError):
    """The model is unknown, its weights are out of reach, or they do not fit it."""


class TrainingError(EdgewrightError):
    """Training broke one of its promises: a frozen part moved, or the loss is not finite."""


class ExportError(EdgewrightError):
    """A graph could not be exported, converted or judged."""


class BundleError(EdgewrightError):
    """A bundle differs from what its manifest promises."""


class InputError(EdgewrightError):
    """A raw input or a tensor that cannot be answered."""


class ProviderError(EdgewrightError):
    """The execution provider asked for is absent, or the session fell back to another."""


class MachineError(EdgewrightError):
    """The machine refuses: disk full, no permission, or a package is not installed."""


_NO_MEMORY = re.compile(
    r"bad_alloc|BFCArena|out of memory|failed to map segment|can't start new thread|"
    r"(cannot|unable to|failed to) allocate|memory allocation.* failed|alloc.* fail|cannot create thread",
    re.IGNORECASE,
)
"""What the C library, numpy, CUDA and ONNX Runtime say when there is no memory left."""


def out_of_memory(error: BaseException) -> bool:
    """Whether it is for want of memory that something failed."""
    return isinstance(error, MemoryError) or bool(_NO_MEMORY.search(str(error)))


def no_memory(what: str) -> MachineError:
    """What is said then; `what` is what the memory was for: "to open model.onnx"."""
    return MachineError(
        f"there is not enough memory {what}: take a smaller variant or fewer threads and inputs at once, "
        "or give this process more (ulimit -v)"
    )
