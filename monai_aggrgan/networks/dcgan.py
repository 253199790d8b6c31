"""DCGAN-1 and DCGAN-2: the paper's two variants, which differ in how the generator upsamples.

Both follow Radford et al. 2016 (arXiv 1511.06434): 4x4 kernels, one stage for each doubling from 4x4 maps to the image.
The stage nearest to the image has `base_width` channels, each further one twice as many, at most 8 times `base_width`
(ours: uncapped, the parameters would grow fourfold a stage). 64 pixels at base width 64 are the well-known DCGAN.
Weights are drawn from `seed` alone; building a network leaves the global generator as it was.

The papers' images are 2-D. With `spatial_dims` 1 or 3 the same networks make and judge signals and cubes: kernels of 4
or 4x4x4, batch normalisation of as many dimensions, all else as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from monai.networks.layers.factories import Conv, Norm
from monai.utils.module import look_up_option
from torch import Tensor, nn

from monai_aggrgan.networks.spatial_dims import check_image_shape, check_spatial_dims, image_shape
from monai_aggrgan.networks.spectral_norm import normalise_spectrally
from monai_aggrgan.networks.upsampling_convolution import UPSAMPLE_CONVOLUTIONS

__all__ = [
    "DCGAN1Discriminator",
    "DCGAN1Generator",
    "DCGAN2Discriminator",
    "DCGAN2Generator",
    "initialise",
    "stage_widths",
]


def _transposed_convolution(inputs: int, outputs: int, *, spatial_dims: int) -> nn.Module:
    convolution: nn.Module = Conv[Conv.CONVTRANS, spatial_dims](inputs, outputs, 4, stride=2, padding=1, bias=False)
    return convolution


class _Generator(nn.Module):
    """Latents (B, latent_size) to images (B, 1, H, W) in [0, 1]: a projection to 4x4 maps, then stages that double.

    In one dimension images are (B, 1, W), in three (B, 1, D, H, W).
    """

    def __init__(
        self,
        image_size: int,
        base_width: int,
        latent_size: int,
        spatial_dims: int,
        seed: int,
        *,
        upsample: Callable[[int, int], nn.Module],
        activation: nn.Module,
    ) -> None:
        super().__init__()
        self.image_size, self.latent_size, self.spatial_dims = image_size, latent_size, spatial_dims
        widths = stage_widths(image_size, base_width)[::-1]
        normalize: Callable[[int], nn.Module] = Norm[Norm.BATCH, spatial_dims]
        with torch.random.fork_rng(devices=[]):
            projection = Conv[Conv.CONVTRANS, spatial_dims](latent_size, widths[0], 4, bias=False)
            point = nn.Unflatten(1, (latent_size, *(1,) * spatial_dims))
            layers = [point, projection, normalize(widths[0]), activation]
            for inputs, outputs in pairwise(widths):
                layers += [upsample(inputs, outputs), normalize(outputs), activation]
            self.layers = nn.Sequential(*layers, upsample(widths[-1], 1))
        initialise(self, seed)

    def forward(self, latent: Tensor) -> Tensor:
        """Images (B, 1, H, W) in [0, 1] from latents (B, latent_size), float32 even under autocast."""
        images = torch.tanh(self.layers(latent).float())
        return (images + 1) / 2


class DCGAN1Generator(_Generator):
    """Nearest upsampling x2 and a 4x4 convolution per stage, BatchNorm, LeakyReLU(0.2), tanh.

    Maps latents (B, latent_size) ~ N(0, 1) to images (B, 1, image_size, image_size) in [0, 1].

    Args:
        image_size: side of the image in pixels, a power of two >= 16.
        base_width: channels of the stage nearest to the image.
        latent_size: length of a latent.
        spatial_dims: 2 for images; 1 for signals (B, 1, image_size), 3 for cubes of that side.
        seed: decides the initial weights.

    Raises:
        ValueError: when `image_size` is not a power of two >= 16, or `spatial_dims` is not 1, 2 or 3.

    Source: Mukherjee et al. 2022, "DCGAN architecture", variant 1.
    """

    def __init__(
        self,
        *,
        image_size: int = 128,
        base_width: int = 64,
        latent_size: int = 100,
        spatial_dims: int = 2,
        seed: int = 0,
    ) -> None:
        upsample = UPSAMPLE_CONVOLUTIONS[check_spatial_dims(spatial_dims)]
        activation = nn.LeakyReLU(0.2, inplace=True)
        super().__init__(
            image_size, base_width, latent_size, spatial_dims, seed, upsample=upsample, activation=activation
        )


class DCGAN2Generator(_Generator):
    """A transposed 4x4 convolution of stride 2 per stage, BatchNorm, ReLU, tanh.

    Shapes, arguments and errors are those of `DCGAN1Generator`.

    Source: Mukherjee et al. 2022, "DCGAN architecture", variant 2; the generator of Radford et al. 2016.

    Example:
        >>> generator = DCGAN2Generator(image_size=32, base_width=8)
        >>> generator(torch.zeros(5, generator.latent_size)).shape
        torch.Size([5, 1, 32, 32])
    """

    def __init__(
        self,
        *,
        image_size: int = 128,
        base_width: int = 64,
        latent_size: int = 100,
        spatial_dims: int = 2,
        seed: int = 0,
    ) -> None:
        upsample = partial(_transposed_convolution, spatial_dims=check_spatial_dims(spatial_dims))
        activation = nn.ReLU(inplace=True)
        super().__init__(
            image_size, base_width, latent_size, spatial_dims, seed, upsample=upsample, activation=activation
        )


class _Discriminator(nn.Module):
    """Images (B, 1, H, W) in [0, 1] to logits (B, 1): convolutional `features` at 4x4, then `head`."""

    image_size: int
    spatial_dims: int
    features: nn.Module
    head: nn.Module

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 1) of images (B, 1, H, W) in [0, 1]; other shapes raise ValueError."""
        logits: Tensor = self.head(self._maps(images))
        return logits

    def _maps(self, images: Tensor) -> Tensor:
        check_image_shape(images, image_shape(self.image_size, self.spatial_dims))
        maps: Tensor = self.features(images * 2 - 1)
        return maps


