from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_aggrgan.engines.health import ailment_of


def networks() -> dict[str, nn.Module]:
    """A generator that has gradients and a critic."""
    generator, critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), nn.Linear(4, 1)
    critic(generator(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))).square().sum().backward()
    return {"generator": generator, "critic": critic}


def ailment(parts: dict[str, nn.Module], *, term: float = 1.0, diversity: float | None = 0.1) -> str | None:
    terms = {"critic/real": torch.tensor(0.5), "generator/adversarial": torch.tensor(term)}
    spread = None if diversity is None else torch.tensor(diversity)
    return ailment_of(terms, **parts, diversity=spread, min_diversity=1e-3)


def test_a_training_that_is_well():
    assert ailment(networks()) is None
    assert ailment(networks(), diversity=None) is None


@pytest.mark.parametrize(("value", "told"), [(float("nan"), "nan"), (float("inf"), "inf"), (-float("inf"), "-inf")])
def test_terms_that_are_no_numbers(value, told):
    assert ailment(networks(), term=value) == f"the term generator/adversarial became {told}"


@pytest.mark.parametrize("part", ["generator", "critic"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(part, value):
    parts = networks()
    next(parts[part].parameters()).data.view(-1)[1] = value
    assert ailment(parts) == f"the {part} has weights that are NaN or infinite"


def test_buffers_count_too():
    parts = networks()
    parts["generator"][1].running_var[2] = float("inf")
    assert ailment(parts) == "the generator has weights that are NaN or infinite"


def test_dead_gradients():
    parts = networks()
    for parameter in parts["generator"].parameters():
        parameter.grad.zero_()
    assert ailment(parts) == "the generator's gradients are zero, it has stopped learning"
    next(parts["generator"].parameters()).grad[0, 0] = 1e-9
    assert ailment(parts) is None


def test_a_generator_that_has_not_stepped_yet_has_no_gradients():
    parts = networks()
    parts["generator"].zero_grad()
    assert ailment(parts) is None


def test_the_same_image_always():
    assert ailment(networks(), diversity=9e-4) == "the generator collapsed, every image it makes is the same"


def test_one_transfer_tells_all(monkeypatch):
    reads = []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: reads.append(1) or tolist(tensor))
    for name in ("item", "__bool__", "__float__"):
        monkeypatch.setattr(torch.Tensor, name, lambda tensor: pytest.fail("waits for the device"))
    assert ailment(networks()) is None
    assert len(reads) == 1
