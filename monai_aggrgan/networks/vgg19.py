"""VGG-19 as a measure of style and content: its feature maps up to relu5_1, with average pooling."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CONTENT_LAYER", "LAYERS", "STYLE_LAYERS", "VGG19Features"]

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"
LAYERS = {1: "relu1_1", 6: "relu2_1", 11: "relu3_1", 20: "relu4_1", 22: "relu4_2", 29: "relu5_1"}
"""Position in the trunk of each layer that is compared."""

_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))  # filters, convolutions; the last is cut after relu5_1
_SMALLEST = 16  # pixels: four poolings leave one


class VGG19Features(nn.Module):
    """The feature maps of VGG-19 that style transfer compares; frozen, but differentiable in the images.

    Parameters carry torchvision's names, `features.N.weight` and `features.N.bias`. They start He-initialised, drawn
    from `seed` alone, with maps at their own scale; `load_vgg19` gives trained ones, at unit mean. In half precision
    (`network.to(torch.bfloat16)`) the first convolution is still computed in float32, for the sake of the grey levels.
    Weights and maps are channels last.

    Args:
        seed: seed of the initial weights.

    Attributes:
        scales: for each layer what its maps are to be multiplied by before they are judged.

    Source: Simonyan and Zisserman 2014, configuration E. Differs from it in: average pooling, as the paper asks.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self.scales = dict.fromkeys(LAYERS.values(), 1.0)
        self.features = _he_initialised(_trunk(), seed)
        self.features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the convolutions after the first."""
        return self.get_parameter("features.0.weight").dtype

    @property
    def full_dtype(self) -> torch.dtype:
        """Precision of the first convolution, and of what should be computed from the maps: at least float32."""
        return torch.promote_types(self.dtype, torch.float32)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Maps of each layer; times `scales` of the layer they have the scale that was asked for.

        Args:
            images: images (B, 1, H, W) in [0, 1].

        Returns:
            relu1_1 (B, 64, H, W), relu2_1 (B, 128, H/2, W/2), relu3_1 (B, 256, H/4, W/4), relu4_1 and relu4_2
            (B, 512, H/8, W/8), relu5_1 (B, 512, H/16, W/16); non-negative. relu1_1 has `full_dtype`, others `dtype`.

        Raises:
            ValueError: when `images` is not (B, 1, H, W), or smaller than 16 pixels.
        """
        if images.ndim != 4 or images.shape[1] != 1 or min(images.shape[2:]) < _SMALLEST:
            raise ValueError(f"images must be (B, 1, H, W), H and W at least {_SMALLEST}, got {tuple(images.shape)}")
        hidden = self.grey_convolution(images).relu_()
        maps = {"relu1_1": hidden}
        hidden = hidden.to(self.dtype)
        for position, layer in list(enumerate(self.features))[2:]:
            hidden = layer(hidden)
            if name := LAYERS.get(position):
                maps[name] = hidden
        return maps

    def grey_convolution(self, images: Tensor) -> Tensor:
        """The first convolution of normalised grey images, folded: (B, 1, H, W) -> (B, 64, H, W), before its ReLU.

        A convolution of [image, 1]: its filters are summed over the three channels and divided by their spread; what
        the channels' means contribute is a filter on the ones. Unlike a bias, they end where the zero padding begins.
        """
        dtype = self.full_dtype
        filters = self.get_parameter("features.0.weight").to(dtype) / self.std.to(dtype)
        folded = torch.stack([filters.sum(1), -(filters * self.mean.to(dtype)).sum(1)], 1)
        folded = folded.contiguous(memory_format=torch.channels_last)
        grey = torch.cat([images.to(dtype), torch.ones_like(images, dtype=dtype)], 1)
        return F.conv2d(grey, folded, self.get_parameter("features.0.bias").to(dtype), padding=1)


def _trunk() -> nn.Sequential:
    """Convolutions, ReLUs and poolings at torchvision's positions, without memory: no default weights are drawn."""
    layers: list[nn.Module] = []
    channels = 3
    for filters, convolutions in _BLOCKS:
        if layers:
            layers.append(nn.AvgPool2d(2))
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, filters, 3, padding=1, device="meta"), nn.ReLU(inplace=True)]
            channels = filters
    return nn.Sequential(*layers)


@torch.no_grad()
def _he_initialised(trunk: nn.Sequential, seed: int) -> nn.Sequential:
    """Weights N(0, 2 / fan-in) and zero biases, He et al. 2015."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in trunk.to_empty(device="cpu").parameters():
        if parameter.ndim == 1:
            parameter.zero_()
        else:
            parameter.normal_(0, math.sqrt(2 / parameter[0].numel()), generator=generator)
    return trunk
