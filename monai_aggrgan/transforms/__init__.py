"""What MONAI lacks between a volume and slices in [0, 1], and between slices and a critic."""

from __future__ import annotations

from monai_aggrgan.transforms.anatomical_plane import PLANES, stack_of_slices
from monai_aggrgan.transforms.cut_slices import CutSlices, Slice
from monai_aggrgan.transforms.differentiable_augmentation import DifferentiableAugmentation
from monai_aggrgan.transforms.flip_shift_zoom import flip_shift_zoom
from monai_aggrgan.transforms.intensity import scale_to_unit, unit_range
from monai_aggrgan.transforms.rand_synthetic_slice import RandSyntheticSliced
from monai_aggrgan.transforms.slice_choice import across_foreground, across_label, every_nth, foreground_areas
from monai_aggrgan.transforms.square import resize_square

__all__ = [
    "PLANES",
    "CutSlices",
    "DifferentiableAugmentation",
    "RandSyntheticSliced",
    "Slice",
    "across_foreground",
    "across_label",
    "every_nth",
    "flip_shift_zoom",
    "foreground_areas",
    "resize_square",
    "scale_to_unit",
    "stack_of_slices",
    "unit_range",
]
