"""What holds for every batched optimiser: rows are independent, and the host is never asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from monai_aggrgan.optimizers import BatchedAdam, BatchedLBFGS, BatchedOptimizer, Closure, value_and_gradient

KINDS = {
    "fixed step": partial(BatchedLBFGS, lr=0.5, history_size=3),
    "armijo": partial(BatchedLBFGS, lr=1.5, history_size=3, line_search="armijo"),
    "adam": partial(BatchedAdam, lr=0.2),
}
Build = Callable[[Tensor], BatchedOptimizer]


@pytest.fixture(params=KINDS.values(), ids=KINDS.keys())
def build(request: pytest.FixtureRequest) -> Build:
    return request.param


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.empty(shape, dtype=torch.float64).uniform_(-1, 1, generator=torch.Generator().manual_seed(seed))


def valleys(centres: Tensor) -> Closure:
    """One curved valley a row, each with its minimum 0 in a place of its own."""

    def objective(points: Tensor) -> Tensor:
        offsets = points - centres
        return (2 * (offsets[:, 1:] - offsets[:, :-1].square()).square() + (1 - offsets[:, :-1]).square()).sum(1)

    return value_and_gradient(objective)


def run_steps(optimizer: BatchedOptimizer, closure: Closure, steps: int) -> BatchedOptimizer:
    for _ in range(steps):
        optimizer.step(closure)
    return optimizer


def assert_same_state(left: BatchedOptimizer, right: BatchedOptimizer, rows: list[int] | None = None) -> None:
    """Every tensor of the state, to rounding: the rings and masks as well as the parameters."""
    for name, tensor in left.state.items():
        other = right.state[name] if rows is None else right.state[name][rows]
        torch.testing.assert_close(tensor, other, rtol=1e-10, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")


class Operations(TorchDispatchMode):
    """The names of all tensor operations within but views, which cost the device nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if not operation.is_view:
            self.names.append(operation.overloadpacket.__name__)
        return operation(*args, **(kwargs or {}))


def test_starts_from_a_copy_and_evaluates_it_first(build):
    starts, centres = random(2, 1, 2, 3), random(2, 1, 2, 3, seed=1)
    optimizer = build(starts)
    assert optimizer.losses.tolist() == optimizer.best_losses.tolist() == [torch.inf, torch.inf]
    assert optimizer.iterations.tolist() == [-1, -1] and optimizer.iterations.dtype == torch.int64
    optimizer.step(value_and_gradient(lambda images: (images - centres).square().sum((1, 2, 3))))
    assert torch.equal(optimizer.parameters, starts) and torch.equal(optimizer.best, starts)
    torch.testing.assert_close(optimizer.losses, (starts - centres).square().sum((1, 2, 3)))
    assert optimizer.iterations.tolist() == [0, 0]
    before = starts.clone()
    run_steps(optimizer, value_and_gradient(lambda images: (images - centres).square().sum((1, 2, 3))), 3)
    assert torch.equal(starts, before) and not torch.equal(optimizer.parameters, starts)
    assert optimizer.parameters.shape == optimizer.best.shape == starts.shape


def test_all_shapes_are_the_same_problem(build):
    starts, centres = random(3, 6), random(3, 6, seed=1)
    flat = run_steps(build(starts), valleys(centres), 8)

    def closure(images: Tensor) -> tuple[Tensor, Tensor]:
        losses, gradients = valleys(centres)(images.flatten(1))
        return losses, gradients.view(3, 1, 2, 3)

    images = run_steps(build(starts.view(3, 1, 2, 3)), closure, 8)
    assert torch.equal(images.parameters.flatten(1), flat.parameters)
    strided = run_steps(build(starts.T.contiguous().T), valleys(centres), 8)
    assert_same_state(strided, flat)


def test_order_and_split_of_the_batch_do_not_matter(build):
    starts, centres, order = random(7, 4), random(7, 4, seed=1), [4, 2, 6, 0, 5, 1, 3]
    together = run_steps(build(starts), valleys(centres), 15)
    assert (together.best_losses < 0.5 * valleys(centres)(starts)[0]).all()
    assert_same_state(run_steps(build(starts[order]), valleys(centres[order]), 15), together, order)
    for rows in ([0], [1, 2, 3, 4], [5, 6]):
        assert_same_state(run_steps(build(starts[rows]), valleys(centres[rows]), 15), together, rows)