class DCGAN1Discriminator(_Discriminator):
    """4x4 convolutions of stride 2, LeakyReLU(0.2), dropout after each, and a fully connected end.

    Maps images (B, 1, image_size, image_size) in [0, 1] to logits (B, 1), high on real; the sigmoid is in the loss.

    Args:
        image_size: side of the image in pixels, a power of two >= 16.
        base_width: channels of the stage nearest to the image.
        dropout: probability with which an activation is dropped, drawn from the global generator as in all of torch.
        spectral_norm: whether every weight is divided by its largest singular value (Miyato et al. 2018).
        spatial_dims: 2 for images; 1 for signals (B, 1, image_size), 3 for cubes of that side.
        seed: decides the initial weights.

    Raises:
        ValueError: when `image_size` is not a power of two >= 16, `spatial_dims` is not 1, 2 or 3, or the images are of
            another size.

    Source: Mukherjee et al. 2022, "DCGAN architecture", variant 1.
    """

    def __init__(
        self,
        *,
        image_size: int = 128,
        base_width: int = 64,
        dropout: float = 0.25,
        spectral_norm: bool = False,
        spatial_dims: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.image_size, self.spatial_dims = image_size, check_spatial_dims(spatial_dims)
        widths = stage_widths(image_size, base_width)
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            for inputs, outputs in pairwise([1, *widths]):
                convolution = Conv[Conv.CONV, spatial_dims](inputs, outputs, 4, stride=2, padding=1)
                layers += [convolution, nn.LeakyReLU(0.2, inplace=True), nn.Dropout(dropout)]
            self.features = nn.Sequential(*layers)
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * 4**spatial_dims, 1))
        initialise(self, seed)
        if spectral_norm:
            normalise_spectrally(self, seed=seed)


