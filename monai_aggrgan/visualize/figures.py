"""Pictures of finished images: the paper's Fig. 3 and contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.visualize.flat_images import flat_images
from monai_aggrgan.visualize.mosaic import BORDER, Text, line_height, lines_of, mosaic, paint, width_of

__all__ = ["ORIGINAL", "contact_sheet", "labelled_rows", "method_figure"]

ORIGINAL = "Original"


def method_figure(images: Mapping[str, Mapping[str, Tensor]], *, title: str = "") -> NDArray[np.uint8]:
    """One row a class and one column a method, the real reference rightmost, as the paper's Fig. 3.

    Args:
        images: class name -> column label -> image (1, H, W) in [0, 1]. Columns stand in the order in which their
            labels first appear, `ORIGINAL` always last; where a class lacks a method the place stays empty.
        title: a line above.

    Returns:
        The picture (height, width, 3), each image enlarged by the same whole number.

    Raises:
        ValueError: when there is no image, or images differ in shape.
    """
    labels = dict.fromkeys(label for of_class in images.values() for label in of_class)
    columns = sorted(labels, key=lambda label: label == ORIGINAL)
    grid = [[of_class.get(column) for column in columns] for of_class in images.values()]
    return _labelled(mosaic(grid, size=256), title=title, rows=list(images), columns=columns, font=23)


def contact_sheet(images: Tensor, *, columns: int = 8, title: str = "") -> NDArray[np.uint8]:
    """Images (N, 1, H, W) in [0, 1] side by side, row by row; of volumes the middle slices, signals as `flat_images`.

    Returns:
        The picture (height, width, 3), each image enlarged by the same whole number.

    Raises:
        ValueError: when there is no image, images have another shape, or `columns` is less than 1.

    Example:
        >>> import torch
        >>> contact_sheet(torch.rand(6, 1, 8, 8)).shape[-1]  # red, green, blue
        3
    """
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    cells = [*flat_images(images), *[None] * (-len(images) % columns)]
    grid = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    return _labelled(mosaic(grid, size=128), title=title, rows=[], columns=[], font=18)


def labelled_rows(
    rows: Sequence[tuple[str, Sequence[Tensor]]], *, columns: Sequence[str] = (), title: str = ""
) -> NDArray[np.uint8]:
    """Rows of images with a label at the left of each, lying, its first line black and those below it grey.

    Args:
        rows: label, whose lines end in newlines, and images (1, H, W) in [0, 1]; a short row is empty at its end.
        columns: labels above the columns.
        title: a line above.

    Returns:
        The picture (height, width, 3), each image enlarged by the same whole number.

    Raises:
        ValueError: when there is no image, or images differ in shape.
    """
    font, small = 18.0, 15.0
    longest = max((len(images) for _, images in rows), default=0)
    tiles = mosaic([[*images, *[None] * (longest - len(images))] for _, images in rows], size=128)
    line, height, width = line_height(font), len(tiles) // len(rows), tiles.shape[1] / longest
    labels = [label.split("\n") for label, _ in rows]
    left = 2 * line + max(width_of(label, font=font) for label in labels)
    titles = lines_of(title, font=font, width=left + tiles.shape[1])
    above = line * (1 + len(titles) + bool(columns))
    texts = [Text(titles, line - left, line / 2 - above, font, "left", "top")]
    texts += [Text([name], (index + 0.5) * width, 0, small, down="bottom") for index, name in enumerate(columns)]
    for index, lines in enumerate(labels):
        top = (index + 0.5) * height - len(lines) * line / 2
        for number, text in enumerate(lines):
            size, colour = (small, "dimgrey") if number else (font, "black")
            texts.append(Text([text], line - left, top + (number + 0.5) * line, size, "left", colour=colour))
    return paint(tiles, texts, margins=(above, line, left, line))


def _labelled(
    tiles: NDArray[np.float32], *, title: str, rows: Sequence[str], columns: Sequence[str], font: float
) -> NDArray[np.uint8]:
    """A mosaic with a title above and labels beside its rows and above its columns."""
    height, width = tiles.shape
    line = line_height(font)
    titles = lines_of(title, font=font, width=width)
    headers = [lines_of(label, font=font, width=width / len(columns)) for label in columns]
    sides = [lines_of(label, font=font, width=height / len(rows)) for label in rows]
    above = line * (1 + len(titles) + max(map(len, headers), default=0))
    left = line * (1 + max(map(len, sides), default=0))
    texts = [Text(titles, BORDER, line / 2 - above, font, "left", "top")]
    for index, header in enumerate(headers):
        texts.append(Text(header, (index + 0.5) * width / len(columns), 0, font, down="bottom"))
    for index, side in enumerate(sides):
        texts.append(Text(side, -BORDER, (index + 0.5) * height / len(rows), font, "right", rotation=90))
    return paint(tiles, texts, margins=(above, line, left, line))
