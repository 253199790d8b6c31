from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from monai_aggrgan.losses.adversarial import wasserstein_divergence_penalty
from monai_aggrgan.networks.dcgan import DCGAN1Discriminator, DCGAN2Discriminator
from monai_aggrgan.networks.infogan import InfoGANCritic
from monai_aggrgan.networks.spectral_norm import normalise_spectrally
from monai_aggrgan.networks.wgan_div import WGANDivCritic

CRITICS = [
    partial(DCGAN1Discriminator, image_size=16, base_width=4),
    partial(DCGAN2Discriminator, image_size=16, base_width=4),
    partial(DCGAN2Discriminator, image_size=16, base_width=4, normalization="none"),
    partial(WGANDivCritic, image_size=16, hidden=(12, 6)),
    partial(InfoGANCritic, image_size=16, base_width=4, normalization="layer"),
]
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
IMAGES = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def layers(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, (*CONVOLUTIONS, nn.Linear))]


def largest_singular_value(weight: Tensor) -> float:
    return torch.linalg.svdvals(weight.detach().flatten(1))[0].item()


def weights_as_used(network: nn.Module) -> list[Tensor]:
    """The normalised weights, without moving the power iteration on."""
    training = network.training
    weights = [layer.weight for layer in layers(network.eval())]
    network.train(training)
    return weights


@pytest.mark.parametrize("build", CRITICS)
def test_every_weight_comes_to_have_the_largest_singular_value_one(build):
    critic = build(spectral_norm=True)
    call = partial(critic, with_codes=True) if isinstance(critic, InfoGANCritic) else critic
    for _ in range(100):
        call(IMAGES)
    assert len(layers(critic)) >= 3
    for weight in weights_as_used(critic):
        assert largest_singular_value(weight) == pytest.approx(1, abs=0.01)


def test_a_weight_keeps_its_direction():
    layer = nn.Conv2d(2, 3, 4)
    before = layer.weight.detach().clone()
    normalise_spectrally(layer, seed=0)
    for _ in range(100):
        layer(IMAGES.expand(2, 2, 16, 16))
    torch.testing.assert_close(layer.eval().weight, before / largest_singular_value(before), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("build", CRITICS)
def test_without_the_option_nothing_is_parametrised(build):
    names = list(build().state_dict())
    assert not [name for name in names if "parametrizations" in name]
    normalised = {
        name.replace("parametrizations.weight.original", "weight") for name in build(spectral_norm=True).state_dict()
    }
    assert set(names) < normalised


@pytest.mark.parametrize("build", CRITICS)
def test_the_seed_alone_decides_weights_and_vectors(build):
    before = torch.get_rng_state()
    first = build(spectral_norm=True, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    again, other = build(spectral_norm=True, seed=1).state_dict(), build(spectral_norm=True, seed=2).state_dict()
    vectors = [name for name in again if name.endswith(("_u", "_v"))]
    assert len(vectors) == 2 * len(layers(first))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again[name])
    assert not any(torch.equal(again[name], other[name]) for name in vectors if again[name].numel() > 1)
    originals = [layer.parametrizations.weight.original for layer in layers(first)]
    assert all(torch.equal(a, b.weight) for a, b in zip(originals, layers(build(seed=1)), strict=True))


@pytest.mark.parametrize("build", CRITICS)
def test_the_state_loads_strictly_into_a_network_built_the_same_way(build):
    trained, fresh = build(spectral_norm=True, seed=1), build(spectral_norm=True, seed=2)
    for _ in range(3):
        trained(IMAGES)
    fresh.load_state_dict(trained.state_dict(), strict=True)
    assert torch.equal(fresh.eval()(IMAGES), trained.eval()(IMAGES))


@pytest.mark.parametrize("build", CRITICS)
def test_a_copy_is_independent(build):
    critic = build(spectral_norm=True)
    twin = copy.deepcopy(critic)
    before = copy.deepcopy(critic.state_dict())
    twin(IMAGES)
    assert all(torch.equal(tensor, before[name]) for name, tensor in critic.state_dict().items())
    assert any(not torch.equal(tensor, before[name]) for name, tensor in twin.state_dict().items())


def test_evaluation_leaves_the_vectors_alone():
    critic = DCGAN2Discriminator(image_size=16, base_width=4, spectral_norm=True).eval()
    before = copy.deepcopy(critic.state_dict())
    assert torch.equal(critic(IMAGES), critic(IMAGES))
    assert all(torch.equal(tensor, before[name]) for name, tensor in critic.state_dict().items())


@pytest.mark.parametrize("build", [CRITICS[2], CRITICS[3]])
def test_the_gradient_penalty_reaches_the_weights_through_the_norm(build):
    """Its second derivative against finite differences; the vectors stand still in evaluation mode."""
    critic = build(spectral_norm=True).double()
    for _ in range(20):
        critic(IMAGES.double())
    critic.eval()
    name = next(name for name, _ in critic.named_parameters() if name.endswith("original"))
    real, fake = IMAGES.double(), IMAGES.double().flip(0)
    mix = torch.full((2, 1, 1, 1), 0.3, dtype=torch.float64)

    def penalty(weight: Tensor) -> Tensor:
        def changed(images: Tensor) -> Tensor:
            return torch.func.functional_call(critic, {name: weight}, images)

        return wasserstein_divergence_penalty(changed, real, fake, mix=mix, p=2.0)

    weight = critic.get_parameter(name).detach().clone().requires_grad_()
    assert penalty(weight) > 0
    assert torch.autograd.gradcheck(penalty, weight, fast_mode=True)


@pytest.mark.parametrize("build", CRITICS)
def test_a_step_of_training_with_three_forwards_and_a_penalty(build):
    critic = build(spectral_norm=True)
    loss = critic(IMAGES).mean() - critic(IMAGES / 2).mean()
    penalty = wasserstein_divergence_penalty(critic, IMAGES, IMAGES / 2, mix=torch.full((2, 1, 1, 1), 0.5))
    (loss + penalty).backward()
    used = [parameter for name, parameter in critic.named_parameters() if "code_head" not in name]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in used)


