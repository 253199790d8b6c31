"""Scaling of intensities to [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["scale_to_unit", "unit_range"]


def unit_range(pixels: NDArray[Any], *, lower: float = 0.5, upper: float = 99.5) -> tuple[float, float]:
    """The intensities that become 0 and 1.

    For 8-bit pixels these are 0 and 255; for all others their `lower` and `upper` percentile, so that a few outliers do
    not darken the rest. Where both are equal, because all but a few pixels are, the lowest and the highest value.

    Args:
        pixels: a slice or a volume, any shape, any numeric type, in the file's units.
        lower: percentile from 0 to 100.
        upper: percentile from 0 to 100.
    """
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    low, high = _percentiles(pixels.ravel(order="K"), (lower, upper))
    if low == high:
        low, high = pixels.min(), pixels.max()
    return float(low), float(high)


def _percentiles(numbers: NDArray[Any], shares: tuple[float, float]) -> NDArray[np.float64]:
    """Those of `np.percentile`; of whole numbers of 16 bits at most by counting them, which is much faster."""
    if numbers.dtype == bool:
        numbers = (numbers != 0).astype(np.uint8)  # Pillow's ones are bytes of 255
    if numbers.dtype.kind not in "iu" or numbers.dtype.itemsize > 2:
        return np.percentile(numbers, shares)
    counts, smallest = _counts(numbers)
    places = np.array(shares) / 100 * (numbers.size - 1)
    up_to = counts.cumsum()
    below, above = (up_to.searchsorted(place, side="right") for place in (np.floor(places), np.ceil(places)))
    return smallest + below + (above - below) * (places % 1)


def _counts(numbers: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """How often each value occurs, from the smallest that the type has, and that one."""
    native = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
    if native.dtype.kind != "i":
        return np.bincount(native.view(f"u{native.dtype.itemsize}")), 0
    half = 2 ** (8 * native.dtype.itemsize - 1)
    return np.roll(np.bincount(native.view(f"u{native.dtype.itemsize}"), minlength=2 * half), half), -half


def scale_to_unit(pixels: NDArray[Any], *, low: float, high: float) -> Tensor:
    """Scale intensities so that `low` becomes 0 and `high` 1, clipped, as float32 of the same shape.

    Args:
        pixels: any shape, any numeric type, in the file's units.
        low: see `unit_range`.
        high: the same as `low` for a constant image, which becomes 0.
    """
    if low == high:
        return torch.zeros(pixels.shape)
    exact = pixels.dtype.kind in "iub" and pixels.dtype.itemsize <= 2
    numbers = torch.from_numpy(np.array(pixels, dtype=np.float32 if exact else np.float64, order="C"))
    if pixels.dtype == np.uint8 and (low, high) == (0, 255):
        return numbers.div_(high)  # nothing lies outside
    return numbers.sub_(low).div_(high - low).clamp_(0, 1).float()
