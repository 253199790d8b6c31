"""What MONAI lacks between a file and a slice in [0, 1]."""

from __future__ import annotations

from monai_aggrgan.transforms.grey_slice import LoadGreySlice, resize_square
from monai_aggrgan.transforms.intensity import scale_to_unit

__all__ = ["LoadGreySlice", "resize_square", "scale_to_unit"]
