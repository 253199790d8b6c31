"""Means over SSIM's Gaussian window, and the constants of SSIM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "C1",
    "C2",
    "FILTERS",
    "WINDOW",
    "Filtering",
    "LocalMean",
    "fastest_filtering",
    "full_precision",
    "gaussian_band",
]

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2 for data range L = 1

Filtering = Literal["depthwise", "matrix"]
LocalMean = Callable[[Tensor, float], Tensor]
"""Gives the means (H', W', C) of images (H, W, C) over the window, valid region, plus a constant; with stride 1 the
sizes H' and W' are H - 10 and W - 10."""


def fastest_filtering(like: Tensor) -> Filtering:
    """Which of `FILTERS` is fast where a tensor is: separable convolutions on a CPU with oneDNN."""
    return "depthwise" if like.device.type == "cpu" and torch.backends.mkldnn.is_available() else "matrix"


def depthwise_mean(like: Tensor, stride: int) -> LocalMean:
    """Gaussian means of images (H, W, C) by oneDNN's depthwise convolution."""
    row = gaussian_window().to(like)

    def local_mean(images: Tensor, plus: float) -> Tensor:
        height, width, channels = images.shape
        # the stride of the batch is told as if there were a second image: else torch does not see channels last
        batch = images.as_strided((1, channels, height, width), (images.numel(), 1, width * channels, channels))
        window = row.expand(channels, 1, -1)
        constant = images.new_full((channels,), plus)
        across = F.conv2d(batch, window[:, :, None], stride=(1, stride), groups=channels)
        means = F.conv2d(across, window[..., None], constant, stride=(stride, 1), groups=channels)
        return means[0].permute(1, 2, 0)

    return local_mean


def matrix_mean(like: Tensor, stride: int) -> LocalMean:
    """Gaussian means of images (H, W, C) by products with banded matrices."""
    rows, columns = (gaussian_band(size)[::stride].contiguous().to(like) for size in like.shape[1:])

    def local_mean(images: Tensor, plus: float) -> Tensor:
        _, width, channels = images.shape
        down = rows @ images.flatten(1)
        return (columns @ down.view(-1, width, channels)).add_(plus)

    return local_mean


FILTERS = {"depthwise": depthwise_mean, "matrix": matrix_mean}


def gaussian_window() -> Tensor:
    """The Gaussian window (11,), rounded once, so that it sums to 1: what is missing would be a grey's variance."""
    window = torch.exp(-((torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2) / SIGMA).square() / 2)
    return (window / window.sum()).float()


def gaussian_band(size: int) -> Tensor:
    """Matrix (size - 10, size) whose product with a column is its Gaussian filter, valid part."""
    row = F.pad(gaussian_window(), (0, size - WINDOW))
    return torch.stack([row.roll(shift) for shift in range(size - WINDOW + 1)])


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """Leave autocast and every short cut of float32 arithmetic."""
    mkldnn, cuda = torch.backends.mkldnn, torch.backends.cuda.matmul
    places: list[Any] = [getattr(mkldnn, "matmul", None), getattr(mkldnn, "conv", None), cuda]
    name, full = ("fp32_precision", "ieee") if hasattr(cuda, "fp32_precision") else ("allow_tf32", False)
    before = [(place, getattr(place, name)) for place in places if hasattr(place, name)]
    try:
        for place, _ in before:
            setattr(place, name, full)
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        for place, value in before:
            setattr(place, name, value)
