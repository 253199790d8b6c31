from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from monai_aggrgan.optimizers import BatchedLBFGS, Closure, value_and_gradient

Objective = Callable[[Tensor], Tensor]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.empty(shape, dtype=torch.float64).uniform_(-1, 1, generator=torch.Generator().manual_seed(seed))


def rosenbrock(points: Tensor) -> Tensor:
    ahead, behind = points[:, 1:], points[:, :-1]
    return (100 * (ahead - behind.square()).square() + (1 - behind).square()).sum(1)


def two_wells(points: Tensor) -> Tensor:
    """Not convex around 0, and coupled."""
    coupling = 0.3 * (points[:, 1:] * points[:, :-1]).sum(1)
    return (points**4 / 4 - points**2 / 2).sum(1) + coupling


def barrier(points: Tensor) -> Tensor:
    """Least at 1, not a number below 0."""
    return (points - points.log()).sum(1)


def style_transfer(contents: Tensor, styles: Tensor) -> Objective:
    """Content and Gram losses (B,) on a small net of random filters, row b with content and style b."""
    filters = [random(out, inputs, 3, 3, seed=out) / inputs**0.5 for out, inputs in ((4, 1), (5, 4), (6, 5))]

    def maps(images: Tensor) -> list[Tensor]:
        first = F.conv2d(images, filters[0], padding=1).relu()
        second = F.conv2d(first, filters[1], padding=1).relu()
        return [first, second, F.conv2d(F.avg_pool2d(second, 2), filters[2], padding=1).relu()]

    def gram(features: Tensor) -> Tensor:
        rows = features.flatten(2)
        return rows @ rows.mT / rows.shape[2]

    content, style = maps(contents)[1], [gram(stage) for stage in maps(styles)]

    def objective(images: Tensor) -> Tensor:
        stages = maps(images)
        apart = [(gram(stage) - target).square().sum((1, 2)) for stage, target in zip(stages, style, strict=True)]
        return (stages[1] - content).square().mean((1, 2, 3)) + 10 * sum(apart)

    return objective


def torchs_path(objective: Objective, starts: Tensor, steps: int, **options) -> Tensor:
    """Where `torch.optim.LBFGS` stands after 0, 1, ... steps, one problem (row b of the objective) after the other."""
    paths = []
    for row in range(len(starts)):
        point = starts[row].clone().requires_grad_()
        optimizer = torch.optim.LBFGS([point], max_iter=1, tolerance_grad=0, tolerance_change=0, **options)

        def closure(row=row, point=point, optimizer=optimizer) -> Tensor:
            optimizer.zero_grad()
            batch = torch.cat([starts[:row], point[None], starts[row + 1 :]])
            loss = objective(batch)[row]
            loss.backward()
            return loss

        path = [point.detach().clone()]
        for _ in range(steps):
            optimizer.step(closure)
            path.append(point.detach().clone())
        paths.append(torch.stack(path))
    return torch.stack(paths)


def batched_path(objective: Objective, starts: Tensor, steps: int, **options) -> Tensor:
    optimizer, closure, path = BatchedLBFGS(starts, **options), value_and_gradient(objective), []
    for _ in range(steps + 1):
        optimizer.step(closure)
        path.append(optimizer.parameters.clone())
    return torch.stack(path, 1)


class Recorded:
    """A closure that remembers what it was asked, and what it said."""

    def __init__(self, closure: Closure) -> None:
        self.closure = closure
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def __call__(self, points: Tensor) -> tuple[Tensor, Tensor]:
        losses, gradients = self.closure(points)
        self.calls.append((points.clone(), losses.clone(), gradients.clone()))
        return losses, gradients


def curvatures(objective: Objective, path: Tensor) -> Tensor:
    """s.y of each move of a path (b, steps + 1, n)."""
    _, gradients = value_and_gradient(objective)(path.flatten(0, 1))
    return (path.diff(dim=1) * gradients.view_as(path).diff(dim=1)).sum(2)


# Rosenbrock's valley multiplies rounding: at lr 1 the two differ by 1e-9 after 25 steps, at lr 0.2 by 1e-13. Paths of
# these lengths still turn, lose most of the loss and wrap the ring several times.
@pytest.mark.parametrize("history_size", [1, 5])
@pytest.mark.parametrize("dimensions", [2, 5, 12])
def test_each_iterate_is_torchs_on_rosenbrock(dimensions, history_size):
    starts, options = 1.5 * random(4, dimensions, seed=dimensions), {"lr": 0.2, "history_size": history_size}
    path = batched_path(rosenbrock, starts, 25, **options)
    torch.testing.assert_close(path, torchs_path(rosenbrock, starts, 25, **options), rtol=0, atol=1e-10)
    assert (rosenbrock(path[:, -1]) < 0.1 * rosenbrock(starts)).all()


