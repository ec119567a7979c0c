"""What a bundle is judged with: real samples, and the torch model as it was trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgewright.runtime.contracts import Feeds
from edgewright.runtime.errors import DataError
from edgewright.runtime.tasks.base import DeviceTask


@dataclass(frozen=True)
class Samples:
    """Raw inputs with their ids and targets, one of each per sample, in one order.

    `targets` is an array whose leading axis is the samples; what else it holds is between the task and its metric.
    """

    ids: tuple[str, ...]
    raws: Sequence[Any]
    targets: NDArray[Any]

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.raws) == len(self.targets):
            raise DataError(
                f"{len(self.ids)} ids, {len(self.raws)} raw inputs and {len(self.targets)} targets: "
                "give one of each per sample"
            )
        if not self.ids:
            raise DataError("there is no sample to judge with: give the evaluation split at least one")
        if len(set(self.ids)) != len(self.ids):
            raise DataError("two samples have the same id: give each its own")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int]) -> "Samples":
        """The samples at `rows`, in that order."""
        return Samples(
            tuple(self.ids[row] for row in rows),
            [self.raws[row] for row in rows],
            self.targets[np.asarray(rows, int)],
        )

    def raw(self, sample_id: str) -> Any:
        """The raw input called `sample_id`. Raises `DataError` when there is none."""
        try:
            return self.raws[self.ids.index(sample_id)]
        except ValueError:
            raise DataError(f"sample {sample_id} is no longer in the data: judge again") from None


@dataclass(frozen=True)
class Summed:
    """A metric that is made of numbers which every sample has by itself, such as hits and misses.

    Whoever wants the metric of many selections of samples, as a bootstrap does, reads the answers once.

    Attributes:
        each: outputs by name and targets to the numbers of each sample, float64 [N, K].
        figure: the numbers of any samples, [n, K], to the metric.
    """

    each: Callable[[Feeds, NDArray[Any]], NDArray[np.float64]]
    figure: Callable[[NDArray[np.float64]], float]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The torch original that every variant is measured against.

    `task` is the training side's own: the ladder compares it with what stands in the bundle.
    `metric` takes outputs and targets and is better when higher; where it is the mean of a 0/1 value per
    sample (accuracy), `per_sample` gives those values, and the interval of a difference is exact instead of
    resampled; `summed` is the metric in two steps, so that what is resampled is read once.
    Outputs with an answer for every step are [samples, time, ...], zero beyond a sample's length.
    `step` runs one step of the model's streaming form, for its latency: `torch_call` makes it.
    """

    module: nn.Module
    task: DeviceTask
    metric: Callable[[Feeds, NDArray[Any]], float]
    metric_name: str
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    per_sample: Callable[[Feeds, NDArray[Any]], NDArray[Any]] | None = None
    summed: Summed | None = None
    step: Callable[[Feeds], Feeds] | None = None

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Feeds:
        """One batch through the torch module in eval mode, numpy in and out."""
        return torch_call(self.module, self.input_names, self.output_names)(feeds)


def torch_call(
    module: nn.Module, input_names: Sequence[str], output_names: Sequence[str]
) -> Callable[[Mapping[str, NDArray[Any]]], Feeds]:
    """A torch module as a function of arrays by name to arrays by name; it runs in eval mode and keeps no gradients."""

    def call(feeds: Mapping[str, NDArray[Any]]) -> Feeds:
        if module.training:
            module.eval()
        device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
        with torch.inference_mode():
            found = module(
                *(torch.from_numpy(np.ascontiguousarray(feeds[name])).to(device) for name in input_names)
            )
        values = (found,) if isinstance(found, torch.Tensor) else tuple(found)
        return {name: value.cpu().numpy() for name, value in zip(output_names, values, strict=True)}

    return call
