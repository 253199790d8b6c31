"""Scaling of a slice to [0, 1]."""

from __future__ import annotations

import numpy as np
from monai.transforms import ScaleIntensityRange
from monai.utils import convert_to_tensor
from torch import Tensor

__all__ = ["scale_to_unit"]


def scale_to_unit(pixels: np.ndarray, *, lower: float = 0.5, upper: float = 99.5) -> Tensor:
    """Scale intensities to [0, 1], as float32 of the same shape.

    8-bit pixels are divided by 255; all others are mapped from their `lower` and `upper` percentile to 0 and 1 and
    clipped, so that a few outliers do not darken the slice. Where both percentiles are equal, because all but a few
    pixels are, the lowest and the highest value take their place. A constant slice becomes 0.

    Args:
        pixels: one slice, any shape, any numeric type, in the file's units.
    """
    if pixels.dtype == np.uint8:
        return convert_to_tensor(pixels.astype(np.float32) / 255)
    pixels = pixels.astype(np.float32)
    bottom, top = np.percentile(pixels, (lower, upper))
    if bottom == top:
        bottom, top = pixels.min(), pixels.max()
    if bottom == top:
        return convert_to_tensor(np.zeros_like(pixels))
    scale = ScaleIntensityRange(bottom, top, b_min=0.0, b_max=1.0, clip=True)
    return convert_to_tensor(scale(pixels), track_meta=False)
