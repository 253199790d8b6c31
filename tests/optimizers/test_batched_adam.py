from __future__ import annotations

import pytest
import torch
from torch import Tensor

from monai_aggrgan.optimizers import BatchedAdam, Closure, value_and_gradient


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.empty(shape, dtype=torch.float64).uniform_(-1, 1, generator=torch.Generator().manual_seed(seed))


def bowls(centres: Tensor) -> Closure:
    return value_and_gradient(lambda points: (points - centres).cosh().sum(1))


def torchs_path(start: Tensor, centre: Tensor, steps: int, **options) -> Tensor:
    """Where `torch.optim.Adam` stands before each of so many steps of one problem."""
    point = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([point], **options)
    path = []
    for _ in range(steps):
        path.append(point.detach().clone())
        _, gradients = bowls(centre[None])(point[None])
        point.grad = gradients[0]
        optimizer.step()
    return torch.stack(path)


def batched_path(optimizer: BatchedAdam, centres: Tensor, steps: int) -> Tensor:
    path = []
    for _ in range(steps):
        optimizer.step(bowls(centres))
        path.append(optimizer.parameters.clone())
    return torch.stack(path, 1)


@pytest.mark.parametrize(
    "options", [{}, {"lr": 0.1}, {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3}, {"lr": 0.1, "betas": (0.0, 0.0)}]
)
def test_each_row_follows_torchs_adam(options):
    starts, centres = 2 * random(3, 5), random(3, 5, seed=1)
    expected = [torchs_path(*problem, 40, **options) for problem in zip(starts, centres, strict=True)]
    path = batched_path(BatchedAdam(starts, **options), centres, 40)
    torch.testing.assert_close(path, torch.stack(expected), rtol=0, atol=1e-12)


def test_a_row_put_in_later_has_a_bias_correction_of_its_own():
    starts, centres = 2 * random(3, 5), random(3, 5, seed=1)
    optimizer = BatchedAdam(starts, lr=0.1)
    before = batched_path(optimizer, centres, 7)
    newcomers = random(1, 5, seed=2)
    optimizer.replace(torch.tensor([1]), newcomers)
    after = batched_path(optimizer, centres, 20)
    torch.testing.assert_close(after[1], torchs_path(newcomers[0], centres[1], 20, lr=0.1), rtol=0, atol=1e-12)
    for row in (0, 2):
        expected = torchs_path(starts[row], centres[row], 27, lr=0.1)
        torch.testing.assert_close(torch.cat([before[row], after[row]]), expected, rtol=0, atol=1e-12)
    assert optimizer.iterations.tolist() == [26, 19, 26]


def test_single_precision_follows_torchs_too():
    starts, centres = 2 * random(1, 5).float(), random(1, 5, seed=1).float()
    path = batched_path(BatchedAdam(starts, lr=0.1), centres, 20)
    torch.testing.assert_close(path[0], torchs_path(starts[0], centres[0], 20, lr=0.1), rtol=0, atol=1e-4)


def test_a_trial_that_is_not_finite_is_the_last():
    optimizer = BatchedAdam(torch.tensor([[0.25], [2.0]]), lr=0.1)
    for _ in range(5):
        optimizer.step(value_and_gradient(lambda points: points.sqrt().sum(1)))  # 0.25, 0.15, 0.05, and -0.05
    assert optimizer.broken.tolist() == [True, False] and optimizer.active.tolist() == [False, True]
    assert optimizer.iterations.tolist() == [3, 4]
    torch.testing.assert_close(optimizer.best[0], torch.tensor([0.05]), rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "lr must be above 0"),
        ({"lr": float("nan")}, "lr must be above 0"),
        ({"betas": (1.0, 0.999)}, r"both betas in \[0, 1\), got 0.001 and \(1.0, 0.999\)"),
        ({"betas": (0.9, -0.1)}, r"both betas in \[0, 1\)"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BatchedAdam(torch.zeros(2, 3), **options)
