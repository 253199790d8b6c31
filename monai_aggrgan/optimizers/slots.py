"""Many problems through a batch of fixed size: where one is finished, the next begins."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from monai_aggrgan.optimizers.batched_optimizer import BatchedOptimizer
from monai_aggrgan.optimizers.graphed_step import GraphedStep

__all__ = ["Finished", "Problems", "Slots", "StopReason"]

StopReason = Literal["converged", "max_iterations", "not finite"]

_LOOK_EVERY = 10  # iterations between two looks at the losses, for each of which the host waits for the device


class Problems(Protocol):
    """What is minimised: rows of a batch, each of which can be given another problem."""

    def __call__(self, parameters: Tensor, /) -> tuple[Tensor, Tensor]:
        """Losses (B,) and gradients (B, ...) of the problems in the rows now."""

    def replace(self, rows: Tensor, problems: Tensor, /) -> Tensor:
        """Put these problems (b,) in the place of these rows (b,), in the same memory; return their starting points."""

    def keep(self, rows: Tensor, /) -> None:
        """Leave only these rows (b,), in this order."""


@dataclass(frozen=True)
class Finished:
    """A problem that is done.

    Attributes:
        problem: its number.
        parameters: those of its least finite loss, (...); where it started when none was finite.
        initial_loss: loss where it started; infinite when that was not finite.
        final_loss: loss of `parameters`; infinite when none was finite.
        iterations: moves tried.
        stopped_by: "converged" (too little gained, or no way down), "max_iterations" or "not finite".
    """

    problem: int
    parameters: Tensor
    initial_loss: float
    final_loss: float
    iterations: int
    stopped_by: StopReason


@dataclass
class _Slot:
    problem: int
    initial_loss: float = math.inf
    checked_loss: float = math.inf  # at the last check for convergence
    best_loss: float = math.inf
    iterations: int = -1
    stopped_by: StopReason | None = None


class Slots:
    """Minimise `count` problems in the rows of an optimiser, which hold the first ones.

    Alternate `advance` and `collect` until `slots` is empty. On CUDA the steps are one graph and the rows stay B until
    half of them are empty; elsewhere an empty row is dropped at once.

    Args:
        problems: the objective, with a row for each row of `optimizer`.
        optimizer: at the starting points of problems 0 to B - 1.
        count: number of problems.
        max_iterations: most iterations of a problem.
        relative_tolerance: a problem has converged when `patience` iterations lowered its best loss by less than this
            share; 0 runs `max_iterations`, unless no way leads down.
        patience: iterations between two such checks.
    """

    def __init__(
        self,
        problems: Problems,
        optimizer: BatchedOptimizer,
        count: int,
        *,
        max_iterations: int,
        relative_tolerance: float,
        patience: int,
    ) -> None:
        self.problems, self.optimizer = problems, optimizer
        self.max_iterations, self.relative_tolerance, self.patience = max_iterations, relative_tolerance, patience
        self.device = optimizer.parameters.device
        rows = len(optimizer.parameters)
        self.rows: list[_Slot | None] = [_Slot(problem) for problem in range(rows)]
        self.waiting = deque(range(rows, count))
        self.step = self._graphed()

    @property
    def slots(self) -> list[_Slot]:
        """The problems in work."""
        return [slot for slot in self.rows if slot]

    @property
    def iterations(self) -> int:
        """Iterations of the problem in work that has had most; 0 when there is none."""
        return max((slot.iterations for slot in self.slots), default=0)

    @property
    def mean_loss(self) -> float:
        """Mean of the best losses of the problems in work, those left out that have none yet."""
        losses = [slot.best_loss for slot in self.slots if math.isfinite(slot.best_loss)]
        return sum(losses) / len(losses) if losses else math.nan

    def advance(self) -> None:
        """Iterate until the next moment at which a problem may be finished, at most ten times; note how each stands."""
        for _ in range(min(self._distance(slot.iterations) for slot in self.slots)):
            self.step()
        state = self.optimizer
        columns = (state.losses, state.best_losses, state.iterations, state.active, state.broken)
        told = torch.stack([column.double() for column in columns], 1).tolist()  # the only wait for the device
        for slot, (loss, best_loss, iterations, active, broken) in zip(self.rows, told, strict=True):
            if slot:
                slot.iterations, slot.best_loss = int(iterations), best_loss
                self._judge(slot, loss, active=bool(active), broken=bool(broken))

    def collect(self) -> list[Finished]:
        """What was finished by the last `advance`; its rows are given to the problems that wait, or emptied."""
        done = [row for row, slot in enumerate(self.rows) if slot and slot.stopped_by]
        finished = []
        for row in done:
            slot = self.rows[row]
            if slot and slot.stopped_by:
                best = self.optimizer.best[row].clone()
                told = (slot.initial_loss, slot.best_loss, slot.iterations, slot.stopped_by)
                finished.append(Finished(slot.problem, best, *told))
        if done:
            self._refill(done)
        return finished

    def _distance(self, iterations: int) -> int:
        """Iterations to the next one at which something has to be decided."""
        if iterations < 0:
            return 1
        return min(_LOOK_EVERY, self.max_iterations - iterations, self.patience - iterations % self.patience)

    def _judge(self, slot: _Slot, loss: float, *, active: bool, broken: bool) -> None:
        if slot.iterations == 0:
            slot.initial_loss = slot.checked_loss = loss
        if broken:
            slot.stopped_by = "not finite"
        elif slot.iterations >= self.max_iterations:
            slot.stopped_by = "max_iterations"
        elif not active:
            slot.stopped_by = "converged"
        elif slot.iterations and slot.iterations % self.patience == 0:
            if slot.best_loss > (1 - self.relative_tolerance) * slot.checked_loss:
                slot.stopped_by = "converged"
            slot.checked_loss = slot.best_loss

    def _refill(self, done: list[int]) -> None:
        taken = [(row, self.waiting.popleft()) for row in done[: len(self.waiting)]]
        if taken:
            rows, problems = (torch.tensor(numbers, device=self.device) for numbers in zip(*taken, strict=True))
            self.optimizer.replace(rows, self.problems.replace(rows, problems))
        for row in done:
            self.rows[row] = None
        for row, problem in taken:
            self.rows[row] = _Slot(problem)
        if len(taken) < len(done):
            self._shrink()

    def _shrink(self) -> None:
        """Drop or freeze the empty rows."""
        occupied = [row for row, slot in enumerate(self.rows) if slot]
        if not occupied:
            self.rows = []
        elif self.device.type != "cuda" or len(occupied) <= len(self.rows) / 2:
            rows = torch.tensor(occupied, device=self.device)
            self.optimizer.keep(rows)
            self.problems.keep(rows)
            self.rows = [self.rows[row] for row in occupied]
            self.step = self._graphed()
        else:
            self.optimizer.freeze(torch.tensor([slot is None for slot in self.rows], device=self.device))

    def _graphed(self) -> GraphedStep:
        return GraphedStep(lambda: self.optimizer.step(self.problems), self.device)
