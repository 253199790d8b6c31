from __future__ import annotations

import math

import pytest
import torch

from monai_aggrgan.optimizers import BatchedAdam, BatchedLBFGS, Finished, Slots, value_and_gradient


class Bowls:
    """Problem i: (x - i)^2 summed over three numbers, from 0, stretched so that some take longer than others."""

    def __init__(self, count: int, rows: int, *, broken: tuple[int, ...] = ()) -> None:
        self.centres = torch.arange(float(count), dtype=torch.float64)[:, None].repeat(1, 3)
        self.centres[list(broken)] = math.nan
        self.rows = torch.arange(rows)
        self.evaluated: list[int] = []

    def __call__(self, parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.evaluated.append(len(parameters))
        stretch = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
        centres = self.centres[self.rows]
        return value_and_gradient(lambda x: (stretch * (x - centres).square()).sum(1))(parameters)

    def replace(self, rows: torch.Tensor, problems: torch.Tensor) -> torch.Tensor:
        self.rows[rows] = problems
        return torch.zeros(len(rows), 3, dtype=torch.float64)

    def keep(self, rows: torch.Tensor) -> None:
        self.rows = self.rows[rows]


def run(bowls: Bowls, **options: float) -> list[Finished]:
    limits = {"max_iterations": 40, "relative_tolerance": 0.0, "patience": 5} | options
    start = torch.zeros(len(bowls.rows), 3, dtype=torch.float64)
    optimizer = BatchedLBFGS(start) if not limits.pop("adam", 0) else BatchedAdam(start, lr=0.1)
    slots = Slots(bowls, optimizer, len(bowls.centres), **limits)
    finished = []
    while slots.slots:
        slots.advance()
        finished += slots.collect()
    return sorted(finished, key=lambda done: done.problem)


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_every_problem_is_solved_whatever_the_number_of_rows(rows):
    finished = run(Bowls(7, rows))
    assert [done.problem for done in finished] == list(range(7))
    for done, alone in zip(finished, run(Bowls(7, 1)), strict=True):
        torch.testing.assert_close(done.parameters, torch.full((3,), float(done.problem), dtype=torch.float64))
        assert done.initial_loss == pytest.approx(111 * done.problem**2)
        assert done.final_loss == pytest.approx(alone.final_loss, abs=1e-20)
        assert (done.iterations, done.stopped_by) == (alone.iterations, alone.stopped_by)


def test_rows_leave_the_batch_when_no_problem_waits():
    bowls = Bowls(5, 3, broken=(0, 4))
    run(bowls, max_iterations=6)
    assert bowls.evaluated[0] == 3 and bowls.evaluated[-1] < 3
    assert sum(bowls.evaluated) < 3 * len(bowls.evaluated)


@pytest.mark.parametrize("count", [3, 4, 7])
def test_an_exact_count_is_exact_and_wastes_no_evaluation(count):
    bowls = Bowls(count, 2)
    bowls.centres += 0.5  # nothing starts in its minimum
    finished = run(bowls, max_iterations=13, adam=1)
    assert {(done.iterations, done.stopped_by) for done in finished} == {(13, "max_iterations")}
    assert sum(bowls.evaluated) == count * 14


def test_no_iterations_leave_the_start():
    finished = run(Bowls(3, 2), max_iterations=0)
    assert [done.parameters.tolist() for done in finished] == [[0, 0, 0]] * 3
    assert [(done.initial_loss, done.final_loss) for done in finished] == [(0, 0), (111, 111), (444, 444)]


def test_convergence_is_judged_every_patience_iterations():
    reports = {tolerance: run(Bowls(2, 2), adam=1, relative_tolerance=tolerance)[1] for tolerance in (0.0, 0.5)}
    assert (reports[0.0].iterations, reports[0.0].stopped_by) == (40, "max_iterations")
    optimizer, bowls = BatchedAdam(torch.zeros(2, 3, dtype=torch.float64), lr=0.1), Bowls(2, 2)
    losses = []
    for _ in range(41):
        optimizer.step(bowls)
        losses.append(optimizer.best_losses[1].item())
    expected = next(i for i in range(5, 41, 5) if losses[i] > 0.5 * losses[i - 5])
    assert 5 < expected < 40
    assert (reports[0.5].iterations, reports[0.5].stopped_by) == (expected, "converged")
    assert reports[0.5].final_loss == pytest.approx(losses[expected])


def test_a_problem_that_breaks_or_needs_nothing_says_so():
    finished = run(Bowls(4, 2, broken=(1,)))
    assert (finished[0].iterations, finished[0].stopped_by, finished[0].final_loss) == (0, "converged", 0)
    assert (finished[1].iterations, finished[1].stopped_by) == (0, "not finite")
    assert finished[1].initial_loss == finished[1].final_loss == math.inf
    assert finished[1].parameters.tolist() == [0, 0, 0]
    assert finished[3].final_loss < 1e-9


def test_the_mean_loss_is_of_those_in_work():
    slots = Slots(
        Bowls(3, 3, broken=(1,)),
        BatchedLBFGS(torch.zeros(3, 3, dtype=torch.float64)),
        3,
        max_iterations=9,
        relative_tolerance=0,
        patience=5,
    )
    assert math.isnan(slots.mean_loss)
    slots.advance()
    assert slots.mean_loss == pytest.approx((0 + 444) / 2)
    slots.collect()
    assert slots.mean_loss == pytest.approx(444)