@pytest.mark.parametrize("spoilt", ["losses", "gradients"])
def test_a_row_that_is_not_a_number_stays_alone(build, spoilt):
    starts, centres, others = random(3, 4), random(3, 4, seed=1), [0, 2]
    calls = 0

    def breaking(points: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        losses, gradients = valleys(centres)(points)
        if calls > 6:
            (losses if spoilt == "losses" else gradients)[1] = torch.nan
        return losses, gradients

    whole = build(starts)
    until = run_steps(build(starts), valleys(centres), 6)  # the last of the good calls
    run_steps(whole, valleys(centres), 40)
    optimizer = run_steps(build(starts), breaking, 40)
    for name, tensor in optimizer.state.items():
        assert torch.equal(tensor[others], whole.state[name][others]), name
    assert optimizer.broken.tolist() == [False, True, False] and not optimizer.active[1]
    assert torch.equal(optimizer.parameters[1], until.parameters[1])
    assert torch.equal(optimizer.best[1], until.best[1])
    assert torch.equal(optimizer.best_losses[1], until.best_losses[1])


def test_not_finite_at_the_start_is_broken_at_once(build):
    starts, centres = random(2, 4), random(2, 4, seed=1)
    centres[0, 0] = torch.nan
    optimizer = run_steps(build(starts), valleys(centres), 3)
    assert optimizer.broken.tolist() == [True, False] and optimizer.active.tolist() == [False, True]
    assert optimizer.iterations.tolist() == [0, 2]
    assert torch.equal(optimizer.best[0], starts[0])
    assert optimizer.best_losses[0] == optimizer.losses[0] == torch.inf and optimizer.best_losses[1] < torch.inf


@pytest.mark.parametrize("build", [partial(BatchedLBFGS, lr=1.9), partial(BatchedAdam, lr=0.5)], ids=["lbfgs", "adam"])
def test_best_outlives_a_rise(build):
    closure, optimizer = valleys(random(4, 4, seed=1)), build(2 * random(4, 4))
    losses, path = [], []
    for _ in range(12):
        optimizer.step(closure)
        losses.append(optimizer.losses.clone())
        path.append(optimizer.parameters.clone())
        least, when = torch.stack(losses).min(0)
        assert torch.equal(optimizer.best_losses, least)
        assert torch.equal(optimizer.best, torch.stack(path)[when, range(4)])
    assert (torch.stack(losses).diff(dim=0) > 0).any() and (least < losses[-1]).any()
    assert torch.equal(closure(optimizer.best)[0], optimizer.best_losses)


def test_a_frozen_row_stays_as_it_is(build):
    starts, closure = random(3, 4), valleys(random(3, 4, seed=1))
    optimizer, free = run_steps(build(starts), closure, 4), run_steps(build(starts), closure, 4)
    optimizer.freeze(torch.tensor([False, True, False]))
    before = {name: tensor.clone() for name, tensor in optimizer.state.items()}

    def watched(points: Tensor) -> tuple[Tensor, Tensor]:
        assert torch.equal(points[1], before["parameters"][1])
        return closure(points)

    run_steps(optimizer, watched, 5), run_steps(free, closure, 5)
    for name, tensor in optimizer.state.items():
        assert torch.equal(tensor[[0, 2]], free.state[name][[0, 2]]), name
        assert torch.equal(tensor[1], before[name][1]), name
    assert optimizer.active.tolist() == [True, False, True] and not optimizer.broken.any()
    assert not torch.equal(optimizer.parameters[0], before["parameters"][0])


def test_kept_rows_go_on_as_before(build):
    starts, centres, rows = random(5, 4), random(5, 4, seed=1), [3, 0]
    whole = run_steps(build(starts), valleys(centres), 12)
    optimizer = run_steps(build(starts), valleys(centres), 5)
    optimizer.keep(torch.tensor(rows))
    assert optimizer.parameters.shape == (2, 4)
    assert_same_state(run_steps(optimizer, valleys(centres[rows]), 7), whole, rows)


def test_a_replaced_row_starts_afresh(build):
    starts, centres, newcomer = random(3, 4), random(3, 4, seed=1), random(1, 4, seed=2)
    undisturbed = run_steps(build(starts), valleys(centres), 17)
    optimizer = run_steps(build(starts), valleys(centres), 6)  # its rings have wrapped
    optimizer.freeze(torch.tensor([False, True, False]))
    optimizer.replace(torch.tensor([1]), newcomer)
    moved = centres.clone()
    moved[1] = random(4, seed=3)
    run_steps(optimizer, valleys(moved), 11)
    alone = run_steps(build(newcomer), valleys(moved[[1]]), 11)
    assert_same_state(alone, optimizer, [1])
    for name, tensor in optimizer.state.items():
        assert torch.equal(tensor[[0, 2]], undisturbed.state[name][[0, 2]]), name


def test_runs_without_data(build):
    """On the meta device any question from the host (`item`, `nonzero`, a branch on a tensor) raises."""
    optimizer = build(torch.zeros(3, 4, device="meta"))
    run_steps(optimizer, value_and_gradient(lambda points: points.square().sum(1)), 3)
    optimizer.freeze(torch.ones(3, dtype=torch.bool, device="meta"))
    optimizer.replace(torch.zeros(1, dtype=torch.int64, device="meta"), torch.ones(1, 4, device="meta"))
    run_steps(optimizer, value_and_gradient(lambda points: points.square().sum(1)), 1)
    assert {tensor.device.type for tensor in optimizer.state.values()} == {"meta"}
    with pytest.raises(RuntimeError):
        optimizer.losses[0].item()


def operations(optimizer: BatchedOptimizer) -> list[str]:
    results = torch.ones(len(optimizer.losses)), torch.ones_like(optimizer.parameters)
    run_steps(optimizer, lambda _: results, 2)
    with Operations() as step:
        optimizer.step(lambda _: results)
    return step.names


@pytest.mark.parametrize("line_search", [None, "armijo"])
def test_operations_of_lbfgs_depend_neither_on_history_nor_batch(line_search):
    names = operations(BatchedLBFGS(torch.zeros(2, 5), history_size=3, line_search=line_search))
    for batch, history_size in [(1, 1), (2, 50), (40, 3)]:
        start = torch.zeros(batch, 5)
        assert names == operations(BatchedLBFGS(start, history_size=history_size, line_search=line_search))


def test_operations_are_few_and_ask_nothing(build):
    names = operations(build(torch.zeros(2, 5)))
    assert names == operations(build(torch.zeros(9, 5)))
    assert 20 < len(names) < 220
    assert not {"_local_scalar_dense", "nonzero", "is_nonzero", "masked_select"} & set(names)


def test_the_state_stays_in_its_memory(build):
    closure = valleys(random(3, 4, seed=1))
    optimizer = build(random(3, 4))
    places = {name: tensor.data_ptr() for name, tensor in optimizer.state.items()}
    assert len(set(places.values())) == len(places)
    run_steps(optimizer, closure, 6)
    optimizer.freeze(torch.tensor([True, False, False]))
    optimizer.replace(torch.tensor([2, 0]), random(2, 4, seed=2))
    run_steps(optimizer, closure, 2)
    assert places == {name: tensor.data_ptr() for name, tensor in optimizer.state.items()}
    assert optimizer.losses.data_ptr() == places["losses"] and optimizer.best.data_ptr() == places["best"]


@pytest.mark.parametrize(
    "parameters",
    [torch.zeros(3), torch.zeros(()), torch.zeros(0, 3), torch.zeros(3, 0), torch.zeros(3, 2, dtype=torch.int64)],
)
def test_other_parameters_are_refused(build, parameters):
    with pytest.raises(ValueError, match=r"parameters must be floating-point numbers \(B, \.\.\.\), one row a problem"):
        build(parameters)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("grad_mode", [torch.no_grad, torch.enable_grad])
def test_values_and_gradients_of_a_batch_of_images(dtype, grad_mode):
    images = random(3, 1, 2, 4).to(dtype)
    weights = random(3, 1, 2, 4, seed=1).to(dtype)
    with grad_mode():
        losses, gradients = value_and_gradient(lambda x: (weights * x.square()).sum((1, 2, 3)))(images)
    assert losses.shape == (3,) and losses.dtype == gradients.dtype == dtype
    assert not (losses.requires_grad or gradients.requires_grad or images.requires_grad)
    torch.testing.assert_close(losses, (weights * images.square()).sum((1, 2, 3)))
    torch.testing.assert_close(gradients, 2 * weights * images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_precision_of_the_parameters_is_kept(build, dtype):
    optimizer = run_steps(build(random(2, 4).to(dtype)), valleys(random(2, 4, seed=1).to(dtype)), 6)
    values = (optimizer.parameters, optimizer.losses, optimizer.best, optimizer.best_losses)
    assert {value.dtype for value in values} == {dtype}


def test_a_loss_for_all_rows_together_is_refused():
    closure = value_and_gradient(lambda images: images.square().mean())
    with pytest.raises(ValueError, match=r"must give a loss for each row, \(3,\), got \(\)"):
        closure(torch.zeros(3, 1, 4, 4))


@pytest.mark.parametrize(
    ("losses", "gradients", "message"),
    [
        (torch.zeros(()), torch.zeros(3, 1, 4, 5), r"losses \(3,\) of float32, got \(\) of float32"),
        (torch.zeros(3, 1), torch.zeros(3, 1, 4, 5), r"losses \(3,\) of float32, got \(3, 1\)"),
        (torch.zeros(3), torch.zeros(3, 1, 5, 4), r"gradients \(3, 1, 4, 5\) of float32, got \(3, 1, 5, 4\)"),
        (torch.zeros(3), torch.zeros(3, 1, 4, 5).double(), r"gradients .* of float32, got .* of float64"),
    ],
)
def test_a_closure_without_a_row_for_each_problem_is_refused(losses, gradients, message, build):
    optimizer = build(torch.zeros(3, 1, 4, 5))
    with pytest.raises(ValueError, match=f"the closure must return {message}"):
        optimizer.step(lambda _: (losses, gradients))
    assert optimizer.iterations.tolist() == [-1] * 3  # nothing has been done


def test_parameters_that_are_no_tensor_are_refused(build):
    with pytest.raises(ValueError, match=r"parameters must be a tensor \(B, ...\), .*, got list"):
        build([torch.zeros(3, 4)])
