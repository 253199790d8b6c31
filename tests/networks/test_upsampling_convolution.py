from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from monai_aggrgan.networks.upsampling_convolution import UPSAMPLE_CONVOLUTIONS

CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@pytest.mark.parametrize("shape", [(7,), (5, 7), (3, 4, 5)])
def test_it_is_upsampling_then_convolution(shape):
    layer = UPSAMPLE_CONVOLUTIONS[len(shape)](3, 2).double()
    maps = torch.randn(2, 3, *shape, dtype=torch.float64, requires_grad=True)
    enlarged = functional.interpolate(maps, scale_factor=2, mode="nearest")
    padded = functional.pad(enlarged, (1, 2) * len(shape))
    expected = CONVOLVE[len(shape)](padded, layer.weight)
    torch.testing.assert_close(layer(maps), expected)
    target = torch.randn_like(expected)
    inputs = (maps, layer.weight)
    for ours, theirs in zip(
        torch.autograd.grad((layer(maps) * target).sum(), inputs),
        torch.autograd.grad((expected * target).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("spatial_dims", [1, 2, 3])
def test_its_state_is_a_convolutions(spatial_dims):
    layer = UPSAMPLE_CONVOLUTIONS[spatial_dims](3, 2)
    assert {name: value.shape for name, value in layer.state_dict().items()} == {"weight": (2, 3, *(4,) * spatial_dims)}
