"""int8 weights of products, rounded so that the errors of their inputs' channels make up for each other.

Rounding each weight to the nearest is best for inputs whose channels have nothing to do with one another. Those of a
transformer do: here channel after channel is rounded, and what is still to be rounded takes over the error, as far as
it can by what real samples say of the channels together. Source: optimal brain quantisation in a fixed order, Frantar
et al., ICLR 2023. It is done for a product where, tried on three of four rows, it adds less noise on the fourth.

On MiniLM, whose sums are exact on every CPU and whose weights so have nearer to 7 bits, it brings the SQNR of 1,000
texts back to what 8 bits rounded to the nearest have.
"""

import itertools
from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from edgewright.exporters.graph.edit import GraphEdit
from edgewright.exporters.precision.exact_sums import LARGEST_PAIR, Quantiser, exact_int8
from edgewright.exporters.precision.outliers import BATCHES, look_at, product_groups
from edgewright.runtime.contracts import Tensors

_DAMPING = 0.05
"""Share of the channels' mean power that each has beside what the samples say."""

_BLOCK = 64
_LARGEST = 127
_MOST_CHANNELS = 4096  # beyond it the inverse takes minutes
_FEWEST_ROWS = 8

Scales = Mapping[str, NDArray[np.float32]]
"""By the name of a weight [channels, outputs], the scale of each output, [1, outputs]."""


def round_weights(
    model: onnx.ModelProto, calibration: Iterable[Tensors], quantise: Quantiser
) -> tuple[onnx.ModelProto, Scales]:
    """`model` (fp32) with the weights of products where int8 will have them, and the scales that they have by then.

    `quantise` gives the scales; where it is `exact_int8` sums stay exact. `calibration` holds batches of the graph's
    inputs.
    """
    groups = product_groups(model)
    look_at(model, groups, itertools.islice(calibration, BATCHES))
    edit = GraphEdit(model)
    rounded: dict[str, str] = {}
    scales: dict[str, NDArray[np.float32]] = {}
    largest_pair = LARGEST_PAIR if quantise is exact_int8 else 2 * _LARGEST
    for group in groups:
        rows = np.concatenate(group.rows).astype(np.float64) if group.rows else np.zeros((0, 0))
        if len(rows) < _FEWEST_ROWS or rows.shape[1] > _MOST_CHANNELS:
            continue
        seen, unseen = rows[np.arange(len(rows)) % 4 != 3], rows[3::4]
        some, all_of_them = _shares(seen), _shares(rows)
        for name in group.weights:
            weight = edit.weight(name)
            assert weight is not None
            values, scale = quantise(weight, 0, 0)
            tried = _rounded(weight, scale, some, largest_pair)
            if _noise(unseen, tried * scale - weight) < _noise(unseen, values * scale - weight):
                better = _rounded(weight, scale, all_of_them, largest_pair)
                rounded[name] = edit.add_weight(f"{name}_rounded", (better * scale).astype(np.float32))
                scales[rounded[name]] = scale

    def change(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.op_type != "MatMul" or node.input[1] not in rounded:
            return None
        again = onnx.NodeProto.FromString(node.SerializeToString())
        again.input[1] = rounded[node.input[1]]
        return [again]

    edit.rewrite(change)
    return edit.finish(), scales


def _noise(rows: NDArray[np.float64], error: NDArray[np.floating]) -> float:
    return float(np.square(rows @ error).sum())


def _shares(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """How the error of a channel is shared among those after it: the upper Cholesky factor of the inverse of what
    `rows` say of the channels together, [channels, channels].
    """
    together = rows.T @ rows / len(rows)
    power = float(np.mean(np.diag(together))) or 1.0
    together[np.diag_indices(len(together))] += _DAMPING * power
    upper: NDArray[np.float64] = np.linalg.cholesky(np.linalg.inv(together)).T
    return upper


def _rounded(
    weight: NDArray[np.float32], scale: NDArray[np.float32], shares: NDArray[np.float64], largest_pair: int
) -> NDArray[np.float64]:
    """The whole numbers of a weight [channels, outputs]; of no two that are added first come to more than
    `largest_pair`.
    """
    left, steps = weight.astype(np.float64), scale[0].astype(np.float64)
    values = np.zeros_like(left)
    for first in range(0, len(left), _BLOCK):
        end = min(first + _BLOCK, len(left))
        errors = np.zeros((end - first, left.shape[1]))
        for row in range(first, end):
            found = np.clip(np.rint(left[row] / steps), -_LARGEST, _LARGEST)
            if row % 2:
                before = values[row - 1]
                found = np.where(before > 0, np.minimum(found, largest_pair - before), found)
                found = np.where(before < 0, np.maximum(found, -largest_pair - before), found)
            values[row] = found
            errors[row - first] = (left[row] - found * steps) / shares[row, row]
            left[row + 1 : end] -= np.outer(shares[row, row + 1 : end], errors[row - first])
        left[end:] -= shares[first:end, end:].T @ errors
    return values
