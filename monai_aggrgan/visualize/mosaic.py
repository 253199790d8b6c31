"""Images side by side on white, enlarged by a whole number so that no pixel is distorted, and text around them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import wrap
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.visualize.canvas import open_canvas

__all__ = ["BORDER", "Text", "line_height", "lines_of", "mosaic", "paint", "width_of"]

BORDER = 4  # pixels of white around each image
DPI = 128  # a power of two, so that pixels -> inches -> pixels is exact
LETTER_WIDTH, LINE_HEIGHT = 0.6, 1.3  # in font sizes


@dataclass(frozen=True)
class Text:
    """Lines of text whose anchor, told by `across` and `down`, is `x`, `y` pixels from the mosaic's upper left."""

    lines: Sequence[str]
    x: float
    y: float
    font: float
    across: Literal["left", "center", "right"] = "center"
    down: Literal["top", "center", "bottom"] = "center"
    rotation: float = 0
    colour: str = "black"


def mosaic(grid: Sequence[Sequence[Tensor | None]], *, size: int, frame: float = 1) -> NDArray[np.float32]:
    """One array of images (1, H, W), each enlarged by the whole number that brings it nearest to `size` pixels.

    None leaves a place empty. A line of grey `frame`, one pixel wide, runs around each place.

    Raises:
        ValueError: when there is no image, images differ in shape, or are not (1, H, W).
    """
    shapes = {tuple(image.shape) for row in grid for image in row if image is not None}
    if len(shapes) != 1 or len(min(shapes)) != 3 or min(shapes)[0] != 1:
        raise ValueError(f"a picture needs images of one shape (1, H, W), got {sorted(shapes) or 'no image'}")
    _, height, width = shapes.pop()
    scale = max(1, round(size / max(height, width)))
    blank = np.ones((height, width), dtype=np.float32)
    arrays = [[blank if image is None else image[0].detach().cpu().float().numpy() for image in row] for row in grid]
    tiles = [[np.kron(array, np.ones((scale, scale), dtype=np.float32)) for array in row] for row in arrays]
    framed = [[np.pad(tile, 1, constant_values=frame) for tile in row] for row in tiles]
    return np.block([[np.pad(tile, BORDER - 1, constant_values=1) for tile in row] for row in framed])


def lines_of(label: str, *, font: float, width: float) -> list[str]:
    """Lines of about `width` pixels at most; `DCGAN-1 + style transfer` breaks before its plus."""
    letters = max(1, int(width / (LETTER_WIDTH * font)))
    return [line for part in label.replace(" + ", "\n+ ").splitlines() for line in wrap(part, letters)]


def width_of(lines: Sequence[str], *, font: float) -> int:
    """Pixels that the longest of some lines needs."""
    _, canvas = open_canvas(dpi=DPI)
    from matplotlib.font_manager import FontProperties

    renderer = canvas.get_renderer()
    properties = FontProperties(size=font * 72 / DPI)
    return ceil(max((renderer.get_text_width_height_descent(line, properties, False)[0] for line in lines), default=0))


def line_height(font: float) -> int:
    """Pixels from one line to the next."""
    return round(LINE_HEIGHT * font)


def paint(
    tiles: NDArray[np.float32], texts: Sequence[Text], *, margins: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """The picture (height, width, 3) of a mosaic in [0, 1] with margins above, below, left and right, and texts."""
    above, below, left, right = margins
    canvas = np.pad(tiles, ((above, below), (left, right)), constant_values=1)
    height, width = canvas.shape
    figure, agg = open_canvas(figsize=(width / DPI, height / DPI), dpi=DPI)
    greys = np.rint(canvas.clip(0, 1) * 255).astype(np.uint8)
    figure.figimage(np.stack([greys] * 3, axis=-1), origin="upper")  # a colormap would be one grey off here and there
    for text in texts:
        figure.text(
            left + text.x,
            height - above - text.y,
            "\n".join(text.lines),
            transform=None,  # pixels from the lower left
            fontsize=text.font * 72 / DPI,
            ha=text.across,
            va=text.down,
            multialignment="center" if text.rotation else text.across,
            rotation=text.rotation,
            color=text.colour,
            parse_math=False,
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a name in other letters shows as boxes
        agg.draw()
    return np.asarray(agg.buffer_rgba(), dtype=np.uint8)[..., :3].copy()
