from __future__ import annotations

import pytest
import torch
from torch import Tensor

from monai_aggrgan.data import NormalLatents
from monai_aggrgan.engines.gan_step import GanStep
from monai_aggrgan.engines.graphed_gan_step import GraphedGanStep, fit_to_graphs
from monai_aggrgan.optimizers import ExponentialMovingAverage
from monai_aggrgan.transforms import DifferentiableAugmentation
from tests.engines.test_gan_step import GANS, REAL, parts_of, step_of

CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))


def state_of(step: GraphedGanStep) -> dict[str, Tensor]:
    """All weights, buffers and moments."""
    inner = step.step
    parts = {"generator": inner.generator, "critic": inner.critic, "average": inner.average, "p": inner.augmentation}
    state = {f"{part} {name}": value for part, module in parts.items() for name, value in module.state_dict().items()}
    for optimizer in (inner.generator_optimizer, inner.critic_optimizer):
        for number, moments in enumerate(optimizer.state.values()):
            state |= {f"{id(optimizer)} {number} {name}": value for name, value in moments.items()}
    return {name: value.detach().clone().cpu() for name, value in state.items()}


def trained(gan: str, device: torch.device, *, graphs: bool) -> tuple[list[dict[str, float]], list[Tensor]]:
    """Terms of some steps and the state after them."""
    parts = parts_of(gan)
    for part in ("generator", "critic"):
        parts[part].to(device)
    optimizers = {
        f"{part}_optimizer": torch.optim.Adam(parts[part].parameters(), 1e-3, fused=True)
        for part in ("generator", "critic")
    }
    for optimizer in optimizers.values():
        fit_to_graphs(optimizer, device, graphs=graphs and device.type == "cuda")
    step = GanStep(
        **parts,
        **optimizers,
        latents=NormalLatents(20),
        random=torch.Generator(device=device).manual_seed(2),
        augmentation=DifferentiableAugmentation(p=0.5, target=0.2, speed=200).to(device),
        average=ExponentialMovingAverage(parts["generator"]),
    )
    graphed = GraphedGanStep(step, device)
    torch.manual_seed(3)
    told = []
    for number in range(14):
        images = REAL.roll(number, dims=0)[: 4 if number == 7 else 6].to(device)
        terms = (graphed if graphs else step)(images, with_generator=number % 2 == 1)
        told.append({name: float(value) for name, value in terms.items()})
    return told, list(state_of(graphed).values())


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("gan", GANS)
def test_graphed_steps_are_the_eager_ones(gan, device):
    """Also with a short batch between them; on a CPU nothing is recorded, but all else is the same code."""
    place = torch.device(device)
    told, state = trained(gan, place, graphs=True)
    expected, expected_state = trained(gan, place, graphs=False)
    exact = {"rtol": 0, "atol": 0} if device == "cpu" else {"rtol": 1e-3, "atol": 1e-4}
    for terms, wanted in zip(told, expected, strict=True):
        assert terms.keys() == wanted.keys()
        for name, value in wanted.items():
            assert terms[name] == pytest.approx(value, rel=exact["rtol"], abs=exact["atol"]), name
    for found, wanted in zip(state, expected_state, strict=True):
        torch.testing.assert_close(found, wanted, **exact)


def test_terms_are_copies_that_the_next_step_leaves_alone():
    step = step_of(augmentation=DifferentiableAugmentation())
    graphed = GraphedGanStep(step, torch.device("cpu"))
    first = graphed(REAL, with_generator=True)
    kept = {name: value.clone() for name, value in first.items()}
    graphed(REAL.flip(0), with_generator=True)
    assert all(torch.equal(first[name], value) for name, value in kept.items())


def test_forgetting_records_anew():
    graphed = GraphedGanStep(step_of(), torch.device("cpu"))
    graphed(REAL, with_generator=True)
    before = graphed._graphs[True]
    graphed(REAL, with_generator=True)
    assert graphed._graphs[True] is before
    graphed.forget()
    graphed(REAL, with_generator=True)
    assert graphed._graphs[True] is not before


def test_an_optimiser_goes_into_graphs_and_out_again_with_its_state():
    cpu = torch.device("cpu")
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight], 0.1)
    weight.sum().backward()
    optimizer.step()
    fit_to_graphs(optimizer, cpu, graphs=True)
    (group,), state = optimizer.param_groups, optimizer.state[weight]
    assert group["capturable"] and isinstance(group["lr"], Tensor) and float(group["lr"]) == pytest.approx(0.1)
    assert state["step"].dtype == torch.float32 and state["step"].device == cpu
    torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5).step()
    fit_to_graphs(optimizer, cpu, graphs=False)
    assert not group["capturable"] and group["lr"] == pytest.approx(0.05) and isinstance(group["lr"], float)
    before = weight.detach().clone()
    optimizer.step()
    assert torch.allclose(before - weight, torch.full((3,), 0.05), rtol=1e-3)


def test_fitting_twice_keeps_the_same_rate_in_memory():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))], 0.1)
    fit_to_graphs(optimizer, torch.device("cpu"), graphs=True)
    rate = optimizer.param_groups[0]["lr"]
    fit_to_graphs(optimizer, torch.device("cpu"), graphs=True)
    assert optimizer.param_groups[0]["lr"] is rate


def test_an_optimiser_that_knows_nothing_of_graphs_is_left_as_it_is():
    optimizer = torch.optim.LBFGS([torch.nn.Parameter(torch.ones(3))])
    before = dict(optimizer.param_groups[0])
    fit_to_graphs(optimizer, torch.device("cpu"), graphs=True)
    assert optimizer.param_groups[0] == before
