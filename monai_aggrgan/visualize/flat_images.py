"""Signals and volumes as images that can be looked at."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["flat_images"]


def flat_images(images: Tensor) -> Tensor:
    """Images (N, 1, H, W) themselves; of volumes the middle slice; of signals the area below their curve, white.

    Args:
        images: (N, 1, H, W) in [0, 1]; or volumes (N, 1, D, H, W), shown as (N, 1, H, W); or signals (N, 1, W), shown
            as (N, 1, W, W).

    Raises:
        ValueError: when they have another shape.
    """
    if not 3 <= images.ndim <= 5 or images.shape[1] != 1:
        came = tuple(images.shape)
        raise ValueError(f"images must be (N, 1, H, W), or (N, 1, W) or (N, 1, D, H, W), got shape {came}")
    if images.ndim == 5:
        return images[:, :, images.shape[2] // 2]
    if images.ndim == 3:
        side = images.shape[2]
        heights = 1 - (torch.arange(side, device=images.device) + 0.5) / side
        return (images[:, :, None] >= heights[:, None]).float()
    return images
