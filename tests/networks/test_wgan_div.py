from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_aggrgan.networks.wgan_div import WGANDivCritic, WGANDivGenerator


def small_generator(seed: int = 0) -> WGANDivGenerator:
    return WGANDivGenerator(image_size=12, hidden=(8, 16), latent_size=5, seed=seed)


def small_critic(seed: int = 0) -> WGANDivCritic:
    return WGANDivCritic(image_size=12, hidden=(16, 8), seed=seed)


@pytest.mark.parametrize("image_size", [64, 128, 256])
def test_shapes_and_range(image_size):
    generator = WGANDivGenerator(image_size=image_size, hidden=(8,), latent_size=5)
    images = generator(100 * torch.randn(2, generator.latent_size))
    assert images.shape == (2, 1, generator.image_size, generator.image_size) == (2, 1, image_size, image_size)
    assert 0 <= images.min() < 0.5 < images.max() <= 1
    assert WGANDivCritic(image_size=image_size, hidden=(8,))(images).shape == (2, 1)


def test_default_layers():
    generator, critic = WGANDivGenerator(image_size=16), WGANDivCritic(image_size=16)
    widths = [
        [module.out_features for module in network.modules() if isinstance(module, nn.Linear)]
        for network in (generator, critic)
    ]
    assert widths == [[128, 256, 512, 1024, 16 * 16], [512, 256, 1]]
    assert generator.latent_size == 128


@pytest.mark.parametrize("build", [small_generator, small_critic])
def test_linear_layers_alternate_with_leaky_relu(build):
    kinds = [type(module) for module in build().layers if isinstance(module, (nn.Linear, nn.LeakyReLU))]
    assert kinds == [nn.Linear, nn.LeakyReLU, nn.Linear, nn.LeakyReLU, nn.Linear]
    assert all(module.negative_slope == 0.2 for module in build().modules() if isinstance(module, nn.LeakyReLU))


@pytest.mark.parametrize(("build", "shape"), [(small_generator, (4, 5)), (small_critic, (4, 1, 12, 12))])
def test_gradients_reach_every_parameter(build, shape):
    network = build()
    network(torch.rand(shape)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("build", [small_generator, small_critic])
def test_the_seed_alone_decides_the_weights(build):
    before = torch.get_rng_state()
    first = build(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    again, other = build(seed=1), build(seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_initial_weights_are_distributed_as_those_of_linear():
    ours = WGANDivGenerator(image_size=8, hidden=(64, 4096), latent_size=64).get_submodule("layers.2")
    theirs = nn.Linear(64, 4096)
    for parameter, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert parameter.std().item() == pytest.approx(reference.std().item(), rel=0.05)
        assert parameter.abs().max().item() == pytest.approx(1 / 64**0.5, rel=0.01)


def test_a_critic_without_hidden_layers_is_linear_in_the_image():
    critic = WGANDivCritic(image_size=4, hidden=())
    images = torch.rand(2, 1, 4, 4)
    weight, bias = critic.parameters()
    torch.testing.assert_close(critic(images), (2 * images - 1).flatten(1) @ weight.T + bias)


@pytest.mark.parametrize(("build", "shape"), [(small_generator, (3, 5)), (small_critic, (3, 1, 12, 12))])
def test_a_batch_is_its_rows_one_by_one(build, shape):
    network, rows = build(), torch.rand(shape)
    torch.testing.assert_close(network(rows), torch.cat([network(row[None]) for row in rows]))


def test_images_are_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert small_generator()(torch.randn(2, 5)).dtype == torch.float32


@pytest.mark.parametrize("build", [WGANDivGenerator, WGANDivCritic])
def test_other_image_sizes_are_refused(build):
    with pytest.raises(ValueError, match="image_size must be at least 1, got 0"):
        build(image_size=0)


@pytest.mark.parametrize("spatial_dims", [1, 3])
def test_signals_and_cubes(spatial_dims):
    options = {"image_size": 6, "spatial_dims": spatial_dims}
    generator = WGANDivGenerator(hidden=(8,), latent_size=5, **options)
    images = generator(torch.randn(2, 5))
    assert images.shape == (2, 1, *(6,) * spatial_dims)
    assert WGANDivCritic(hidden=(8,), **options)(images).shape == (2, 1)


@pytest.mark.parametrize("shape", [(2, 1, 144), (2, 1, 9, 16), (2, 1, 12, 12, 1), (2, 3, 12, 12)])
def test_images_of_another_shape_are_refused_even_with_as_many_pixels(shape):
    with pytest.raises(ValueError, match=r"must be \(B, 1, 12, 12\), got shape \(2, "):
        small_critic()(torch.rand(shape))


@pytest.mark.parametrize("build", [WGANDivGenerator, WGANDivCritic])
def test_other_dimensions_are_refused(build):
    with pytest.raises(ValueError, match="spatial_dims must be 1, 2 or 3, got 0"):
        build(image_size=16, spatial_dims=0)
