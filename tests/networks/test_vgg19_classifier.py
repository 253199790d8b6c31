from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.pretrained import load_pretrained
from monai_aggrgan.networks.vgg19 import VGG19Features
from monai_aggrgan.networks.vgg19_classifier import VGG19Classifier

CONVOLUTIONS = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
"""Positions in torchvision's vgg19."""
CONVOLUTIONS_BN = [0, 3, 7, 10, 14, 17, 20, 23, 27, 30, 33, 36, 40, 43, 46, 49]
"""Positions in torchvision's vgg19_bn."""


@pytest.fixture(scope="module")
def plain() -> VGG19Classifier:
    return VGG19Classifier(3, batch_norm=False, seed=4).eval()


@pytest.mark.parametrize(("batch_norm", "positions"), [(False, CONVOLUTIONS), (True, CONVOLUTIONS_BN)])
def test_the_trunk_has_torchvisions_names(batch_norm, positions):
    network = VGG19Classifier(3, batch_norm=batch_norm)
    found = [index for index, layer in enumerate(network.features) if isinstance(layer, nn.Conv2d)]
    assert found == positions
    assert sum(parameter.numel() for parameter in network.features.parameters()) == 20_024_384 + 11_008 * batch_norm
    assert network.head.weight.shape == (3, 512)


@pytest.mark.parametrize("side", [32, 64])
def test_logits_of_images(plain, side):
    assert plain(torch.rand(2, 3, side, side)).shape == (2, 3)


def test_the_trunk_is_that_of_the_style_network_but_for_its_poolings(plain):
    """With max pooling there and the same weights, its first maps are the same: two implementations of one trunk."""
    style = VGG19Features()
    wanted = style.state_dict()
    style.load_state_dict({name: plain.state_dict()[name] for name in wanted})
    grey = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    normal = (grey - style.mean) / style.std
    for index, name in {1: "relu1_1", 3: None}.items():
        maps = plain.features[: index + 1](normal)
        if name is not None:
            torch.testing.assert_close(maps, style(grey)[name], rtol=1e-4, atol=1e-4)


def test_weights_of_the_style_network_lack_its_last_convolutions(plain, tmp_path):
    torch.save(VGG19Features(seed=1).state_dict(), tmp_path / "vgg19.pth")
    with pytest.raises(InputError, match="fit 26 of 32 tensors of VGG19Classifier"):
        load_pretrained(VGG19Classifier(3, batch_norm=False), tmp_path / "vgg19.pth")


def test_initial_weights_are_a_function_of_the_seed_alone(plain):
    before = torch.get_rng_state()
    again = VGG19Classifier(3, batch_norm=False, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), plain.parameters(), strict=True))
    assert not torch.equal(VGG19Classifier(3, batch_norm=False, seed=5).head.weight, plain.head.weight)


def test_initial_maps_neither_vanish_nor_explode():
    for batch_norm in (False, True):
        network = VGG19Classifier(3, batch_norm=batch_norm, dropout=0.0).train()
        images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        assert 0.05 < float(network.features(images).detach().std()) < 20


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"num_classes": 2, "dropout": 1.0}])
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=r"num_classes must be at least 1 and dropout in \[0, 1\)"):
        VGG19Classifier(**options)


@pytest.mark.parametrize("shape", [(3, 3, 64), (2, 3, 32, 32, 32), (2, 1, 32, 32), (2, 3, 16, 32)])
def test_signals_volumes_and_small_images_are_refused(plain, shape):
    with pytest.raises(ValueError, match=r"images must be \(B, 3, H, W\), H and W at least 32, got \["):
        plain(torch.rand(shape))
