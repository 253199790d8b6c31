"""Pictures of finished images: the paper's Fig. 3 and contact sheets, as PNG files with undistorted pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.data.manifest import whole_file

__all__ = ["ORIGINAL", "contact_sheet", "method_figure"]

ORIGINAL = "Original"
DPI = 128  # a power of two, so that pixels -> inches -> pixels is exact
BORDER = 4  # pixels of white around each image
LETTER_WIDTH, LINE_HEIGHT = 0.6, 1.3  # in font sizes

Grid = Sequence[Sequence["Tensor | None"]]


def method_figure(images: Mapping[str, Mapping[str, Tensor]], *, path: Path | str, title: str = "") -> None:
    """Write one row a class and one column a method, the real reference rightmost, as the paper's Fig. 3.

    Args:
        images: class name -> column label -> image (1, H, W) in [0, 1]. Columns stand in the order in which their
            labels first appear, `ORIGINAL` always last; where a class lacks a method the place stays empty.
        path: the PNG to write.
        title: a line above.

    Raises:
        ValueError: when there is no image, or images differ in shape.
    """
    labels = dict.fromkeys(label for of_class in images.values() for label in of_class)
    columns = sorted(labels, key=lambda label: label == ORIGINAL)
    grid = [[of_class.get(column) for column in columns] for of_class in images.values()]
    _write(_mosaic(grid, size=256), path=path, title=title, rows=list(images), columns=columns, font=23)


def contact_sheet(images: Tensor, *, path: Path | str, columns: int = 8, title: str = "") -> None:
    """Write images (N, 1, H, W) in [0, 1] side by side, row by row, as a PNG.

    Raises:
        ValueError: when there is no image, or `columns` is less than 1.
    """
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    cells = [*images, *[None] * (-len(images) % columns)]
    grid = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    _write(_mosaic(grid, size=128), path=path, title=title, rows=[], columns=[], font=18)


def _mosaic(grid: Grid, *, size: int) -> NDArray[np.float32]:
    """One array of all images, each enlarged by the whole number that brings it nearest to `size` pixels."""
    shapes = {tuple(image.shape) for row in grid for image in row if image is not None}
    if len(shapes) != 1:
        raise ValueError(f"a picture needs images of one shape (1, H, W), got {sorted(shapes) or 'no image'}")
    _, height, width = shapes.pop()
    scale = max(1, round(size / max(height, width)))
    blank = np.ones((height, width), dtype=np.float32)
    arrays = [[blank if image is None else image[0].detach().cpu().float().numpy() for image in row] for row in grid]
    tiles = [[np.kron(array, np.ones((scale, scale), dtype=np.float32)) for array in row] for row in arrays]
    return np.block([[np.pad(tile, BORDER, constant_values=1) for tile in row] for row in tiles])


def _write(
    mosaic: NDArray[np.float32],
    *,
    path: Path | str,
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    font: int,
) -> None:
    """Put a title and the labels of rows and columns around a mosaic; all lengths are in pixels."""
    height, width = mosaic.shape
    line, letter = round(LINE_HEIGHT * font), LETTER_WIDTH * font
    titles = _lines(title, int(width / letter))
    headers = [_lines(label, max(1, int(width / len(columns) / letter))) for label in columns]
    sides = [_lines(label, max(1, int(height / len(rows) / letter))) for label in rows]
    above = line * (1 + len(titles) + max(map(len, headers), default=0))
    left = line * (1 + max(map(len, sides), default=0))
    canvas = np.pad(mosaic, ((above, line), (left, line)), constant_values=1)

    figure = Figure(figsize=(canvas.shape[1] / DPI, canvas.shape[0] / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    greys = np.rint(canvas.clip(0, 1) * 255).astype(np.uint8)
    figure.figimage(np.stack([greys] * 3, axis=-1), origin="upper")  # a colormap would be one grey off here and there
    text = partial(figure.text, transform=None, fontsize=font * 72 / DPI, parse_math=False)  # pixels from lower left
    text(left + BORDER, canvas.shape[0] - line / 2, "\n".join(titles), va="top")
    for index, header in enumerate(headers):
        text(left + (index + 0.5) * width / len(columns), line + height, "\n".join(header), ha="center", va="bottom")
    for index, side in enumerate(sides):
        middle = line + height - (index + 0.5) * height / len(rows)
        text(left - BORDER, middle, "\n".join(side), rotation=90, ha="right", va="center", multialignment="center")
    with whole_file(path) as partial_path:
        figure.savefig(partial_path, format="png", dpi=DPI, metadata={"Software": None})


def _lines(label: str, letters: int) -> list[str]:
    """Lines of at most so many letters; `DCGAN-1 + style transfer` breaks before its plus."""
    return [line for part in label.replace(" + ", "\n+ ").splitlines() for line in wrap(part, letters)]
