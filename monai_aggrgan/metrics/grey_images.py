"""What all-pairs metrics accept."""

from __future__ import annotations

import torch
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor

__all__ = ["plain_images"]


def plain_images(images: Tensor, *, like: Tensor | None = None) -> Tensor:
    """Grey images (N, 1, H, W) as (N, H, W) in float32, without MONAI's metadata; signals and volumes likewise.

    Raises:
        ValueError: when there is none, they are not floating-point images of one channel and one, two or three spatial
            dimensions, or they are not of the size and on the device of the images `like` (M, H, W).
    """
    if not 3 <= images.ndim <= 5 or images.shape[1] != 1 or not images.numel() or not images.is_floating_point():
        raise ValueError(
            "images must be floating-point (N, 1, H, W), or (N, 1, W) or (N, 1, D, H, W), at least one, "
            f"got {images.dtype} {tuple(images.shape)}"
        )
    if like is not None and (images.shape[2:] != like.shape[1:] or images.device != like.device):
        raise ValueError(
            f"judged images and references must be of one size and on one device, got {tuple(images.shape[2:])} on "
            f"{images.device} and {tuple(like.shape[1:])} on {like.device}"
        )
    plain: Tensor = convert_to_tensor(images[:, 0], dtype=torch.float32, track_meta=False)
    return plain
