"""Square images with square pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["resize_square"]


def resize_square(images: Tensor, *, size: int, spacing: tuple[float, float] | None = None) -> Tensor:
    """Bring (..., H, W) to (..., size, size) undistorted: pad the side shorter in millimetres with 0, and resize.

    One antialiased interpolation resizes and, where pixels are not square, resamples to square ones.

    Args:
        images: in [0, 1].
        size: side of the result in pixels.
        spacing: from row to row and from column to column, in the same unit; None stands for square pixels.
    """
    height, width = images.shape[-2:]
    row, column = spacing or (1.0, 1.0)
    side = max(height * row, width * column)
    rows, columns = round(side / row), round(side / column)
    top, left = (rows - height) // 2, (columns - width) // 2
    square = images
    if (rows, columns) != (height, width):
        square = F.pad(images, (left, columns - width - left, top, rows - height - top))
    if (rows, columns) == (size, size):
        return square
    flat = square.reshape(-1, 1, rows, columns)
    resized = F.interpolate(flat, size=(size, size), mode="bilinear", antialias=True)
    return resized.clamp(0, 1).reshape(*images.shape[:-2], size, size)
