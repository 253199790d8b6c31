"""How like an image is to the training image that lies best on it."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_aggrgan.evaluation.near_duplicates import SMALLEST, structure
from monai_aggrgan.metrics.aligned_ssim import AlignedMatches

__all__ = ["likeness"]

CHUNK = 256  # images whose structures are in memory at once


@torch.no_grad()
def likeness(images: Tensor, training: Tensor, match: AlignedMatches) -> Tensor | None:
    """Product of the `structure` of images and of their matches, mirrored and moved onto them.

    It tells copies from look-alikes better than SSIM does, since it minds neither contrast nor a little blur or noise.

    Args:
        images: (N, 1, H, W) in [0, 1].
        training: (T, 1, H, W).
        match: of each image, on the CPU.

    Returns:
        (N,) on the CPU, at most 1; None for images smaller than 64 pixels, which have no `structure`.
    """
    if min(images.shape[-2:]) < SMALLEST:
        return None
    products = []
    for rows in torch.arange(len(images)).split(CHUNK):
        partners = torch.stack([_placed(training, match, row) for row in rows.tolist()])
        products.append((structure(images[rows].cpu()) * structure(partners.cpu())).sum(dim=1))
    return torch.cat(products)


def _placed(training: Tensor, match: AlignedMatches, row: int) -> Tensor:
    """The match (1, H, W) of an image, mirrored and moved as it says, black where nothing comes in."""
    image = training[match.nearest[row]]
    image = image.flip(-1) if match.mirrored[row] else image
    down, right = match.shift[row].tolist()
    height, width = image.shape[-2:]
    placed = torch.zeros_like(image)
    here = (slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right)))
    there = (slice(max(0, -down), height + min(0, -down)), slice(max(0, -right), width + min(0, -right)))
    placed[:, here[0], here[1]] = image[:, there[0], there[1]]
    return placed
