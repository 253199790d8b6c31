"""Synthetic images beside the real ones that they are most like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.visualize.mosaic import Text, line_height, lines_of, mosaic, paint

__all__ = ["pairs_figure"]

FONT = 18.0


def pairs_figure(
    pairs: Sequence[tuple[str, Tensor, Tensor]], *, columns: int = 5, title: str = ""
) -> NDArray[np.uint8]:
    """Pairs of images row by row, a line of text above each pair.

    Args:
        pairs: label, and the two images (1, H, W) in [0, 1] that stand side by side.
        columns: pairs of a row.
        title: a line above.

    Returns:
        The picture (height, width, 3), each image enlarged by the same whole number.

    Raises:
        ValueError: when there is no pair, `columns` is less than 1, or images differ in shape.
    """
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    if not pairs:
        raise ValueError("a picture needs at least one pair, got none")
    line = line_height(FONT)
    rows = [[*pairs[start : start + columns]] for start in range(0, len(pairs), columns)]
    painted = []
    for number, row in enumerate(rows):
        cells = [image for _, one, other in row for image in (one, other)]
        tiles = mosaic([[*cells, *[None] * (2 * columns - len(cells))]], size=128)
        width = tiles.shape[1] / columns
        labels = [lines_of(label, font=FONT, width=width) for label, _, _ in row]
        titles = lines_of(title, font=FONT, width=tiles.shape[1]) if number == 0 else []
        above = line * (max(map(len, labels)) + len(titles)) + line // 2
        texts = [Text(label, (place + 0.5) * width, 0, FONT, down="bottom") for place, label in enumerate(labels)]
        texts.append(Text(titles, line / 2, -above, FONT, "left", "top"))
        painted.append(paint(tiles, texts, margins=(above, 0, line, line)))
    return np.vstack([*painted, np.full((line, painted[0].shape[1], 3), 255, dtype=np.uint8)])
