"""The processes that train together: a thin face over accelerate.

The gradients of a batch are summed in one all-reduce after the backward pass. A wrapper around the module
would do the same, but phases freeze and unfreeze, a last batch divides unevenly, and a process may get no
sample at all.
"""

import atexit
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast, broadcast_object_list

from edgewright.runtime.errors import TrainingError

_PARTING = 0.3
"""Seconds that threads of gloo get to come to an end."""


class World:
    """This process, and the others where there are others (torchrun, accelerate launch)."""

    def __init__(self, precision: str = "no") -> None:
        """`precision` is "no", "bf16" or "fp16": the number format of the forward and backward pass.

        Raises `TrainingError` for fp16 without an accelerator.
        """
        # accelerate keeps its settings for the life of the process; a second training may want others. The
        # processes themselves stay connected. Without an accelerator it must be told so, or it starts one
        # process under torchrun.
        found = torch.accelerator.is_available()
        if precision == "fp16" and not found:
            raise TrainingError(
                "training.precision: fp16 needs an accelerator, there is only a CPU: use no or bf16"
            )
        AcceleratorState._reset_state()
        self._accelerator = Accelerator(mixed_precision=precision, cpu=not found)
        self.rank: int = self._accelerator.process_index
        self.size: int = self._accelerator.num_processes
        self.device: torch.device = self._accelerator.device
        if self.size > 1:
            atexit.unregister(_disconnect)
            atexit.register(_disconnect)

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and reports progress."""
        return self.rank == 0

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """The context in which the forward pass runs in the wanted precision."""
        context: contextlib.AbstractContextManager[None] = self._accelerator.autocast()
        return context

    def prepare(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimiser, with loss scaling around it where fp16 needs that."""
        if self._accelerator.scaler is None:
            return optimizer
        prepared: torch.optim.Optimizer = self._accelerator.prepare_optimizer(optimizer)
        return prepared

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of `loss`, scaled where fp16 needs that."""
        if self._accelerator.scaler is None:
            torch.autograd.backward(loss)  # accelerate looks for a package on disk at every call
        else:
            self._accelerator.backward(loss)

    def clip(self, parameters: Iterable[torch.nn.Parameter], norm: float) -> float:
        """Scale the gradients of all `parameters` together down to `norm`; returns the norm they had."""
        if self._accelerator.scaler is None:
            return float(torch.nn.utils.clip_grad_norm_(parameters, norm))
        return float(self._accelerator.clip_grad_norm_(list(parameters), norm))

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of `tensor` over all processes."""
        if self.size == 1:
            return tensor
        total: torch.Tensor = self._accelerator.reduce(tensor, "sum")
        return total

    def sum_gradients(
        self,
        parameters: Sequence[torch.nn.Parameter],
        loss: torch.Tensor,
        buffers: Sequence[torch.Tensor],
        part: float,
    ) -> torch.Tensor:
        """Sum gradients and `loss` over the processes; a gradient that no process has stays None.

        `buffers` (the running statistics of BatchNorm) become their mean, weighted by `part`, this process's
        part of the batch. Afterwards the model is the same in every process. Returns the whole batch's loss.
        """
        if self.size == 1:
            return loss
        gradients = [parameter.grad for parameter in parameters]
        has = torch.tensor([float(gradient is not None) for gradient in gradients], device=self.device)
        pieces = [loss.reshape(1).float(), has]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            pieces.append(
                torch.zeros_like(parameter).reshape(-1) if gradient is None else gradient.reshape(-1)
            )
        pieces += [(buffer * part).reshape(-1) for buffer in buffers]
        total = self.sum(torch.cat(pieces))
        split = torch.split(total, [piece.numel() for piece in pieces])
        for parameter, any_has, values in zip(parameters, split[1].tolist(), split[2:], strict=False):
            parameter.grad = values.view_as(parameter) if any_has else None
        for buffer, values in zip(buffers, split[2 + len(parameters) :], strict=True):
            buffer.copy_(values.view_as(buffer))
        return split[0][0]

    def from_leader(self, value: Any) -> Any:
        """The first process's plain `value`, in every process."""
        if self.size == 1:
            return value
        return broadcast_object_list([value])[0]

    def tensors_from_leader(self, tensors: Mapping[str, torch.Tensor] | None) -> dict[str, torch.Tensor]:
        """The first process's tensors, in every process; the others give None."""
        if self.size == 1:
            return dict(tensors or {})
        shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in (tensors or {}).items()}
        result = {}
        for name, (shape, dtype) in self.from_leader(shapes).items():
            own = tensors[name] if tensors is not None else torch.empty(shape, dtype=dtype)
            result[name] = broadcast(own.to(self.device).contiguous().clone())
        return result

    def scaler_state(self) -> dict[str, Any] | None:
        """The loss scale of fp16, as plain values."""
        scaler = self._accelerator.scaler
        return None if scaler is None else dict(scaler.state_dict())

    def load_scaler_state(self, state: Mapping[str, Any] | None) -> None:
        """Put back what `scaler_state` gave."""
        if state and self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(dict(state))


def _disconnect() -> None:
    # A thread of gloo may still hold the tensors of the last sum, even after its group is gone. It needs the
    # interpreter to let go of them, and aborts the process where it comes too late for that.
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        time.sleep(_PARTING)
