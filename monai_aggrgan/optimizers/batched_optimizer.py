"""Many independent problems minimised in lock-step: what every such optimiser shares."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ["BatchedOptimizer", "Closure", "value_and_gradient"]

Closure = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Parameters (B, ...) to the losses (B,) and their gradients (B, ...), row b of all three being problem b."""


def value_and_gradient(objective: Callable[[Tensor], Tensor]) -> Closure:
    """The closure of a differentiable objective, parameters (B, ...) -> losses (B,), whose rows do not mix."""

    def closure(parameters: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            variable = parameters.detach().requires_grad_()
            losses = objective(variable)
            if losses.shape != parameters.shape[:1]:
                wanted = tuple(parameters.shape[:1])
                raise ValueError(f"the objective must give a loss for each row, {wanted}, got {tuple(losses.shape)}")
            (gradients,) = torch.autograd.grad(losses.sum(), variable)
        return losses.detach(), gradients

    return closure


class BatchedOptimizer(ABC):
    """Minimises B problems at once, each as if it were alone.

    Problem b is row b of every tensor. The first `step` evaluates the parameters as they are; each further one tries
    one move in every active problem and costs one evaluation of the batch. What happens is decided by masks on the
    device: nothing in a step waits for the device, and the state stays in the same memory, so that steps can be
    captured in a CUDA graph. Only `keep` changes that memory.

    Args:
        parameters: starting points (B, ...), copied.

    Attributes:
        state: every tensor of the state by its name, first dimension B.

    Raises:
        ValueError: when `parameters` is not a floating-point tensor (B, ...) of at least one value a problem.
    """

    def __init__(self, parameters: Tensor) -> None:
        if not isinstance(parameters, Tensor):
            raise ValueError(
                f"parameters must be a tensor (B, ...), one row a problem, got {type(parameters).__name__}"
            )
        if parameters.ndim < 2 or not parameters.numel() or not parameters.is_floating_point():
            wanted = "floating-point numbers (B, ...), one row a problem and at least one number a row"
            raise ValueError(f"parameters must be {wanted}, got {_of(parameters)}")
        self.shape = parameters.shape[1:]
        self.state = self._fresh(parameters)

    @property
    def parameters(self) -> Tensor:
        """Where each problem is now, (B, ...)."""
        return self._shaped(self.state["parameters"])

    @property
    def losses(self) -> Tensor:
        """Losses (B,) of `parameters`; infinite before the first step."""
        return self.state["losses"]

    @property
    def best(self) -> Tensor:
        """The parameters (B, ...) of the least finite loss tried so far; the starting point where none was finite."""
        return self._shaped(self.state["best"])

    @property
    def best_losses(self) -> Tensor:
        """Losses (B,) of `best`; infinite where none was finite."""
        return self.state["best_losses"]

    @property
    def iterations(self) -> Tensor:
        """Moves tried (B,) so far, int64; -1 before the first step."""
        return self.state["iterations"]

    @property
    def active(self) -> Tensor:
        """Which problems (B,) still move."""
        return self.state["active"]

    @property
    def broken(self) -> Tensor:
        """Which problems (B,) were frozen because their loss or gradient was not finite."""
        return self.state["broken"]

    @torch.no_grad()
    def step(self, closure: Closure) -> None:
        """Try one move in every active problem: one call of `closure`, whose results for frozen ones are ignored."""
        state = self.state
        active, fresh = state["active"].clone(), state["iterations"] < 0
        trial = torch.where(active[:, None], state["parameters"] + state["move"], state["parameters"])
        losses, gradients = self._evaluated(closure, self._shaped(trial))
        gradients = gradients.reshape(trial.shape)
        finite = losses.isfinite() & torch.linalg.vector_norm(gradients, math.inf, dim=1).isfinite()
        accepted = active & finite & self._accepts(losses)
        self._update(active, iterations=state["iterations"] + 1)
        with _no_autocast(trial.device):
            self._advance(accepted, fresh, trial, gradients)
            self._update(accepted, parameters=trial, losses=losses, gradients=gradients)
            self._update(active & finite & (losses < state["best_losses"]), best=trial, best_losses=losses)
            self._retreat(active & ~accepted, fresh, finite)

    def _evaluated(self, closure: Closure, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """What the closure gives, refused unless it has a row for each problem."""
        losses, gradients = closure(parameters)
        a_row = parameters.flatten(1)[:, 0]
        for name, came, wanted in (("losses", losses, a_row), ("gradients", gradients, parameters)):
            if came.shape != wanted.shape or came.dtype != wanted.dtype:
                raise ValueError(f"the closure must return {name} {_of(wanted)}, got {_of(came)}")
        return losses, gradients

    def freeze(self, frozen: Tensor) -> None:
        """Stop the problems of the mask (B,), bool: their state stays as it is."""
        self.state["active"].logical_and_(~frozen)

    def keep(self, rows: Tensor) -> None:
        """Leave only the problems of these indices (b,), int64, in this order; the batch has b rows from now on."""
        self.state = {name: tensor[rows] for name, tensor in self.state.items()}

    def replace(self, rows: Tensor, parameters: Tensor) -> None:
        """Put new problems, from the starting points `parameters` (b, ...), in the place of these rows (b,), int64.

        The next step evaluates them where they are; until then their losses are infinite.
        """
        for name, tensor in self._fresh(parameters).items():
            self.state[name].index_copy_(0, rows, tensor)

    def _fresh(self, parameters: Tensor) -> dict[str, Tensor]:
        """The state of problems at their start. `move` is what the next step adds to the parameters."""
        start = parameters.detach().flatten(1)
        batch = len(start)
        unknown = start.new_full((batch,), math.inf)
        return {
            "parameters": start.clone(),
            "move": torch.zeros_like(start),
            "gradients": torch.zeros_like(start),
            "losses": unknown.clone(),
            "best": start.clone(),
            "best_losses": unknown.clone(),
            "iterations": torch.full((batch,), -1, device=start.device),
            "active": torch.ones(batch, dtype=torch.bool, device=start.device),
            "broken": torch.zeros(batch, dtype=torch.bool, device=start.device),
        }

    def _update(self, mask: Tensor, **values: Tensor) -> None:
        """Write the rows of the mask, in place; `where` keeps a row that is not finite from touching another."""
        for name, value in values.items():
            old = self.state[name]
            torch.where(mask.view(-1, *[1] * (old.ndim - 1)), value.to(old.dtype), old, out=old)

    def _shaped(self, flat: Tensor) -> Tensor:
        return flat.view(-1, *self.shape)

    def _accepts(self, losses: Tensor) -> Tensor:
        """Which finite trials (B,) are good enough to move to."""
        return torch.ones_like(self.active)

    @abstractmethod
    def _advance(self, accepted: Tensor, fresh: Tensor, trial: Tensor, gradients: Tensor) -> None:
        """Set the next move of the accepted rows; the state still holds what was before the trial."""

    def _retreat(self, rejected: Tensor, fresh: Tensor, finite: Tensor) -> None:
        """Set the next move of the rejected rows; as a rule there is none, and they are frozen."""
        self._update(rejected, active=torch.zeros_like(rejected), broken=~finite)


def _of(tensor: Tensor) -> str:
    """Shape and type as an error names them."""
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"


def _no_autocast(device: torch.device) -> AbstractContextManager[object]:
    """The caller's autocast may halve the precision of the objective, never of the optimiser."""
    available = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if available else nullcontext()
