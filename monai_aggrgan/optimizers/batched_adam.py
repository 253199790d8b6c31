"""Adam for many independent problems in lock-step."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_aggrgan.optimizers.batched_optimizer import BatchedOptimizer

__all__ = ["BatchedAdam"]


class BatchedAdam(BatchedOptimizer):
    """`torch.optim.Adam` for each row of a batch, with a step count of its own for each.

    A problem whose loss or gradient is not finite is frozen at once.

    Args:
        parameters: starting points (B, ...), copied.
        lr: learning rate, in the units of the parameters.
        betas: decay of the two running means.
        eps: added to the root of the second mean.

    Raises:
        ValueError: when an argument is out of its range.

    Source: Kingma and Ba 2015, algorithm 1.
    """

    def __init__(
        self, parameters: Tensor, *, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        if not lr > 0 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"lr must be above 0 and both betas in [0, 1), got {lr} and {betas}")
        self.lr, self.betas, self.eps = lr, betas, eps
        super().__init__(parameters)

    def _fresh(self, parameters: Tensor) -> dict[str, Tensor]:
        state = super()._fresh(parameters)
        moments = {name: torch.zeros_like(state["parameters"]) for name in ("mean", "square")}
        return state | moments

    def _advance(self, accepted: Tensor, fresh: Tensor, trial: Tensor, gradients: Tensor) -> None:
        first, second = self.betas
        mean = first * self.state["mean"] + (1 - first) * gradients
        square = second * self.state["square"] + (1 - second) * gradients.square()
        count = (self.state["iterations"] + 1).to(gradients.dtype)[:, None]  # gradients seen, this one included
        spread = (square / (1 - second**count)).sqrt() + self.eps
        self._update(accepted, mean=mean, square=square, move=-self.lr * (mean / (1 - first**count)) / spread)