def test_the_norm_is_taken_without_autocast():
    """On a GPU, autocast would take it in half precision, and old releases of torch lose its gradient."""
    layer, seen = nn.Linear(8, 4), []
    normalise_spectrally(layer, seed=0)
    norm = next(module for name, module in layer.named_modules() if name.endswith("0.parametrization"))
    norm.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.rand(2, 8)).dtype == torch.bfloat16
    assert seen == [False]


@pytest.mark.parametrize("layer", [nn.Linear(8, 4), nn.Conv2d(2, 4, 2)])
def test_the_scale_of_a_weight_has_no_effect_and_so_no_gradient(layer):
    normalise_spectrally(layer, seed=0)
    (original,) = [parameter for name, parameter in layer.named_parameters() if name.endswith("original")]
    (gradient,) = torch.autograd.grad(layer.weight.sin().sum(), original)
    assert gradient.abs().sum() > 0.1
    assert (gradient * original).sum().abs() < 1e-4


def test_only_convolutions_and_linear_layers_are_normalised():
    critic = DCGAN2Discriminator(image_size=16, base_width=4, spectral_norm=True)
    normalised = [module for module in critic.modules() if parametrize.is_parametrized(module)]
    assert normalised == layers(critic)


@pytest.mark.parametrize("spatial_dims", [1, 2, 3])
def test_every_convolution_is_normalised_in_any_number_of_dimensions(spatial_dims):
    critic = InfoGANCritic(image_size=16, base_width=2, spectral_norm=True, spatial_dims=spatial_dims)
    for _ in range(300):
        [layer.weight for layer in layers(critic)]  # each a power iteration
    assert len(layers(critic)) == 5 and all(parametrize.is_parametrized(layer) for layer in layers(critic))
    assert [largest_singular_value(weight) for weight in weights_as_used(critic)] == pytest.approx([1] * 5, abs=0.05)