class DCGAN2Discriminator(_Discriminator):
    """4x4 convolutions of stride 2, normalisation (not in the first), LeakyReLU(0.2), and a valid 4x4 convolution.

    Maps images (B, 1, image_size, image_size) in [0, 1] to logits (B, 1), high on real; the sigmoid is in the loss.

    Args:
        image_size: side of the image in pixels, a power of two >= 16.
        base_width: channels of the stage nearest to the image.
        normalization: "batch"; "layer", which treats each image alone and so suits a gradient penalty (the critic of
            the convolutional WGAN-div, Wu et al. 2018); or "none", where the convolutions have a bias instead, as goes
            best with `spectral_norm`, whose bound the scales of a normalisation undo.
        spectral_norm: whether every weight is divided by its largest singular value (Miyato et al. 2018).
        spatial_dims: 2 for images; 1 for signals (B, 1, image_size), 3 for cubes of that side.
        seed: decides the initial weights.

    Raises:
        ValueError: when `image_size` is not a power of two >= 16, `normalization` is another word, `spatial_dims` is
            not 1, 2 or 3, or the images are of another size.

    Source: Mukherjee et al. 2022, "DCGAN architecture", variant 2; the discriminator of Radford et al. 2016.

    Example:
        >>> DCGAN2Discriminator(image_size=32, base_width=8)(torch.zeros(5, 1, 32, 32)).shape
        torch.Size([5, 1])
    """

    def __init__(
        self,
        *,
        image_size: int = 128,
        base_width: int = 64,
        normalization: str = "batch",
        spectral_norm: bool = False,
        spatial_dims: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.image_size, self.spatial_dims = image_size, check_spatial_dims(spatial_dims)
        widths = stage_widths(image_size, base_width)
        normalize = _normalization(normalization, spatial_dims)
        convolve: Any = partial(Conv[Conv.CONV, spatial_dims], kernel_size=4, bias=normalization == "none")
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            for inputs, outputs in pairwise([1, *widths]):
                between = [normalize(outputs)] if layers else []
                convolution = convolve(inputs, outputs, stride=2, padding=1)
                layers += [convolution, *between, nn.LeakyReLU(0.2, inplace=True)]
            self.features = nn.Sequential(*layers)
            self.head = nn.Sequential(convolve(widths[-1], 1), nn.Flatten())
        initialise(self, seed)
        if spectral_norm:
            normalise_spectrally(self, seed=seed)


def _normalization(name: str, spatial_dims: int) -> Callable[[int], nn.Module]:
    """What builds the module that normalises so many channels."""
    kinds: dict[str, Callable[[int], nn.Module]] = {
        "batch": Norm[Norm.BATCH, spatial_dims],
        "layer": partial(nn.GroupNorm, 1),
        "none": nn.Identity,
    }
    return kinds[look_up_option(name, kinds.keys())]


def stage_widths(image_size: int, base_width: int) -> list[int]:
    """Channels of each stage from the image down to 4x4: 64 pixels have four, of 1, 2, 4 and 8 times the base width."""
    if image_size < 16 or image_size & (image_size - 1):
        raise ValueError(f"image_size must be a power of two >= 16 (16, 32, 64, 128, 256...), got {image_size}")
    stages = image_size.bit_length() - 3
    return [base_width * min(2**stage, 8) for stage in range(stages)]


def initialise(network: nn.Module, seed: int) -> None:
    """Weights N(0, 0.02), scales of the normalisation N(1, 0.02), biases 0: Radford et al. 2016 and their code."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            mean = 0.0 if parameter.ndim > 1 else 1.0
            nn.init.normal_(parameter, mean, 0.02, generator=generator)
