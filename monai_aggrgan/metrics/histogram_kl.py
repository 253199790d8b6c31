"""Kullback-Leibler divergence of grey-level histograms, the paper's third metric."""

from __future__ import annotations

import torch
from monai.metrics.regression import RegressionMetric
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor

__all__ = ["HistogramKLMetric", "grey_histograms", "histogram_kl_divergence", "kl_divergence"]

LEVELS = 256
SMOOTHING = 1e-8


def histogram_kl_divergence(judged: Tensor, reference: Tensor) -> Tensor:
    """KL(P || Q) = sum P log(P / Q) of the images' grey-level histograms, natural logarithm.

    P is the histogram of `judged`, Q that of `reference`: 256 bins, one for each level of the 8-bit image. A level that
    an image lacks counts as 1e-8 (our choice, the paper is silent on empty bins), so one empty bin of Q that holds all
    of P gives 18.4. It compares how often a grey occurs, never where.

    Args:
        judged: images (B, 1, H, W) in [0, 1], or signals (B, 1, W), or volumes (B, 1, D, H, W); values outside are
            clipped, as saving to 8 bits does.
        reference: images of the same shape.

    Returns:
        Divergence of each pair (B,), 0 for equal histograms, in nats.

    Raises:
        ValueError: when the shapes differ or are none of these.

    Source: Mukherjee et al. 2022, eq. 4.

    >>> black, white = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    >>> [round(histogram_kl_divergence(black, x).item(), 2) for x in (black, white)]
    [0.0, 18.42]
    """
    if not 3 <= judged.ndim <= 5 or judged.shape[1] != 1 or judged.shape != reference.shape:
        raise ValueError(
            "images must be (B, 1, H, W), or (B, 1, W) or (B, 1, D, H, W), alike, "
            f"got {tuple(judged.shape)} and {tuple(reference.shape)}"
        )
    return kl_divergence(grey_histograms(judged), grey_histograms(reference))


def kl_divergence(judged: Tensor, reference: Tensor) -> Tensor:
    """Divergence (B,) of rows (B, 256) of `grey_histograms`, for images that are compared with several others."""
    return torch.sum(judged * torch.log(judged / reference), dim=1).clamp(min=0)  # rounding can leave -1e-8


def grey_histograms(images: Tensor) -> Tensor:
    """Smoothed shares (B, 256) of the grey levels of the 8-bit images of (B, 1, H, W) in [0, 1]."""
    levels = (convert_to_tensor(images, track_meta=False) * (LEVELS - 1)).round().clamp(0, LEVELS - 1).long().flatten(1)
    first_bin = LEVELS * torch.arange(len(levels), device=levels.device)[:, None]
    counts = torch.bincount((levels + first_bin).flatten(), minlength=LEVELS * len(levels)).view(-1, LEVELS)
    shares: Tensor = counts / levels.shape[1] + SMOOTHING
    return torch.div(shares, shares.sum(dim=1, keepdim=True))


class HistogramKLMetric(RegressionMetric):
    """`histogram_kl_divergence` as a MONAI metric: call with (judged, reference), then `aggregate()`.

    Each call returns the divergences (B, 1); `monai.handlers.IgniteMetricHandler` takes it as `metric_fn`.
    """

    def _compute_metric(self, y_pred: Tensor, y: Tensor) -> Tensor:
        return histogram_kl_divergence(y_pred, y)[:, None]