def test_each_iterate_is_torchs_on_style_transfer():
    contents, styles = random(3, 1, 10, 10).abs(), random(3, 1, 10, 10, seed=1).abs() ** 2
    objective = style_transfer(contents, styles)
    path = batched_path(objective, contents, 30, history_size=5)
    torch.testing.assert_close(path, torchs_path(objective, contents, 30, history_size=5), rtol=0, atol=1e-10)
    assert (objective(path[:, -1]) < 0.2 * objective(contents)).all()


def test_pairs_without_positive_curvature_are_not_remembered():
    starts, options = 2 * random(12, 3, seed=19), {"lr": 0.5, "history_size": 5}
    path = torchs_path(two_wells, starts, 8, **options)
    signs = curvatures(two_wells, path)
    comparable = signs[:, 0] > 0  # before its first pair torch does not keep to the cautious length
    assert (comparable & (signs < 0).any(1)).sum() > 2
    torch.testing.assert_close(batched_path(two_wells, starts, 8, **options)[comparable], path[comparable])


def test_steps_stay_cautious_until_there_is_a_pair():
    starts = torch.tensor([[0.5, 1.0]], dtype=torch.float64)
    path = batched_path(lambda points: -points.cosh().sum(1), starts, 3, lr=0.1)
    moves = path.diff(dim=1)
    torch.testing.assert_close(moves.abs().sum(2), torch.full((1, 3), 0.1, dtype=torch.float64))


@pytest.mark.parametrize("objective", [rosenbrock, two_wells])
def test_armijos_rule_holds_for_each_accepted_step(objective):
    closure = Recorded(value_and_gradient(objective))
    optimizer = BatchedLBFGS(1.5 * random(6, 4, seed=1), lr=1.5, history_size=5, line_search="armijo")
    optimizer.step(closure)
    accepted = torch.zeros(6, dtype=torch.int64)
    for _ in range(50):
        points, losses, active = optimizer.parameters.clone(), optimizer.losses.clone(), optimizer.active.clone()
        _, gradients = value_and_gradient(objective)(points)
        optimizer.step(closure)
        tried, results, _ = closure.calls[-1]
        step = tried - points
        low_enough = results <= losses + 1e-4 * (gradients * step).sum(1)
        moved = (optimizer.parameters != points).any(1)
        assert torch.equal(moved, low_enough & active & (step != 0).any(1))
        assert torch.equal(optimizer.parameters[moved], tried[moved])
        assert (optimizer.losses <= losses).all()
        accepted += moved
    assert (accepted > 20).all() and (accepted < optimizer.iterations).all()  # some trials were refused, and counted
    assert len(closure.calls) == 51 and optimizer.iterations.max() == 50


@pytest.mark.parametrize(("decrease", "accepted"), [(0.6e-4, True), (0.4e-4, False)])
def test_half_a_step_owes_half_the_decrease(decrease, accepted):
    """From a loss of 1 along a slope of 1: the whole step is refused, the half of it needs 0.5e-4."""
    losses = iter([1.0, 2.0, 1 - decrease])
    start = torch.zeros(1, 1, dtype=torch.float64)
    optimizer = BatchedLBFGS(start, line_search="armijo")
    for _ in range(3):
        optimizer.step(lambda points: (points.new_tensor([next(losses)]), torch.ones_like(points)))
    assert optimizer.parameters.item() == (-0.5 if accepted else 0)


def test_armijo_solves_rosenbrock_where_the_fixed_step_rises():
    start = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    closure = value_and_gradient(rosenbrock)
    optimizer, fixed, rises = BatchedLBFGS(start, line_search="armijo"), BatchedLBFGS(start), 0
    for _ in range(50):
        before = fixed.losses.clone()
        optimizer.step(closure), fixed.step(closure)
        rises += int(fixed.losses > before)
    torch.testing.assert_close(optimizer.parameters, torch.ones_like(start), rtol=0, atol=1e-8)
    assert fixed.best_losses > 1e-3 and rises > 3


@pytest.mark.parametrize(("lr", "line_search"), [(1.0, None), (1.5, None), (3.0, "armijo")])
def test_steps_over_the_boundary_are_shortened(lr, line_search):
    closure = Recorded(value_and_gradient(barrier))
    starts = torch.tensor([[2.5, 3.0, 1.3], [6.0, 7.2, 3.0], [8.0, 9.6, 4.0]], dtype=torch.float64)
    optimizer = BatchedLBFGS(starts, lr=lr, line_search=line_search)
    for _ in range(60):
        optimizer.step(closure)
    nowhere = torch.stack([losses.isnan() for _, losses, _ in closure.calls])
    assert nowhere.any(0).all() and not optimizer.broken.any()
    torch.testing.assert_close(optimizer.best, torch.ones_like(starts), rtol=0, atol=1e-4)


