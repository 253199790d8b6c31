from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from monai_aggrgan.networks.vgg19 import CONTENT_LAYER, LAYERS, STYLE_LAYERS, VGG19Features
from monai_aggrgan.networks.vgg19_weights import load_vgg19

CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)


@pytest.fixture(scope="module")
def network() -> VGG19Features:
    return VGG19Features(seed=3)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 1, 24, 32, generator=torch.Generator().manual_seed(0))


def test_names_are_torchvisions(network):
    expected = {f"features.{position}.{kind}" for position in CONVOLUTIONS for kind in ("weight", "bias")}
    assert set(network.state_dict()) == expected
    assert network.features[16].weight.shape == (256, 256, 3, 3)
    assert network.features[28].weight.shape == (512, 512, 3, 3)


def test_maps_equal_the_architecture_written_out(network, images):
    rgb = images.repeat(1, 3, 1, 1)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    hidden = (rgb - mean[None, :, None, None]) / deviation[None, :, None, None]
    names = ["1_1", "1_2", "pool", "2_1", "2_2", "pool", "3_1", "3_2", "3_3", "3_4"]
    names += ["pool", "4_1", "4_2", "4_3", "4_4", "pool", "5_1"]
    convolutions = iter(CONVOLUTIONS)
    maps = network(images)
    for name in names:
        if name == "pool":
            hidden = functional.avg_pool2d(hidden, 2)
            continue
        layer = network.features[next(convolutions)]
        hidden = functional.conv2d(hidden, layer.weight, layer.bias, padding=1).relu()
        if f"relu{name}" in maps:
            torch.testing.assert_close(maps.pop(f"relu{name}"), hidden)
    assert not maps


def test_maps_are_the_layers_of_style_and_content(network, images):
    assert list(network(images)) == [*STYLE_LAYERS[:4], CONTENT_LAYER, STYLE_LAYERS[4]] == list(LAYERS.values())


def test_a_batch_equals_its_images_one_by_one(network, images):
    together = network(images)
    for i in range(len(images)):
        for name, maps in network(images[i : i + 1]).items():
            torch.testing.assert_close(maps[0], together[name][i], rtol=1e-4, atol=1e-4)


def test_only_the_images_receive_gradients(network, images):
    images = images.clone().requires_grad_()
    network(images)["relu5_1"].sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())
    assert not network.training


@pytest.mark.parametrize("size", [(16, 16), (20, 36)])
def test_the_grey_fold_is_exact_to_the_border(size):
    network = VGG19Features(seed=1).double()
    network.get_parameter("features.0.bias").normal_(generator=torch.Generator().manual_seed(0))
    images = torch.rand(2, 1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    normalised = (images.expand(-1, 3, -1, -1) - network.mean.double()) / network.std.double()
    first = network.features[0]
    expected = functional.conv2d(normalised, first.weight, first.bias, padding=1)
    torch.testing.assert_close(network.grey_convolution(images), expected, rtol=0, atol=1e-13)


def test_float64_is_float64_throughout(images):
    maps = VGG19Features().double()(images)
    assert {layer.dtype for layer in maps.values()} == {torch.float64}


def test_a_seed_alone_decides_the_weights():
    before = torch.get_rng_state()
    first, again, other = VGG19Features(seed=1), VGG19Features(seed=1), VGG19Features(seed=2)
    loaded, reloaded = load_vgg19("random", seed=1), load_vgg19("random", seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), reloaded.parameters(), strict=True))
    assert not torch.equal(first.features[0].weight, other.features[0].weight)
    assert first.features[25].weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)
    assert not first.features[25].bias.any()


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 32, 32), (1, 1, 32, 15)])
def test_wrong_images_are_refused(shape, network):
    with pytest.raises(ValueError, match=r"images must be \(B, 1, H, W\), H and W at least 16"):
        network(torch.zeros(shape))
