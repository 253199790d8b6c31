"""Means over SSIM's Gaussian window, and the constants of SSIM."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
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
    "check_window_fits",
    "fastest_filtering",
    "full_precision",
    "gaussian_band",
    "window_means",
]

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2 for data range L = 1

Filtering = Literal["depthwise", "matrix"]
LocalMean = Callable[[Tensor, float], Tensor]
"""Gives the means (H', W', C) of images (H, W, C) over the window, valid region, plus a constant; with stride 1 the
sizes H' and W' are H - 10 and W - 10. Signals (W, C) and volumes (D, H, W, C) likewise."""


def check_window_fits(shape: tuple[int, ...]) -> None:
    """Refuse images of this spatial shape if a side is shorter than the window.

    Raises:
        ValueError: when one is.
    """
    if min(shape) < WINDOW:
        window, came = ("x".join(map(str, sides)) for sides in ((WINDOW,) * len(shape), shape))
        raise ValueError(f"SSIM needs images of at least {window} pixels, got {came}")


def fastest_filtering(like: Tensor) -> Filtering:
    """Which of `FILTERS` is fast where a tensor is: separable convolutions on a CPU with oneDNN."""
    return "depthwise" if like.device.type == "cpu" and torch.backends.mkldnn.is_available() else "matrix"


def depthwise_mean(like: Tensor, stride: int) -> LocalMean:
    """Gaussian means of images (H, W, C) by oneDNN's depthwise convolution.

    The last axis is filtered as rows of one image that is as high as all axes before it together; each other axis as
    the columns of images as wide as all axes behind it.
    """
    row = gaussian_window().to(like)

    def filtered(images: Tensor, axis: int, constant: Tensor | None) -> Tensor:
        *shape, channels = images.shape
        before, behind = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        last = axis == len(shape) - 1
        count, height, width = (1, before, shape[axis]) if last else (before, shape[axis], behind)
        # the stride of the batch is told as if there were a second image: else torch does not see channels last
        strides = (height * width * channels, 1, width * channels, channels)
        batch = images.as_strided((count, channels, height, width), strides)
        window = row.expand(channels, 1, -1)
        kernel, steps = (window[:, :, None], (1, stride)) if last else (window[..., None], (stride, 1))
        means = F.conv2d(batch, kernel, constant, stride=steps, groups=channels).permute(0, 2, 3, 1)
        return means.contiguous().view(*shape[:axis], -1, *shape[axis + 1 :], channels)

    def local_mean(images: Tensor, plus: float) -> Tensor:
        constant = images.new_full((images.shape[-1],), plus)
        for axis in reversed(range(images.ndim - 1)):
            images = filtered(images, axis, None if axis else constant)
        return images

    return local_mean


def matrix_mean(like: Tensor, stride: int) -> LocalMean:
    """Gaussian means of images (H, W, C) by products with banded matrices."""
    first, *others = (gaussian_band(size)[::stride].contiguous().to(like) for size in like.shape[1:])

    def local_mean(images: Tensor, plus: float) -> Tensor:
        means = (first @ images.flatten(1)).view(-1, *images.shape[1:])
        for axis, band in enumerate(others, start=1):
            done, behind = means.shape[:axis], means.shape[axis + 1 :]
            means = (band @ means.view(-1, means.shape[axis], math.prod(behind))).view(*done, -1, *behind)
        return means.add_(plus)

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


def window_means(images: Tensor, bands: Sequence[Tensor]) -> Tensor:
    """Means of images (N, H, W) over the window, (N, H - 10, W - 10), with the `gaussian_band` of each axis."""
    for axis, band in enumerate(bands[:-1], start=1):
        behind = images.shape[axis + 1 :]
        images = (band @ images.flatten(axis + 1)).unflatten(-1, behind)
    return images @ bands[-1].T


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """Leave autocast and every short cut of float32 arithmetic."""
    mkldnn, cuda = torch.backends.mkldnn, torch.backends.cuda.matmul
    places: list[Any] = [getattr(mkldnn, "matmul", None), getattr(mkldnn, "conv", None), cuda]
    before = [(place, place.fp32_precision) for place in places if hasattr(place, "fp32_precision")]
    of_all = None if before else torch.get_float32_matmul_precision()  # torch 2.8 has one setting for all
    try:
        for place, _ in before:
            place.fp32_precision = "ieee"
        if of_all:
            torch.set_float32_matmul_precision("highest")
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        for place, value in before:
            place.fp32_precision = value
        if of_all:
            torch.set_float32_matmul_precision(of_all)
