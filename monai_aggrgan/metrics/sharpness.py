"""Sharpness difference, the paper's fourth metric."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from monai.metrics.regression import RegressionMetric
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor

__all__ = ["SharpnessDifferenceMetric", "sharpness_difference"]


def sharpness_difference(judged: Tensor, reference: Tensor) -> Tensor:
    """SD = 10 log10(1 / nabla), nabla the mean absolute difference of the images' backward differences.

    The backward difference of f is 2 f(i, j) - f(i-1, j) - f(i, j-1), the sum of those along each axis; ours: so it is
    for signals and volumes. It is linear: the difference of two is that of the difference image. The first row and
    column, which have no predecessor, are left out of the mean. Images that are identical, or differ by a constant,
    have SD inf, as PSNR has; so has every mean that holds such a pair.

    The paper prints values near 28, which these formulas do not give on 8-bit images without integer overflow.

    Args:
        judged: images (B, 1, H, W) in [0, 1], H and W at least 2; or signals (B, 1, W), or volumes (B, 1, D, H, W).
        reference: images of the same shape.

    Returns:
        Sharpness difference of each pair (B,) in dB, higher is more alike.

    Raises:
        ValueError: when the shapes differ, are none of these, or a side is 1.

    Source: Mukherjee et al. 2022, eq. 5-7, with MAX = 1.

    >>> checkerboard = torch.tensor([[0.0, 1.0], [1.0, 0.0]])[None, None]
    >>> sharpness_difference(checkerboard, torch.zeros(1, 1, 2, 2))
    tensor([-3.0103])
    """
    grey = 3 <= judged.ndim <= 5 and judged.shape[1] == 1 and min(judged.shape[2:]) >= 2
    if not grey or judged.shape != reference.shape:
        raise ValueError(
            "images must be (B, 1, H, W), or (B, 1, W) or (B, 1, D, H, W), alike with sides of at least 2, "
            f"got {tuple(judged.shape)} and {tuple(reference.shape)}"
        )
    change = convert_to_tensor(judged, track_meta=False) - convert_to_tensor(reference, track_meta=False)
    axes = range(2, change.ndim)
    gradient = len(axes) * _without(change, firsts=axes)
    for axis in axes:
        before = change.narrow(axis, 0, change.shape[axis] - 1)
        gradient = gradient - _without(before, firsts=[other for other in axes if other != axis])
    return -10 * torch.log10(gradient.abs().mean(dim=tuple(range(1, change.ndim))))


def _without(images: Tensor, *, firsts: Iterable[int]) -> Tensor:
    """Images without their first row, column or plane along these axes."""
    for axis in firsts:
        images = images.narrow(axis, 1, images.shape[axis] - 1)
    return images


class SharpnessDifferenceMetric(RegressionMetric):
    """`sharpness_difference` as a MONAI metric: call with (judged, reference), then `aggregate()`.

    Each call returns the differences (B, 1); `monai.handlers.IgniteMetricHandler` takes it as `metric_fn`.
    """

    def _compute_metric(self, y_pred: Tensor, y: Tensor) -> Tensor:
        return sharpness_difference(y_pred, y)[:, None]
