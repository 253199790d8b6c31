"""PSNR of many images with many references: one matrix product."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_aggrgan.metrics.grey_images import plain_images

__all__ = ["AllPairsPSNR"]

BLOCK = 256  # judged images at once
NEAR = 1e-6  # of both images' power; the distance of a nearer pair is taken pixel by pixel
PAIRS = 1024  # of these at once


class AllPairsPSNR:
    """Peak signal-to-noise ratio of judged images with fixed references, 20 log10(1 / sqrt(MSE)).

    The squared distance is x^2 - 2xy + y^2 in float64. Where that loses its digits, for near copies, it is taken pixel
    by pixel, so that identical images are infinitely alike.

    Args:
        references: images (N, 1, H, W) in [0, 1], or signals, or volumes; kept in float64.

    Raises:
        ValueError: when the references are not such images.

    Source: Mukherjee et al. 2022, eq. 2-3, peak 1.
    """

    def __init__(self, references: Tensor) -> None:
        self._references = plain_images(references).double()
        self._power = _power(self._references)

    @torch.no_grad()
    def __call__(self, judged: Tensor) -> Tensor:
        """PSNR (M, N) in dB of images (M, 1, H, W) in [0, 1], on the references' device, with each reference."""
        images = plain_images(judged, like=self._references)
        mean_square = torch.cat([self._distances(block.double()) for block in images.split(BLOCK)]) / images[0].numel()
        return (-10 * torch.log10(mean_square)).float()

    def _distances(self, images: Tensor) -> Tensor:
        """Squared distances (M, N) of images (M, H, W)."""
        powers = _power(images)[:, None] + self._power
        distances = torch.addmm(powers, images.flatten(1), self._references.flatten(1).T, alpha=-2)
        near = (distances <= NEAR * powers).nonzero()
        for rows, columns in (pairs.unbind(1) for pairs in near.split(PAIRS)):
            distances[rows, columns] = _power(images[rows] - self._references[columns])
        return distances


def _power(images: Tensor) -> Tensor:
    return images.square().sum(dim=tuple(range(1, images.ndim)))
