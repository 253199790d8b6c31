"""InfoGAN on DCGAN-2's networks: a generator that is steered by codes, and a critic that reads them off an image.

Every generator here takes latents ~ N(0, 1)^latent_size, on which pools, ensembles and exports rely. So the codes are a
function of the latent: of its first numbers the largest names a category, each of the next ones gives a number in
[-1, 1], and the rest is noise. Categories and numbers are exactly uniform.
"""

from __future__ import annotations

import math
from typing import Literal, overload

import torch
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from monai_aggrgan.networks.dcgan import DCGAN2Discriminator, DCGAN2Generator, initialise, stage_widths
from monai_aggrgan.networks.spectral_norm import normalise_spectrally

__all__ = ["InfoGANCritic", "InfoGANGenerator"]


class InfoGANGenerator(DCGAN2Generator):
    """DCGAN-2's generator of [category as one-hot, continuous codes, noise], all of it made from the latent.

    Maps latents (B, latent_size) ~ N(0, 1) to images (B, 1, image_size, image_size) in [0, 1].

    Args:
        image_size: side of the image in pixels, a power of two >= 16.
        base_width: channels of the stage nearest to the image.
        latent_size: length of a latent (DCGAN-2's; Chen et al. have 62 numbers of noise beside the codes).
        categories: number of categories, at least 2.
        continuous: number of continuous codes.
        spatial_dims: 2 for images; 1 for signals (B, 1, image_size), 3 for cubes of that side.
        seed: decides the initial weights.

    Raises:
        ValueError: when `image_size` is not a power of two >= 16, `spatial_dims` is not 1, 2 or 3, or the codes do not
            fit into the latent.

    Source: Chen et al. 2016 (arXiv 1606.03657). Differs from it in: the codes come from a normal latent.
    """

    def __init__(
        self,
        *,
        image_size: int = 128,
        base_width: int = 64,
        latent_size: int = 100,
        categories: int = 10,
        continuous: int = 2,
        spatial_dims: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__(
            image_size=image_size, base_width=base_width, latent_size=latent_size, spatial_dims=spatial_dims, seed=seed
        )
        _check_codes(categories, continuous)
        if categories + continuous > latent_size:
            raise ValueError(f"latent_size must be at least {categories + continuous} for the codes, got {latent_size}")
        self.categories, self.continuous = categories, continuous

    def forward(self, latent: Tensor) -> Tensor:
        """Images (B, 1, H, W) in [0, 1] from latents (B, latent_size), float32 even under autocast."""
        category, continuous = self.codes(latent)
        noise = latent[:, self.categories + self.continuous :]
        images = torch.tanh(self.layers(torch.cat([category, continuous, noise], dim=1)).float())
        return (images + 1) / 2

    def codes(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """The codes in latents (B, latent_size): categories one-hot (B, categories), and (B, continuous) in [-1, 1].

        A continuous code is 2 Phi(z) - 1, Phi being the distribution function of N(0, 1). Weights play no part.
        """
        first = latent[:, : self.categories]
        category = torch.zeros_like(first).scatter_(1, first.argmax(dim=1, keepdim=True), 1.0)
        continuous = latent[:, self.categories : self.categories + self.continuous]
        return category, torch.erf(continuous / math.sqrt(2))


class InfoGANCritic(DCGAN2Discriminator):
    """DCGAN-2's discriminator and, on the same 4x4 maps, the head Q that guesses the codes of a generated image.

    Maps images (B, 1, image_size, image_size) in [0, 1] to logits (B, 1), high on real. Q has a hidden layer of 128
    units, LeakyReLU(0.2), and `categories + continuous` outputs.

    Args:
        image_size: side of the image in pixels, a power of two >= 16.
        base_width: channels of the stage nearest to the image.
        categories: number of categories, as the generator has.
        continuous: number of continuous codes, as the generator has.
        normalization: see `DCGAN2Discriminator`.
        spectral_norm: whether every weight is divided by its largest singular value (Miyato et al. 2018), Q's too.
        spatial_dims: 2 for images; 1 for signals (B, 1, image_size), 3 for cubes of that side.
        seed: decides the initial weights; those of trunk and logits are DCGAN-2's with the same seed.

    Raises:
        ValueError: when `image_size` is not a power of two >= 16, `normalization` is another word, there are no
            categories, `spatial_dims` is not 1, 2 or 3, or the images are of another size.

    Source: Chen et al. 2016, appendix C. Differs from it in: no BatchNorm in Q, which a batch of one image would break.
    """

    def __init__(
        self,
        *,
        image_size: int = 128,
        base_width: int = 64,
        categories: int = 10,
        continuous: int = 2,
        normalization: str = "batch",
        spectral_norm: bool = False,
        spatial_dims: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__(
            image_size=image_size,
            base_width=base_width,
            normalization=normalization,
            spatial_dims=spatial_dims,
            seed=seed,
        )
        _check_codes(categories, continuous)
        with torch.random.fork_rng(devices=[]):
            self.code_head = nn.Sequential(
                Conv[Conv.CONV, spatial_dims](stage_widths(image_size, base_width)[-1], 128, 4),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Flatten(),
                nn.Linear(128, categories + continuous),
            )
        initialise(self, seed)
        if spectral_norm:
            normalise_spectrally(self, seed=seed)

    @overload
    def forward(self, images: Tensor, with_codes: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, images: Tensor, with_codes: Literal[True]) -> tuple[Tensor, Tensor]: ...

    def forward(self, images: Tensor, with_codes: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B, 1) of images (B, 1, H, W) in [0, 1]; if asked, also what Q makes of them.

        One method, since wrappers such as DistributedDataParallel pass on the forward call alone.

        Returns:
            The logits, or the logits and Q's guess (B, categories + continuous): a logit for each category, then the
            mean of each continuous code.
        """
        maps = self._maps(images)
        logits: Tensor = self.head(maps)
        return (logits, self.code_head(maps)) if with_codes else logits


def _check_codes(categories: int, continuous: int) -> None:
    if categories < 2 or continuous < 0:
        raise ValueError(f"categories must be at least 2 and continuous not negative, got {categories}, {continuous}")
