"""What metrics of features accept."""

from __future__ import annotations

import torch
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor

__all__ = ["plain_features"]


def plain_features(*features: Tensor, at_least: tuple[int, ...]) -> list[Tensor]:
    """Sets of features (N, D), all with the same D, as plain float64 tensors.

    Args:
        features: the sets, one row an image.
        at_least: how many rows each must have.

    Raises:
        ValueError: when they are not such matrices, or not finite.
    """
    for rows, smallest in zip(features, at_least, strict=True):
        if rows.ndim != 2 or len(rows) < smallest or rows.shape[1:] != features[0].shape[1:]:
            came = [tuple(rows.shape) for rows in features]
            raise ValueError(f"features must be (N, D) with one D and N at least {[*at_least]}, got {came}")
        if not rows.isfinite().all():
            raise ValueError("features must be finite, got infinite or undefined ones")
    return [convert_to_tensor(rows, dtype=torch.float64, track_meta=False) for rows in features]
