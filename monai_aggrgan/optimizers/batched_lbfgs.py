"""L-BFGS for many independent problems in lock-step, in its compact form."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_aggrgan.optimizers.batched_optimizer import BatchedOptimizer

__all__ = ["BatchedLBFGS"]

_SHORTENINGS = 10  # halvings of a step before the memory goes, and again before the problem is frozen
_SUFFICIENT = 1e-4  # share of the decrease promised by the slope that Armijo's rule asks for


class BatchedLBFGS(BatchedOptimizer):
    """Minimise B problems at once, each by an L-BFGS of its own, in as many tensor operations a step as for one.

    Row by row the iterates are those of `torch.optim.LBFGS` with the same `lr` and `history_size`, no line search and
    no tolerances; only that steps stay cautious until a pair is remembered. The direction is -H g with the compact
    inverse Hessian approximation (Byrd, Nocedal and Schnabel 1994, eq. 3.1): two products with the remembered pairs,
    and some of small float64 matrices, instead of a loop over the pairs.

    Where a trial is not finite, or not low enough for the line search, the problem stays and tries half the step; after
    ten such trials in a row along the steepest descent; after ten more it is frozen.

    Example:
        >>> from monai_aggrgan.optimizers import value_and_gradient
        >>> closure = value_and_gradient(lambda x: (x - 3).square().sum(1))
        >>> optimizer = BatchedLBFGS(torch.zeros(100, 5))
        >>> for _ in range(10):
        ...     _ = optimizer.step(closure)
        >>> optimizer.best.shape, optimizer.best_losses.max().item() < 1e-6
        (torch.Size([100, 5]), True)

    Args:
        parameters: starting points (B, ...), copied.
        lr: length of a step in units of the quasi-Newton step; the first one has length `lr * min(1, 1 / |g|_1)`.
        history_size: pairs of steps and gradient changes that each problem remembers.
        line_search: None for the fixed step, or "armijo" to halve it until the loss has decreased sufficiently. Each
            trial counts as an iteration, since all problems wait for it.

    Raises:
        ValueError: when an argument is out of its range.

    Source: Nocedal and Wright 2006, algorithm 7.5 and sec. 7.2. Differs from it in: fixed steps; pairs are left out of
    the memory where their curvature is not positive beyond rounding (torch: below 1e-10, which depends on the units).
    """

    def __init__(
        self,
        parameters: Tensor,
        *,
        lr: float = 1.0,
        history_size: int = 20,
        line_search: Literal["armijo"] | None = None,
    ) -> None:
        if not lr > 0 or history_size < 1:
            raise ValueError(f"lr must be above 0 and history_size 1 or more, got {lr} and {history_size}")
        self.lr = lr
        self.history_size = history_size
        if line_search not in (None, "armijo"):
            raise ValueError(f"line_search must be None or 'armijo', got {line_search!r}")
        self.line_search = line_search
        super().__init__(parameters)

    def _fresh(self, parameters: Tensor) -> dict[str, Tensor]:
        """Beside what all share: the remembered steps S and gradient changes Y as rings, and their small products.

        `pairs` (B, 2m, n) holds S, then Y, the next pair's place being `place` (B,). With R the upper triangle of S'Y,
        `inverse` is R^-1 (B, m, m), `curvatures` R's diagonal (B, m) and `gram` Y'Y (B, m, m), by age, the newest last;
        where pairs do not exist yet, as if R were 1 and Y were 0.
        """
        state = super()._fresh(parameters)
        start, size = state["parameters"], self.history_size
        batch, small = len(start), start.new_empty(0, dtype=torch.float64)
        identity = torch.eye(size, dtype=torch.float64, device=start.device)
        return state | {
            "pairs": start.new_zeros(batch, 2 * size, start.shape[1]),
            "place": torch.zeros(batch, dtype=torch.int64, device=start.device),
            "count": torch.zeros(batch, dtype=torch.int64, device=start.device),
            "inverse": identity.repeat(batch, 1, 1),
            "curvatures": small.new_ones(batch, size),
            "gram": small.new_zeros(batch, size, size),
            "scale": small.new_ones(batch),
            "slope": start.new_zeros(batch),
            "shortenings": torch.zeros(batch, dtype=torch.int64, device=start.device),
        }

    def _accepts(self, losses: Tensor) -> Tensor:
        if self.line_search is None:
            return super()._accepts(losses)
        return losses <= self.state["losses"] + _SUFFICIENT * self.state["slope"]

    def _advance(self, accepted: Tensor, fresh: Tensor, trial: Tensor, gradients: Tensor) -> None:
        state = self.state
        gradients = torch.where(accepted[:, None], gradients, state["gradients"])
        changes = gradients - state["gradients"]
        curvature, squared = _dot(changes, state["move"]), _dot(changes, changes)
        rounding = torch.finfo(gradients.dtype).eps * (squared * _dot(state["move"], state["move"])).sqrt()
        remembered = accepted & ~fresh & (curvature > rounding)
        self._push(remembered, changes)
        self._update(remembered, scale=curvature / squared)
        direction = self._direction(remembered, gradients, changes, curvature)
        slope = _dot(gradients, direction)
        forget = accepted & ~((slope < 0) & slope.isfinite())  # no descent
        self._forget(forget)
        downhill = torch.where(forget[:, None], -gradients, direction)
        move = downhill * self._length(gradients)[:, None]
        self._update(accepted, move=move, slope=_dot(gradients, move), shortenings=torch.zeros_like(state["count"]))
        self._update(accepted & (gradients == 0).all(1), active=torch.zeros_like(accepted))  # no way down is left

    def _retreat(self, rejected: Tensor, fresh: Tensor, finite: Tensor) -> None:
        state = self.state
        self._update(rejected, move=state["move"] / 2, slope=state["slope"] / 2, shortenings=state["shortenings"] + 1)
        again = rejected & (state["shortenings"] == _SHORTENINGS)
        self._forget(again)
        steepest = -state["gradients"] * self._length(state["gradients"])[:, None]
        self._update(again, move=steepest, slope=_dot(state["gradients"], steepest))
        lost = rejected & (fresh | (state["shortenings"] == 2 * _SHORTENINGS))
        self._update(lost, active=torch.zeros_like(lost), broken=~finite)

    def _length(self, gradients: Tensor) -> Tensor:
        """Length of the step (B,) along the direction: cautious without a memory, as nothing tells the scale."""
        cautious = (1 / gradients.abs().sum(1)).clamp(max=1)
        return self.lr * torch.where(self.state["count"] == 0, cautious, torch.ones_like(cautious))

    def _push(self, remembered: Tensor, changes: Tensor) -> None:
        """Write the last move and the change of gradient that it made over each ring's oldest pair."""
        state, size = self.state, self.history_size
        places = torch.stack([state["place"], state["place"] + size], 1)[..., None].expand(-1, 2, changes.shape[1])
        pair = torch.stack([state["move"], changes], 1)
        pair = torch.where(remembered[:, None, None], pair, state["pairs"].gather(1, places))
        state["pairs"].scatter_(1, places, pair)
        place, count = (state["place"] + 1) % size, (state["count"] + 1).clamp(max=size)
        self._update(remembered, place=place, count=count)

    def _forget(self, rows: Tensor) -> None:
        """Empty the memory of these rows; what the ring holds is from now on ignored, as `count` says."""
        state = self.state
        identity = torch.eye(self.history_size, dtype=torch.float64, device=rows.device)
        self._update(
            rows,
            count=torch.zeros_like(state["count"]),
            inverse=identity.expand_as(state["inverse"]),
            curvatures=torch.ones_like(state["curvatures"]),
            gram=torch.zeros_like(state["gram"]),
            scale=torch.ones_like(state["scale"]),
        )

    def _direction(self, remembered: Tensor, gradients: Tensor, changes: Tensor, curvature: Tensor) -> Tensor:
        """-H g (B, n), the newest pair's products entered first.

        With S and Y the pairs as columns, R the upper triangle of S'Y, D its diagonal and c = `scale`,
        H g = c g + S b - c Y a, where R a = S'g and R' b = (D + c Y'Y) a - c Y'g.
        """
        state, size = self.state, self.history_size
        ages = torch.arange(size, device=gradients.device)
        by_age = (ages + state["place"][:, None]) % size  # where in the ring each pair is, the oldest first
        exists = ages >= size - state["count"][:, None]
        products = (state["pairs"] @ torch.stack([gradients, changes], 2)).double().unflatten(1, (2, size))
        products = products.gather(2, by_age[:, None, :, None].expand_as(products))
        products = torch.where(exists[:, None, :, None], products, 0)
        (step_gradient, step_change), (change_gradient, change_change) = (rows.unbind(2) for rows in products.unbind(1))
        self._enter(remembered, step_change, change_change, curvature)
        scale = state["scale"][:, None]
        first = _times(state["inverse"], step_gradient)
        middle = state["curvatures"] * first + scale * (_times(state["gram"], first) - change_gradient)
        second = _times(state["inverse"].mT, middle)
        in_ring = (ages - state["place"][:, None]) % size
        weights = torch.stack([second, -scale * first], 1)
        weights = weights.gather(2, in_ring[:, None].expand_as(weights)).flatten(1).to(gradients.dtype)
        return -(scale.to(gradients.dtype) * gradients + _times(state["pairs"].mT, weights))

    def _enter(self, remembered: Tensor, step_change: Tensor, change_change: Tensor, curvature: Tensor) -> None:
        """Shift all by one age and write the newest pair's products last.

        A column r over the curvature k makes of the inverse of R that of [[R, r], [0, k]]: -R^-1 r / k, over 1 / k.
        """
        state = self.state
        inverse, gram = (F.pad(state[name][:, 1:, 1:], (0, 1, 0, 1)) for name in ("inverse", "gram"))
        inverse[:, :-1, -1] = -_times(inverse[:, :-1, :-1], step_change[:, :-1]) / curvature[:, None]
        inverse[:, -1, -1] = 1 / curvature
        gram[:, :, -1] = gram[:, -1, :] = change_change
        curvatures = torch.cat([state["curvatures"][:, 1:], curvature[:, None]], 1)
        self._update(remembered, inverse=inverse, curvatures=curvatures, gram=gram)


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Row by row a matrix times a vector: (B, i, j) and (B, j) -> (B, i)."""
    return (matrices @ vectors[..., None])[..., 0]


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Row by row (B,), in float64: squares of gradients leave float32 sooner than gradients do."""
    return torch.linalg.vecdot(left.double(), right.double())
