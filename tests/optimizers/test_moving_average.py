from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode

from monai_aggrgan.optimizers import ExponentialMovingAverage


class NeverWaits(TorchDispatchMode):
    """Refuses what would read a tensor on the host, and so cannot be in a CUDA graph."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise RuntimeError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 1, 3))


def training(network: nn.Module, steps: int, seed: int = 0) -> Iterator[None]:
    """Steps that change every parameter and buffer of a network."""
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        images = torch.rand(4, 1, 8, 8, generator=random)
        network.train()(images).square().mean().backward()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter -= 0.1 * parameter.grad + 0.01
                parameter.grad = None
        yield


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def memory(network: nn.Module) -> set[int]:
    return {value.untyped_storage().data_ptr() for value in network.state_dict().values()}


@pytest.mark.parametrize(("half_life", "ramp_up"), [(40.0, 0.5), (1000.0, 0.05), (10.0, 100.0)])
def test_the_average_is_that_of_the_formula(network, half_life, ramp_up):
    average = ExponentialMovingAverage(network, half_life=half_life, ramp_up=ramp_up)
    expected: dict[str, Tensor] = {}
    seen = 0
    for step, _ in enumerate(training(network, 12)):
        images = 4 + 3 * step
        decay = 0.5 ** (images / min(half_life, seen * ramp_up)) if seen else 0.0
        for name, value in network.state_dict().items():
            value = value.double()
            expected[name] = decay * expected.get(name, value) + (1 - decay) * value
        average.update(network, images)
        seen += images
    assert average.images_seen == seen
    result = average.network.state_dict()
    assert result.pop("1.num_batches_tracked") == 12 == network[1].num_batches_tracked
    for name, value in result.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=0, atol=1e-6, msg=name)
        assert not torch.allclose(value, network.state_dict()[name], rtol=0, atol=1e-4), name


def test_after_the_first_update_it_is_the_network(network):
    average = ExponentialMovingAverage(network)
    start = copy.deepcopy(average.network)
    for _ in training(network, 3):
        pass
    average.update(network, 64)
    assert same(average.network, network) and not same(average.network, start)


def test_a_network_that_stays_is_its_average(network):
    average = ExponentialMovingAverage(network)
    for _ in range(20):
        average.update(network, 64)
    assert same(average.network, network)


def test_half_of_a_jump_is_left_after_the_half_life(network):
    average = ExponentialMovingAverage(network, half_life=640, ramp_up=1e6)
    average.update(network, 64)
    before = network[3].bias.item()
    nn.init.constant_(network[3].bias, before + 1)
    for _ in range(10):
        average.update(network, 64)
    assert average.network[3].bias.item() == pytest.approx(before + 0.5, abs=1e-4)


def test_the_copy_is_for_evaluation_and_has_no_gradients(network):
    average = ExponentialMovingAverage(network.train())
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert not any(module.training for module in average.train().modules())
    for _ in training(network, 2):
        average.update(network, 4)
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_no_memory_is_shared(network):
    average = ExponentialMovingAverage(network)
    own = memory(average.network)
    for _ in training(network, 2):
        average.update(network, 4)
    assert memory(average.network) == own and not own & memory(network)


def test_resumed_is_as_uninterrupted(network):
    whole, first = ExponentialMovingAverage(network, half_life=40), ExponentialMovingAverage(network, half_life=40)
    steps = training(network, 10)
    for _ in range(5):
        next(steps)
        whole.update(network, 4)
        first.update(network, 4)
    second = ExponentialMovingAverage(copy.deepcopy(network), half_life=40)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in steps:
        whole.update(network, 4)
        second.update(network, 4)
    assert same(whole, second) and not same(whole, first)
    assert second.images_seen == 40


def test_it_stays_in_channels_last(network):
    network.to(memory_format=torch.channels_last)
    average = ExponentialMovingAverage(network)
    assert network[3].weight.stride() != torch.empty(1, 3, 3, 3).stride()
    for _ in training(network, 2):
        average.update(network, 4)
    assert average.network[3].weight.stride() == network[3].weight.stride()


def test_other_precisions_are_averaged_too(network):
    average = ExponentialMovingAverage(network.double(), half_life=64, ramp_up=1e6)
    average.update(network, 64)
    nn.init.constant_(network[3].bias, 1.0)
    before = average.network[3].bias.item()
    average.update(network, 64)
    assert average.network[3].bias.item() == pytest.approx((before + 1) / 2, abs=1e-6)


def test_a_distributed_network_is_averaged_without_its_wrapper(network):
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(network)
        average = ExponentialMovingAverage(wrapped)
        nn.init.constant_(network[3].bias, 1.0)
        average.update(wrapped, 4)
    finally:
        dist.destroy_process_group()
    assert type(average.network) is nn.Sequential and same(average.network, network)


def test_nothing_waits_for_the_device(network):
    average = ExponentialMovingAverage(network)
    with NeverWaits():
        average.update(network, 4)
        average.update(network, 4)
        with pytest.raises(RuntimeError, match="waits"):
            average.images_seen.item()


@pytest.mark.parametrize("options", [{"half_life": 0.0}, {"ramp_up": -1.0}, {"ramp_up": float("inf")}])
def test_wrong_options_are_refused(network, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name} must be above 0 and finite"):
        ExponentialMovingAverage(network, **options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_cuda_a_recorded_update_is_the_update(network):
    network.cuda()
    plain, recorded = ExponentialMovingAverage(network), ExponentialMovingAverage(network)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded.update(network, 4)
    for _ in range(3):
        network[3].bias.data += 1
        plain.update(network, 4)
        graph.replay()
        assert same(plain, recorded)
