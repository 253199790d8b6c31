"""Volumes as stacks of slices that stand upright: axial, coronal, sagittal, or as they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from monai.utils import look_up_option
from nibabel.affines import voxel_sizes
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray

__all__ = ["PLANES", "stack_of_slices"]

PLANES = ("axial", "coronal", "sagittal", "stored")
CODES = {"axial": "SPL", "coronal": "PIL", "sagittal": "LIP"}
"""Where slices, rows and columns run to: the patient's right is at the left of an image, anterior or superior at its
top; a sagittal image looks to the left."""
NORMAL_OF = ("sagittal", "coronal", "axial")


def stack_of_slices(
    pixels: NDArray[Any], affine: NDArray[np.float64] | None, *, plane: str = "axial"
) -> tuple[NDArray[Any], tuple[float, float] | None]:
    """Slices (D, H, W) of an image by its affine, a view of its pixels, and the spacing of rows and columns.

    Oblique volumes are turned by their nearest axes, never resampled. A single slice is shown in the plane in which it
    was taken, whatever `plane`. Without an affine the pixels are a picture and stay as they are.

    Args:
        pixels: (X, Y, Z) or (X, Y) along the axes of `affine`; (rows, columns) without one.
        affine: (4, 4), from voxel indices to millimetres, RAS+.
        plane: `axial`, `coronal`, `sagittal`, or `stored`: slices along the last axis with the second downwards.

    Returns:
        The slices, and millimetres from row to row and from column to column, None where they are not known.
    """
    look_up_option(plane, PLANES)
    if affine is None:
        return pixels.reshape(-1, *pixels.shape[-2:]), None
    volume = pixels[..., None] if pixels.ndim == 2 else pixels
    placed = np.array(affine, dtype=np.float64)
    if not np.isfinite(placed).all():
        return volume.T, None
    start = io_orientation(placed)
    if plane == "stored" or np.isnan(start).any():
        stack, (row, column) = volume.T, (1, 0)
    else:
        flat = [axis for axis, length in enumerate(volume.shape) if length == 1]
        plane = NORMAL_OF[int(start[flat[0], 0])] if len(flat) == 1 else plane
        turn = ornt_transform(start, axcodes2ornt(CODES[plane]))
        stack = apply_orientation(volume, turn)
        row, column = np.argsort(turn[:, 0])[1:]
    sizes = voxel_sizes(placed)
    spacing = (float(sizes[row]), float(sizes[column]))
    return stack, spacing if min(spacing) > 0 else None
