"""The handwritten digits that scikit-learn carries, read from its file: to import it takes seconds."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.errors import MachineError

_FILE = Path("datasets", "data", "digits.csv.gz")


def handwritten_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """1797 pictures, float64 [1797, 8, 8] of 0 to 16, and what each shows, int64 [1797] (UCI, CC BY 4.0).

    Raises `MachineError` where scikit-learn is not installed.
    """
    package = find_spec("sklearn")
    folders = () if package is None else package.submodule_search_locations or ()
    for folder in folders:
        if (path := Path(folder) / _FILE).is_file():
            rows = np.loadtxt(path, delimiter=",")
            return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64)
    raise MachineError(
        "the digits come with scikit-learn, which is not installed: pip install 'edgewright[train]'"
    )
