from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_aggrgan.networks.dcgan import DCGAN1Discriminator, DCGAN1Generator, DCGAN2Discriminator, DCGAN2Generator

GENERATORS = [DCGAN1Generator, DCGAN2Generator]
DISCRIMINATORS = [DCGAN1Discriminator, DCGAN2Discriminator]


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("image_size", [16, 64, 128, 256])
@pytest.mark.parametrize("build", GENERATORS)
def test_generator_makes_images_of_the_size_in_the_range(build, image_size):
    generator = build(image_size=image_size, base_width=2, latent_size=10)
    images = generator(100 * torch.randn(2, generator.latent_size))
    assert images.shape == (2, 1, generator.image_size, generator.image_size) == (2, 1, image_size, image_size)
    assert 0 <= images.min() < 0.5 < images.max() <= 1


@pytest.mark.parametrize("image_size", [16, 64, 128, 256])
@pytest.mark.parametrize("build", DISCRIMINATORS)
def test_discriminator_gives_one_logit_an_image(build, image_size):
    logits = build(image_size=image_size, base_width=2)(torch.rand(2, 1, image_size, image_size))
    assert logits.shape == (2, 1)


@pytest.mark.parametrize("build", GENERATORS)
def test_generator_has_the_parameters_of_the_well_known_dcgan(build):
    """3 576 704 with three channels of output (nz = 100, ngf = 64); two channels less in the last 64 x 4 x 4 kernel."""
    assert parameter_count(build(image_size=64)) == 3_576_704 - 2 * 64 * 16


def test_discriminator_has_the_parameters_of_the_well_known_dcgan():
    """2 765 568 with three channels of input (ndf = 64); two channels less in the first 64 x 4 x 4 kernel."""
    assert parameter_count(DCGAN2Discriminator(image_size=64)) == 2_765_568 - 2 * 64 * 16


