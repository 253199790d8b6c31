from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from monai_aggrgan.networks.dcgan import DCGAN2Discriminator, DCGAN2Generator
from monai_aggrgan.networks.infogan import InfoGANCritic, InfoGANGenerator


def small_generator(seed: int = 0) -> InfoGANGenerator:
    return InfoGANGenerator(image_size=16, base_width=2, latent_size=9, categories=4, continuous=2, seed=seed)


def small_critic(seed: int = 0, normalization: str = "batch") -> InfoGANCritic:
    return InfoGANCritic(
        image_size=16, base_width=2, categories=4, continuous=2, normalization=normalization, seed=seed
    )


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("image_size", [16, 64, 128])
def test_shapes_and_range(image_size):
    generator = InfoGANGenerator(image_size=image_size, base_width=2)
    images = generator(100 * normal(2, generator.latent_size))
    assert images.shape == (2, 1, generator.image_size, generator.image_size) == (2, 1, image_size, image_size)
    assert 0 <= images.min() < 0.5 < images.max() <= 1
    critic = InfoGANCritic(image_size=image_size, base_width=2)
    logits, guess = critic(images, with_codes=True)
    assert (logits.shape, guess.shape, critic(images).shape) == ((2, 1), (2, 12), (2, 1))


def test_codes_of_a_latent_by_hand():
    latent = torch.tensor(
        [[0.1, 2.0, -1.0, 0.5, 0.0, 1.0, 7.0, 8.0, 9.0], [-1.0, -2.0, -3.0, -0.9, -1.0, 9.0, 0, 0, 0]]
    )
    category, continuous = small_generator().codes(latent)
    assert category.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]
    one_sigma = 0.6826894921  # the share of N(0, 1) within one standard deviation
    torch.testing.assert_close(continuous, torch.tensor([[0, one_sigma], [-one_sigma, 1]]))


def test_codes_of_normal_latents_are_uniform():
    latent = normal(40_000, 9)
    category, continuous = small_generator().codes(latent)
    assert (category.sum(1) == 1).all()
    torch.testing.assert_close(category.mean(0), torch.full((4,), 0.25), atol=0.01, rtol=0)
    grid = torch.linspace(-1, 1, 101)
    shares = (continuous[:, :, None] <= grid).float().mean(0)
    torch.testing.assert_close(shares, ((grid + 1) / 2).expand(2, -1), atol=0.01, rtol=0)
    torch.testing.assert_close(continuous, 2 * Normal(0, 1).cdf(latent[:, 4:6]) - 1, atol=1e-6, rtol=0)


def test_the_images_are_dcgan_2s_of_codes_and_noise():
    generator, plain = small_generator().eval(), DCGAN2Generator(image_size=16, base_width=2, latent_size=9).eval()
    plain.load_state_dict(generator.state_dict())
    latent = normal(3, 9)
    inputs = torch.cat([*generator.codes(latent), latent[:, 6:]], dim=1)
    assert torch.equal(generator(latent), plain(inputs))


def test_numbers_that_lose_the_category_have_no_effect_and_the_others_have():
    generator = small_generator().eval()
    latent = torch.tensor([[3.0, 0.0, 0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 1.0]])
    images = generator(latent)
    for column in range(9):
        moved = latent.clone()
        moved[0, column] -= 1
        assert torch.equal(generator(moved), images) == (column < 4), column
    swapped = latent[:, [1, 0, *range(2, 9)]]
    assert not torch.equal(generator(swapped), images)


def test_an_image_depends_on_its_latent_alone_when_evaluating():
    generator, latent = small_generator().eval(), normal(4, 9)
    torch.testing.assert_close(generator(latent), torch.cat([generator(row[None]) for row in latent]))


def test_the_critic_is_dcgan_2s_discriminator_with_the_same_seed():
    critic, plain = small_critic(seed=3), DCGAN2Discriminator(image_size=16, base_width=2, seed=3)
    images = torch.rand(4, 1, 16, 16)
    for evaluating in (False, True):
        logits = critic.train(not evaluating)(images)
        assert torch.equal(logits, plain.train(not evaluating)(images))


def test_asking_for_codes_leaves_the_logits_as_they_are():
    critic, images = small_critic(), torch.rand(4, 1, 16, 16)
    assert torch.equal(critic(images, with_codes=True)[0], critic(images))


def test_q_shares_the_trunk_and_has_a_hidden_layer_of_128():
    critic = small_critic()
    assert [type(layer) for layer in critic.code_head] == [nn.Conv2d, nn.LeakyReLU, nn.Flatten, nn.Linear]
    assert critic.code_head[0].out_channels == 128
    critic(torch.rand(4, 1, 16, 16), with_codes=True)[1].square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in critic.features.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in critic.code_head.parameters())
    assert all(parameter.grad is None for parameter in critic.head.parameters())


@pytest.mark.parametrize("normalization", ["batch", "layer", "none"])
def test_a_batch_may_hold_one_image(normalization):
    logits, guess = small_critic(normalization=normalization)(torch.rand(1, 1, 16, 16), with_codes=True)
    assert (logits.shape, guess.shape) == ((1, 1), (1, 6))


@pytest.mark.parametrize("build", [small_generator, small_critic])
def test_the_seed_alone_decides_the_weights(build):
    before = torch.get_rng_state()
    first = build(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    again, other = build(seed=1), build(seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True) if a.any())


def test_initial_weights_of_q_are_n_0_002():
    weights = small_critic().code_head[0].weight.detach()
    assert weights.std() == pytest.approx(0.02, rel=0.05)


def test_images_are_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert small_generator()(normal(4, 9)).dtype == torch.float32


def test_the_generator_can_be_scripted():
    generator, latent = small_generator().eval(), normal(3, 9)
    torch.testing.assert_close(torch.jit.script(generator)(latent), generator(latent))


def test_without_continuous_codes_there_is_the_category_alone():
    generator = InfoGANGenerator(image_size=16, base_width=2, latent_size=5, categories=5, continuous=0)
    category, continuous = generator.codes(normal(3, 5))
    assert (category.shape, continuous.shape) == ((3, 5), (3, 0))
    assert generator(normal(3, 5)).shape == (3, 1, 16, 16)


def test_codes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="latent_size must be at least 12 for the codes, got 11"):
        InfoGANGenerator(image_size=16, base_width=2, latent_size=11)
    for build in (InfoGANGenerator, InfoGANCritic):
        with pytest.raises(ValueError, match="categories must be at least 2 and continuous not negative, got 1, 2"):
            build(image_size=16, base_width=2, categories=1)
        with pytest.raises(ValueError, match="got 10, -1"):
            build(image_size=16, base_width=2, continuous=-1)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"must be \(B, 1, 16, 16\), got shape \(2, 1, 32, 32\)"):
        small_critic()(torch.rand(2, 1, 32, 32), with_codes=True)


@pytest.mark.parametrize("spatial_dims", [1, 3])
def test_signals_and_cubes(spatial_dims):
    options = {"image_size": 16, "base_width": 2, "categories": 4, "continuous": 2, "spatial_dims": spatial_dims}
    images = InfoGANGenerator(latent_size=9, **options)(normal(2, 9))
    assert images.shape == (2, 1, *(16,) * spatial_dims)
    logits, guess = InfoGANCritic(spectral_norm=True, normalization="none", **options)(images, with_codes=True)
    assert (logits.shape, guess.shape) == ((2, 1), (2, 6))
    guess.sum().backward()
