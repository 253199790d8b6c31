"""Generator and critic of WGAN-div: fully connected layers and LeakyReLU, without normalisation.

Weights are drawn from `seed` alone; building a network leaves the global generator as it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from monai_aggrgan.networks.spatial_dims import check_image_shape, image_shape
from monai_aggrgan.networks.spectral_norm import normalise_spectrally

__all__ = ["WGANDivCritic", "WGANDivGenerator"]


class WGANDivGenerator(nn.Module):
    """Fully connected layers, LeakyReLU(0.2) between them, tanh at the end.

    Maps latents (B, latent_size) ~ N(0, 1) to images (B, 1, image_size, image_size) in [0, 1].

    Args:
        image_size: side of the image in pixels.
        hidden: widths of the hidden layers, from the latent on (ours: the paper gives none).
        latent_size: length of a latent.
        spatial_dims: 2 for images; 1 for signals (B, 1, image_size), 3 for cubes of that side.
        seed: decides the initial weights.

    Raises:
        ValueError: when `image_size` is not positive, or `spatial_dims` is not 1, 2 or 3.

    Source: Mukherjee et al. 2022, "WGAN architecture".
    """

    def __init__(
        self,
        *,
        image_size: int = 128,
        hidden: Sequence[int] = (128, 256, 512, 1024),
        latent_size: int = 128,
        spatial_dims: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.image_size, self.latent_size, self.spatial_dims = image_size, latent_size, spatial_dims
        layers = _fully_connected([latent_size, *hidden, _pixels(image_size, spatial_dims)], seed)
        self.layers = nn.Sequential(*layers, nn.Unflatten(1, image_shape(image_size, spatial_dims)))

    def forward(self, latent: Tensor) -> Tensor:
        """Images (B, 1, H, W) in [0, 1] from latents (B, latent_size), float32 even under autocast."""
        images = torch.tanh(self.layers(latent).float())
        return (images + 1) / 2


class WGANDivCritic(nn.Module):
    """Fully connected layers, LeakyReLU(0.2) between them, linear end.

    Maps images (B, 1, image_size, image_size) in [0, 1] to logits (B, 1), low on real. Nothing couples the images of a
    batch (no BatchNorm), so the gradient penalty sees each image's own gradient.

    Args:
        image_size: side of the image in pixels.
        hidden: widths of the hidden layers, from the image on (ours: the paper gives none).
        spectral_norm: whether every weight is divided by its largest singular value (Miyato et al. 2018).
        spatial_dims: 2 for images; 1 for signals (B, 1, image_size), 3 for cubes of that side.
        seed: decides the initial weights.

    Raises:
        ValueError: when `image_size` is not positive, `spatial_dims` is not 1, 2 or 3, or the images are of another
            size.

    Source: Mukherjee et al. 2022, "WGAN architecture"; Wu et al. 2018.
    """

    def __init__(
        self,
        *,
        image_size: int = 128,
        hidden: Sequence[int] = (512, 256),
        spectral_norm: bool = False,
        spatial_dims: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.image_size, self.spatial_dims = image_size, spatial_dims
        layers = _fully_connected([_pixels(image_size, spatial_dims), *hidden, 1], seed)
        self.layers = nn.Sequential(nn.Flatten(), *layers)
        if spectral_norm:
            normalise_spectrally(self, seed=seed)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 1) of images (B, 1, H, W) in [0, 1]; other shapes raise ValueError."""
        check_image_shape(images, image_shape(self.image_size, self.spatial_dims))
        logits: Tensor = self.layers(images * 2 - 1)
        return logits


def _pixels(image_size: int, spatial_dims: int) -> int:
    if image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    return math.prod(image_shape(image_size, spatial_dims))


def _fully_connected(widths: Sequence[int], seed: int) -> nn.Sequential:
    """Linear layers from width to width with LeakyReLU(0.2) between, weights and biases U(-1, 1) / sqrt(inputs).

    That is the distribution of `nn.Linear` itself, drawn from `seed` in place of the global generator.
    """
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        with torch.random.fork_rng(devices=[]):
            linear = nn.Linear(inputs, outputs)
        for parameter in linear.parameters():
            nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5, generator=generator)
        layers += [linear, nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers[:-1])
