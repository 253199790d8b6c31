from __future__ import annotations

import pytest
import torch

from monai_aggrgan.networks.dcgan import DCGAN1Generator, DCGAN2Generator
from monai_aggrgan.networks.ensemble import GeneratorEnsemble
from monai_aggrgan.networks.wgan_div import WGANDivGenerator


def small_ensemble() -> GeneratorEnsemble:
    generators = {
        "wgan_div": WGANDivGenerator(image_size=16, hidden=(8,), latent_size=7),
        "dcgan1": DCGAN1Generator(image_size=16, base_width=2, latent_size=5),
        "dcgan2": DCGAN2Generator(image_size=16, base_width=2, latent_size=4),
    }
    return GeneratorEnsemble(generators).eval()


def test_attributes():
    ensemble = small_ensemble()
    assert ensemble.names == ("wgan_div", "dcgan1", "dcgan2")
    assert (ensemble.latent_size, ensemble.image_size) == (7, 16)


def test_each_generator_takes_the_first_columns_of_the_latent():
    ensemble, latent = small_ensemble(), torch.randn(2, 7)
    images = ensemble(latent)
    assert images.shape == (2, 3, 1, 16, 16)
    for position, (name, size) in enumerate([("wgan_div", 7), ("dcgan1", 5), ("dcgan2", 4)]):
        assert torch.equal(images[:, position], ensemble.generators[name](latent[:, :size]))


def test_one_generator_is_an_ensemble():
    generator = WGANDivGenerator(image_size=4, hidden=(), latent_size=3)
    latent = torch.randn(2, 3)
    assert torch.equal(GeneratorEnsemble({"wgan_div": generator})(latent), generator(latent)[:, None])


def test_weights_are_saved_under_the_names():
    keys = {".".join(key.split(".")[:2]) for key in small_ensemble().state_dict()}
    assert keys == {"generators.wgan_div", "generators.dcgan1", "generators.dcgan2"}


def test_no_generator_is_refused():
    with pytest.raises(ValueError, match=r"one or more, .* got none"):
        GeneratorEnsemble({})


def test_different_image_sizes_are_refused():
    generators = {
        "small": WGANDivGenerator(image_size=4, hidden=()),
        "large": WGANDivGenerator(image_size=8, hidden=()),
    }
    with pytest.raises(ValueError, match=r"same image_size, got \{'small': 4, 'large': 8\}"):
        GeneratorEnsemble(generators)


@pytest.mark.parametrize("shape", [(2, 6), (2, 8), (2, 7, 1)])
def test_other_latents_are_refused(shape):
    with pytest.raises(ValueError, match=r"latent must be \(B, 7\), got shape"):
        small_ensemble()(torch.randn(shape))


@pytest.mark.parametrize("spatial_dims", [1, 3])
def test_generators_of_signals_and_cubes(spatial_dims):
    generators = {
        "wgan_div": WGANDivGenerator(image_size=16, hidden=(8,), latent_size=7, spatial_dims=spatial_dims),
        "dcgan1": DCGAN1Generator(image_size=16, base_width=2, latent_size=5, spatial_dims=spatial_dims),
    }
    ensemble = GeneratorEnsemble(generators)
    assert ensemble.spatial_dims == spatial_dims
    assert ensemble(torch.randn(3, 7)).shape == (3, 2, 1, *(16,) * spatial_dims)


def test_generators_of_different_dimensions_are_refused():
    generators = {name: WGANDivGenerator(image_size=8, hidden=(), spatial_dims=n) for name, n in (("a", 1), ("b", 2))}
    with pytest.raises(ValueError, match=r"must be all of the same spatial_dims, got {'a': 1, 'b': 2}"):
        GeneratorEnsemble(generators)
