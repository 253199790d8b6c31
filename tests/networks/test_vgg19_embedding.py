from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_aggrgan.networks import vgg19_embedding
from monai_aggrgan.networks.vgg19 import VGG19Features
from monai_aggrgan.networks.vgg19_embedding import VGG19Embedding
from monai_aggrgan.networks.vgg19_weights import load_vgg19


@pytest.fixture(scope="module")
def network() -> VGG19Features:
    return load_vgg19("random", seed=3)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 1, 24, 32, generator=torch.Generator().manual_seed(0))


def test_features_are_the_means_of_three_layers_maps(network, images):
    maps = network(images)
    expected = [maps[name].flatten(2).sum(2) / maps[name][0, 0].numel() for name in ("relu3_1", "relu4_1", "relu5_1")]
    torch.testing.assert_close(VGG19Embedding(network)(images), torch.cat(expected, dim=1))


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (64, 64), (160, 160)])
def test_any_size_from_16_pixels_gives_as_many_features_of_one_scale(network, size):
    found = VGG19Embedding(network)(torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0)))
    assert (found.shape, found.dtype) == ((1, 1280), torch.float32)
    assert 0.1 < found.mean() < 10


@pytest.mark.parametrize("block", [1, 2, 64])
def test_images_in_blocks_equal_images_one_by_one(monkeypatch, network, images, block):
    monkeypatch.setattr(vgg19_embedding, "BLOCK", block)
    embed = VGG19Embedding(network)
    one_by_one = torch.cat([embed(image[None]) for image in images])
    torch.testing.assert_close(embed(images), one_by_one, rtol=1e-4, atol=1e-4)


def test_no_more_images_than_a_block_pass_at_once(monkeypatch, network, images):
    monkeypatch.setattr(vgg19_embedding, "BLOCK", 2)
    seen = []
    hook = network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    VGG19Embedding(network)(images)
    hook.remove()
    assert seen == [2, 1]


def test_half_precision_networks_give_float32_features(images):
    embed = VGG19Embedding(load_vgg19("random", seed=3))
    full = embed(images)
    half = embed.to(torch.bfloat16)(images)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.05, atol=0.05)


def test_features_are_plain_and_differentiable_in_the_images(network, images):
    embed = VGG19Embedding(network)
    assert type(embed(MetaTensor(images))) is torch.Tensor
    wanted = images.clone().requires_grad_()
    embed(wanted).sum().backward()
    assert wanted.grad is not None and wanted.grad.abs().sum() > 0
    assert not embed(images).requires_grad


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 32, 32), (1, 1, 32, 15)])
def test_wrong_images_are_refused(network, shape):
    with pytest.raises(ValueError, match=r"images must be \(B, 1, H, W\), H and W at least 16"):
        VGG19Embedding(network)(torch.zeros(shape))
