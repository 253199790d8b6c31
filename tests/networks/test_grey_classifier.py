from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from torch import nn

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.grey_classifier import GreyClassifier


class _Seen(nn.Module):
    """Keeps what it is given and whether autocast is on; gives two logits in its own precision."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.images = images
        maps = self.layer(images)
        self.dtype = maps.dtype
        return maps.mean(dim=(2, 3))


class _Gives(nn.Module):
    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: torch.Tensor) -> object:
        return self.output


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 1, 12, 10, generator=torch.Generator().manual_seed(0))


def test_the_grey_image_is_normalised_and_repeated(images):
    network = _Seen()
    logits = GreyClassifier(network, mean=0.3, std=0.5)(images)
    assert network.images.shape == (2, 3, 12, 10)
    for channel in range(3):
        torch.testing.assert_close(network.images[:, channel], (images[:, 0] - 0.3) / 0.5)
    assert logits.shape == (2, 2)
    assert type(GreyClassifier(network)(MetaTensor(images))) is torch.Tensor


def test_the_defaults_are_imagenets_means_over_channels():
    classifier = GreyClassifier(_Seen())
    assert classifier.mean == pytest.approx((0.485 + 0.456 + 0.406) / 3, abs=5e-4)
    assert classifier.std == pytest.approx((0.229 + 0.224 + 0.225) / 3, abs=5e-4)


def test_images_are_brought_to_the_networks_size(images):
    network = _Seen()
    GreyClassifier(network, size=6, mean=0, std=1)(images)
    expected = F.interpolate(images, (6, 6), mode="bilinear", antialias=True)
    torch.testing.assert_close(network.images, expected.expand(-1, 3, -1, -1))


def test_precision_is_that_of_the_network_and_logits_are_float32(images):
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        network = _Seen()
        logits = GreyClassifier(network, precision=precision)(images)
        assert network.dtype is dtype
        assert logits.dtype is torch.float32


def test_all_weights_are_the_networks():
    network = _Seen()
    assert {f"network.{name}" for name in network.state_dict()} == set(GreyClassifier(network).state_dict())


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ((torch.zeros(2, 3), torch.zeros(2, 3)), "a tuple"),
        ({"logits": torch.zeros(2, 3)}, "a dict"),
        (torch.zeros(2, 3, 4, 4), r"shape \(2, 3, 4, 4\)"),
    ],
)
def test_a_network_of_another_kind_is_refused(images, output, told):
    with pytest.raises(InputError, match=rf"_Gives gives {told} where logits \(B, classes\) are needed"):
        GreyClassifier(_Gives(output))(images)


def test_images_that_are_not_grey_are_refused():
    with pytest.raises(ValueError, match=r"must be \(B, 1, H, W\), .*, got \(2, 3, 8, 8\)"):
        GreyClassifier(_Seen())(torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize("option", [{"channels": 0}, {"std": 0.0}, {"size": 0}])
def test_options_must_be_positive(option):
    with pytest.raises(ValueError, match="channels, std and size must be positive"):
        GreyClassifier(_Seen(), **option)
    with pytest.raises(ValueError, match="half"):
        GreyClassifier(_Seen(), precision="half")


@pytest.mark.parametrize("shape", [(9,), (5, 6, 7)])
def test_signals_and_volumes_go_to_networks_that_take_them(shape):
    network, images = nn.Flatten(), torch.rand(2, 1, *shape)
    logits = GreyClassifier(network, channels=2, mean=0.25, std=0.5)(images)
    torch.testing.assert_close(logits, ((images - 0.25) / 0.5).expand(-1, 2, *shape).flatten(1))
    with pytest.raises(ValueError, match=r"must be \(B, 1, H, W\), to be resized, got \(2, 1, "):
        GreyClassifier(network, size=8)(images)