def test_discriminator_1_has_biases_for_batch_norm():
    """A bias a channel in place of BatchNorm's scale and shift, and one at the end."""
    convolutions = 16 * (1 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 64 + 128 + 256 + 512
    assert parameter_count(DCGAN1Discriminator(image_size=64)) == convolutions + 512 * 16 + 1


@pytest.mark.parametrize("build", [*GENERATORS, *DISCRIMINATORS])
def test_widths_stop_at_eight_times_the_base(build):
    network = build(image_size=256, base_width=2)
    widths = [module.num_features for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    channels = [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert max(widths + channels) == 16


@pytest.mark.parametrize("build", GENERATORS)
def test_gradients_reach_every_parameter_of_the_generator(build):
    generator = build(image_size=16, base_width=2, latent_size=5)
    generator(torch.randn(4, 5)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in generator.parameters())


@pytest.mark.parametrize("build", DISCRIMINATORS)
def test_gradients_reach_every_parameter_of_the_discriminator(build):
    discriminator = build(image_size=16, base_width=2)
    discriminator(torch.rand(4, 1, 16, 16)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in discriminator.parameters())


@pytest.mark.parametrize("build", [*GENERATORS, *DISCRIMINATORS])
def test_the_seed_alone_decides_the_weights(build):
    before = torch.get_rng_state()
    first = build(image_size=16, base_width=2, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    again, other = build(image_size=16, base_width=2, seed=1), build(image_size=16, base_width=2, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True) if a.any())


@pytest.mark.parametrize("build", [*GENERATORS, *DISCRIMINATORS])
def test_initial_weights_have_the_standard_deviation_of_the_dcgan_paper(build):
    network = build(image_size=32, base_width=32)
    weights = torch.cat([weight.detach().flatten() for weight in network.parameters() if weight.ndim > 1])
    assert weights.std() == pytest.approx(0.02, rel=0.01)
    assert weights.mean() == pytest.approx(0, abs=2e-4)
    scales = [module.weight.detach() for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(scale.mean() == pytest.approx(1, abs=0.02) and 0.01 < scale.std() < 0.03 for scale in scales)
    assert not any(parameter.any() for name, parameter in network.named_parameters() if name.endswith("bias"))


def test_generators_differ_in_how_they_upsample():
    upsampling = [
        module for module in DCGAN1Generator(image_size=64, base_width=2).modules() if isinstance(module, nn.Conv2d)
    ]
    transposed = [
        module
        for module in DCGAN2Generator(image_size=64, base_width=2).modules()
        if isinstance(module, nn.ConvTranspose2d)
    ]
    assert len(upsampling) == 4
    assert [module.stride for module in transposed] == [(1, 1), *[(2, 2)] * 4]


@pytest.mark.parametrize("build", GENERATORS)
def test_images_do_not_depend_on_the_batch_when_evaluating(build):
    generator = build(image_size=16, base_width=2, latent_size=5).eval()
    latent = torch.randn(3, 5)
    one_by_one = torch.cat([generator(row[None]) for row in latent])
    torch.testing.assert_close(generator(latent), one_by_one)


@pytest.mark.parametrize("normalization", ["layer", "none"])
def test_logits_do_not_depend_on_the_batch_without_batch_norm(normalization):
    discriminator = DCGAN2Discriminator(image_size=16, base_width=4, normalization=normalization)
    images = torch.rand(3, 1, 16, 16)
    one_by_one = torch.cat([discriminator(image[None]) for image in images])
    torch.testing.assert_close(discriminator(images), one_by_one)


@pytest.mark.parametrize(("normalization", "kind"), [("batch", nn.BatchNorm2d), ("layer", nn.GroupNorm)])
def test_normalisation_is_in_every_convolution_but_the_first_and_the_last(normalization, kind):
    discriminator = DCGAN2Discriminator(image_size=64, base_width=2, normalization=normalization)
    names = [type(module) for module in discriminator.features]
    assert names == [nn.Conv2d, nn.LeakyReLU, *[nn.Conv2d, kind, nn.LeakyReLU] * 3]


def test_dropout_is_in_every_layer_but_the_last():
    discriminator = DCGAN1Discriminator(image_size=64, base_width=2)
    rates = [module.p for module in discriminator.features if isinstance(module, nn.Dropout)]
    assert rates == [0.25] * 4
    assert not any(isinstance(module, nn.Dropout) for module in discriminator.head)


@pytest.mark.parametrize("build", DISCRIMINATORS)
def test_mid_grey_is_the_zero_of_the_discriminator(build):
    """[0, 1] becomes [-1, 1]: biases start at 0, so an image of 0.5 has the logit 0 and black another."""
    discriminator = build(image_size=16, base_width=2).eval()
    assert not discriminator(torch.full((2, 1, 16, 16), 0.5)).any()
    assert discriminator(torch.zeros(2, 1, 16, 16)).all()


@pytest.mark.parametrize("build", GENERATORS)
def test_images_are_float32_under_autocast(build):
    generator = build(image_size=16, base_width=2, latent_size=5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert generator(torch.randn(4, 5)).dtype == torch.float32


@pytest.mark.parametrize("image_size", [0, 8, 96, -64])
@pytest.mark.parametrize("build", [*GENERATORS, *DISCRIMINATORS])
def test_other_image_sizes_are_refused(build, image_size):
    with pytest.raises(ValueError, match=f"power of two >= 16 .*, got {image_size}$"):
        build(image_size=image_size)


@pytest.mark.parametrize("build", DISCRIMINATORS)
def test_images_of_another_size_are_refused(build):
    with pytest.raises(ValueError, match=r"must be \(B, 1, 16, 16\), got shape \(2, 1, 32, 32\)"):
        build(image_size=16, base_width=2)(torch.rand(2, 1, 32, 32))


def test_another_normalization_is_refused():
    with pytest.raises(ValueError, match="batch"):
        DCGAN2Discriminator(image_size=16, normalization="instance")


@pytest.mark.parametrize("spatial_dims", [1, 3])
@pytest.mark.parametrize("build", GENERATORS)
def test_generators_make_signals_and_cubes(build, spatial_dims):
    generator = build(image_size=32, base_width=2, latent_size=5, spatial_dims=spatial_dims)
    images = generator(100 * torch.randn(3, 5))
    assert images.shape == (3, 1, *(32,) * spatial_dims)
    assert 0 <= images.min() < 0.5 < images.max() <= 1
    images.square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in generator.parameters())
    assert all(module.kernel_size == (4,) * spatial_dims for module in generator.modules() if hasattr(module, "stride"))


@pytest.mark.parametrize("spatial_dims", [1, 3])
@pytest.mark.parametrize(
    ("build", "options"),
    [
        (DCGAN1Discriminator, {}),
        (DCGAN1Discriminator, {"spectral_norm": True}),
        *((DCGAN2Discriminator, {"normalization": name}) for name in ("batch", "layer", "none")),
        (DCGAN2Discriminator, {"normalization": "none", "spectral_norm": True}),
    ],
)
def test_discriminators_judge_signals_and_cubes_and_nothing_else(build, options, spatial_dims):
    critic = build(image_size=16, base_width=2, spatial_dims=spatial_dims, **options)
    logits = critic(torch.rand(3, 1, *(16,) * spatial_dims))
    assert logits.shape == (3, 1)
    logits.square().mean().backward()
    assert all(parameter.grad is not None for parameter in critic.parameters())
    allowed = ", ".join(["B", "1", *["16"] * spatial_dims])
    with pytest.raises(ValueError, match=rf"must be \({allowed}\), got shape \(3, 1, 16, 16\)"):
        critic(torch.rand(3, 1, 16, 16))


@pytest.mark.parametrize("build", [*GENERATORS, *DISCRIMINATORS])
def test_two_dimensions_are_the_default_with_the_weights_and_names_it_always_had(build):
    """The first weight is what the seed draws first: trained studies and their seeds stay what they are."""
    network = build(image_size=32, base_width=4, seed=3)
    assert network.spatial_dims == 2
    same = build(image_size=32, base_width=4, seed=3, spatial_dims=2).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in network.state_dict().items())
    first = next(value for name, value in network.state_dict().items() if name.endswith("weight"))
    drawn = torch.empty(first.shape).normal_(0, 0.02, generator=torch.Generator().manual_seed(3))
    assert torch.equal(first, drawn)


@pytest.mark.parametrize("build", [*GENERATORS, *DISCRIMINATORS])
def test_other_dimensions_are_refused(build):
    with pytest.raises(ValueError, match="spatial_dims must be 1, 2 or 3, got 4"):
        build(image_size=16, spatial_dims=4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("spatial_dims", [1, 2, 3])
@pytest.mark.parametrize("build", GENERATORS)
def test_generators_can_be_traced_and_scripted(build, spatial_dims):
    generator = build(image_size=16, base_width=2, latent_size=5, spatial_dims=spatial_dims).eval()
    latent = torch.randn(2, 5)
    for exported in (torch.jit.trace(generator, latent), torch.jit.script(generator)):
        torch.testing.assert_close(exported(latent), generator(latent))
