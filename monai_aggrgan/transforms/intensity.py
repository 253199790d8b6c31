"""Scaling of intensities to [0, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
from monai.transforms import ScaleIntensityRange
from monai.utils import convert_to_tensor
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
    numbers = pixels.view(np.uint8) if pixels.dtype == bool else pixels
    low, high = np.percentile(numbers.ravel(order="K"), (lower, upper))
    if low == high:
        low, high = pixels.min(), pixels.max()
    return float(low), float(high)


def scale_to_unit(pixels: NDArray[Any], *, low: float, high: float) -> Tensor:
    """Scale intensities so that `low` becomes 0 and `high` 1, clipped, as float32 of the same shape.

    Args:
        pixels: any shape, any numeric type, in the file's units.
        low: see `unit_range`.
        high: the same as `low` for a constant image, which becomes 0.
    """
    if low == high:
        return convert_to_tensor(np.zeros(pixels.shape, dtype=np.float32))
    scale = ScaleIntensityRange(low, high, b_min=0.0, b_max=1.0, clip=True)
    return convert_to_tensor(scale(np.ascontiguousarray(pixels, dtype=np.float32)), track_meta=False)
