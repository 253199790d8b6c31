"""VGG-19 with a head: the paper's second classifier."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["VGG19Classifier"]

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Filters and number of convolutions of each block."""


class VGG19Classifier(nn.Module):
    """All 16 convolutions of VGG-19, the mean of its last maps, and one linear layer.

    The trunk has torchvision's names, `features.N.weight`, so that trained weights load (`load_pretrained`): those of
    `vgg19` without batch normalisation, those of `vgg19_bn` with it. From scratch it needs it: sixteen convolutions
    without any hardly begin to learn (on drawings of two shapes the loss stays at ln 2).

    Args:
        num_classes: number of logits.
        dropout: share of the last features that is left out in training.
        batch_norm: normalise after each convolution.
        seed: of the initial weights, on which alone they depend.

    Raises:
        ValueError: when `num_classes` is less than 1 or `dropout` is not in [0, 1).

    Source: Simonyan and Zisserman 2014, configuration E. Differs from it in: batch normalisation where it is asked for;
    the spatial mean and one layer instead of three of 4096, which presume 224 pixels, hold 120 of the 140 million
    weights, and are too many for some thousand images.
    """

    def __init__(self, num_classes: int, *, dropout: float = 0.5, batch_norm: bool = True, seed: int = 0) -> None:
        super().__init__()
        if num_classes < 1 or not 0 <= dropout < 1:
            raise ValueError(f"num_classes must be at least 1 and dropout in [0, 1), got {num_classes} and {dropout}")
        with torch.device("meta"):  # no default weights are drawn
            self.features = _trunk(batch_norm=batch_norm)
            self.dropout = nn.Dropout(dropout)
            self.head = nn.Linear(BLOCKS[-1][0], num_classes)
        _initialise(self, seed)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, num_classes) of normalised images (B, 3, H, W), H and W at least 32; others raise ValueError."""
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 32:
            raise ValueError(f"images must be (B, 3, H, W), H and W at least 32, got {list(images.shape)}")
        features: Tensor = self.features(images).mean(dim=(2, 3))
        logits: Tensor = self.head(self.dropout(features))
        return logits


def _trunk(*, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for filters, convolutions in BLOCKS:
        for _ in range(convolutions):
            normalisation = [nn.BatchNorm2d(filters)] if batch_norm else []
            layers += [nn.Conv2d(channels, filters, 3, padding=1), *normalisation, nn.ReLU(inplace=True)]
            channels = filters
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


@torch.no_grad()
def _initialise(network: nn.Module, seed: int) -> None:
    """Convolutions N(0, 2 / fan-in), He et al. 2015; the head N(0, 1 / fan-in); normalisations 1 and 0; biases 0."""
    random = torch.Generator().manual_seed(seed)
    network.to_empty(device="cpu")
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
        elif isinstance(layer, (nn.Conv2d, nn.Linear)):
            gain = 2 if isinstance(layer, nn.Conv2d) else 1
            layer.weight.normal_(0, math.sqrt(gain / layer.weight[0].numel()), generator=random)
            if layer.bias is not None:
                layer.bias.zero_()