def spoilt(lost: Callable[[int], bool]) -> Closure:
    """Rosenbrock, but not a number in the calls, counted from 1, that are lost."""
    calls = 0

    def closure(points: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        losses, gradients = value_and_gradient(rosenbrock)(points)
        return (losses * torch.nan if lost(calls) else losses), gradients

    return closure


@pytest.mark.parametrize("line_search", [None, "armijo"])
@pytest.mark.parametrize("good", [1, 5])
def test_ten_halvings_then_ten_along_the_gradient_then_the_end(good, line_search):
    start = torch.tensor([[-1.2, 1.0]], dtype=torch.float64)
    closure, lr = Recorded(spoilt(lambda call: call > good)), 0.3
    optimizer = BatchedLBFGS(start, lr=lr, line_search=line_search)
    for trial in range(1, good + 24):
        optimizer.step(closure)
        assert bool(optimizer.active) == (trial < good + 20)
    last, _, gradients = closure.calls[good - 1]
    steps = torch.cat([points - last for points, _, _ in closure.calls[good : good + 20]])
    halves = 0.5 ** torch.arange(10, dtype=torch.float64)[:, None]
    torch.testing.assert_close(steps[:10], halves * steps[:1])
    steepest = -gradients * lr * (1 / gradients.abs().sum()).clamp(max=1)
    torch.testing.assert_close(steps[10:], halves * steepest)
    assert torch.allclose(steps[0], steps[10]) == (good == 1)
    assert optimizer.broken.tolist() == [True] and optimizer.iterations.tolist() == [good + 19]
    assert torch.equal(optimizer.best, last) and torch.equal(optimizer.parameters, last)


def test_an_emptied_memory_is_as_good_as_none():
    optimizer = BatchedLBFGS(torch.tensor([[-1.2, 1.0, 1.2]], dtype=torch.float64), lr=0.3, history_size=4)
    closure = spoilt(lambda call: 7 < call <= 17)
    for _ in range(17):
        optimizer.step(closure)
    assert optimizer.active.item() and optimizer.state["place"].item() != 0
    fresh = BatchedLBFGS(optimizer.parameters, lr=0.3, history_size=4)
    fresh.step(closure)
    for _ in range(8):
        optimizer.step(closure), fresh.step(closure)
        torch.testing.assert_close(optimizer.parameters, fresh.parameters, rtol=0, atol=1e-10)


def test_after_a_rescue_the_count_starts_again():
    """Three trials lost, one good, and so on: never broken."""
    optimizer, closure = BatchedLBFGS(torch.tensor([[-1.2, 1.0]]).double()), spoilt(lambda call: call % 4 != 1)
    for _ in range(101):
        optimizer.step(closure)
    assert optimizer.active.tolist() == [True] and optimizer.state["count"].item() > 2
    assert optimizer.losses < 10


def test_a_start_without_a_lower_neighbour_is_frozen_but_not_broken():
    """A gradient of the wrong sign: every trial of the line search is finite and too high."""
    optimizer = BatchedLBFGS(torch.ones(2, 3), line_search="armijo")
    for _ in range(25):
        optimizer.step(lambda points: (points.square().sum(1), -2 * points))
    assert not optimizer.active.any() and not optimizer.broken.any()
    assert optimizer.iterations.tolist() == [20, 20]
    assert torch.equal(optimizer.best, torch.ones(2, 3)) and optimizer.best_losses.tolist() == [3, 3]


def test_a_gradient_of_zero_ends_a_problem_without_breaking_it():
    optimizer = BatchedLBFGS(torch.tensor([[0.0, 0.0], [4.0, 4.0]]))
    for _ in range(6):
        optimizer.step(value_and_gradient(lambda points: points.square().sum(1)))
    assert optimizer.iterations.tolist() == [0, 2]  # the first move gives the curvature, the second arrives
    assert not optimizer.active.any() and not optimizer.broken.any()
    assert optimizer.best_losses.tolist() == [0, 0]


@pytest.mark.parametrize("steps", [100, 400])
def test_single_precision_does_as_well_as_torchs_on_an_ill_conditioned_quadratic(steps):
    eigenvectors, _ = torch.linalg.qr(random(60, 60))
    matrix = ((eigenvectors * torch.logspace(0, 4, 60, dtype=torch.float64)) @ eigenvectors.T).float()
    starts = random(3, 60, seed=1).float()

    def quadratic(points: Tensor) -> Tensor:
        return ((points @ matrix) * points).sum(1) / 2

    ours = quadratic(batched_path(quadratic, starts, steps, history_size=20)[:, -1]) / quadratic(starts)
    torchs = quadratic(torchs_path(quadratic, starts, steps, history_size=20)[:, -1]) / quadratic(starts)
    assert (ours < 1e-3).all()
    both_solved = (ours < 1e-9) & (torchs < 1e-9)
    assert (both_solved | ((ours < 10 * torchs) & (torchs < 10 * ours))).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "lr must be above 0 and history_size 1 or more, got 0.0 and 20"),
        ({"lr": float("nan")}, "lr must be above 0"),
        ({"history_size": 0}, "got 1.0 and 0"),
        ({"line_search": "wolfe"}, "wolfe"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BatchedLBFGS(torch.zeros(2, 3), **options)
