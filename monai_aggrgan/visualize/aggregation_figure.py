"""How one synthetic image was merged from its candidates, as the paper's Fig. 8."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.visualize.mosaic import BORDER, Text, line_height, lines_of, mosaic, paint, width_of

__all__ = ["aggregation_figure"]

COLUMNS = ("Candidate", "Edges (Sobel)", "Smoothed (Gaussian)", "Weight")
END_COLUMNS = {"result": "Merged", "styled": "Styled", "reference": "Reference"}
STRENGTHS = ("edges", "smoothed")
ARROW = "\N{RIGHTWARDS ARROW}"
SIZE, FONT = 256, 23  # pixels of an image and of a letter
GAP = 3 * FONT  # pixels of white before each image at the right
FRAME = 0.7  # grey of the line around each image: weights may be white up to the border
ROUNDING = 1e-3  # a quarter of a grey level: a convolution may leave -1e-9 where there is no edge


def aggregation_figure(
    *,
    candidates: Tensor,
    edges: Tensor,
    smoothed: Tensor,
    weights: Tensor,
    result: Tensor,
    reference: Tensor,
    labels: Sequence[str],
    styled: Tensor | None = None,
    title: str = "",
) -> NDArray[np.uint8]:
    """One row a candidate, from its image to its weights; at the right what they were merged to and the real image.

    Edges and smoothed edges are divided by their largest value in any of the candidates, so that rows compare; all
    else is black at 0 and white at 1. The value that is shown white stands below each column.

    Args:
        candidates: images (K, 1, H, W) in [0, 1], K of at least 1.
        edges: edge strength (K, 1, H, W), 0 or more.
        smoothed: smoothed edge strength (K, 1, H, W), 0 or more.
        weights: share of each candidate in each pixel, (K, 1, H, W) in [0, 1].
        result: the merged image (1, H, W) in [0, 1].
        reference: the real image (1, H, W) in [0, 1] that the candidates were selected by.
        labels: one a candidate, such as `DCGAN-1, seed 17, SSIM 0.432`; a comma ends a line.
        styled: the merged image after style transfer, (1, H, W) in [0, 1].
        title: a line above.

    Returns:
        The picture (height, width, 3), each image enlarged by the same whole number.

    Raises:
        ValueError: when shapes do not match, values are outside their range, or there is not one label a candidate.
    """
    if candidates.ndim != 4 or candidates.shape[1] != 1 or candidates.numel() == 0:
        raise ValueError(f"candidates must be (K, 1, H, W) with K at least 1, got shape {tuple(candidates.shape)}")
    if len(labels) != len(candidates):
        raise ValueError(f"labels must be one a candidate, {len(candidates)}, got {len(labels)}")
    images = {"candidates": candidates, "edges": edges, "smoothed": smoothed, "weights": weights}
    ends = {"result": result, "reference": reference} | ({} if styled is None else {"styled": styled})
    for name, image in (images | ends).items():
        _check(name, image, shape=candidates.shape if name in images else candidates.shape[1:])

    whites = [max(0.0, float(image.max())) if name in STRENGTHS else 1.0 for name, image in images.items()]
    columns = [image / (white or 1) for image, white in zip(images.values(), whites, strict=True)]
    return _laid_out(
        mosaic([list(row) for row in zip(*columns, strict=True)], size=SIZE, frame=FRAME),
        {END_COLUMNS[name]: mosaic([[ends[name]]], size=SIZE, frame=FRAME) for name in END_COLUMNS if name in ends},
        labels=labels,
        notes=[f"white is {white:.2g}" if white else "0 everywhere" for white in whites],
        title=title,
    )


def _check(name: str, images: Tensor, *, shape: Sequence[int]) -> None:
    if tuple(images.shape) != tuple(shape):
        raise ValueError(f"{name} must be {tuple(shape)}, as the candidates are, got shape {tuple(images.shape)}")
    low, high = float(images.min()), float(images.max())
    limit = sys.float_info.max if name in STRENGTHS else 1 + ROUNDING
    if not -ROUNDING <= low <= high <= limit:  # so that NaN is refused too
        allowed = "finite and at least 0" if name in STRENGTHS else "in [0, 1]"
        raise ValueError(f"{name} must be {allowed}, got values from {low:g} to {high:g}")


def _laid_out(
    steps: NDArray[np.float32],
    ends: Mapping[str, NDArray[np.float32]],
    *,
    labels: Sequence[str],
    notes: Sequence[str],
    title: str,
) -> NDArray[np.uint8]:
    """The mosaic of steps, at its right the ends half-way down, an arrow before all but the last, and text around."""
    line, height, width = line_height(FONT), steps.shape[0] // len(labels), steps.shape[1] // len(COLUMNS)
    lower = (steps.shape[0] - height) // 2
    around = ((lower, steps.shape[0] - height - lower), (GAP, 0))
    tiles = np.hstack([steps, *(np.pad(end, around, constant_values=1) for end in ends.values())])

    middles = [(index + 0.5) * width for index in range(len(COLUMNS))]
    beyond = [steps.shape[1] + (index + 1) * GAP + (index + 0.5) * width for index in range(len(ends))]
    places = [*zip(COLUMNS, middles, repeat(0)), *zip(ends, beyond, repeat(lower))]
    headings = [Text(lines_of(name, font=FONT, width=width), x, y, FONT, down="bottom") for name, x, y in places]
    below = [
        Text([note], x, steps.shape[0] + BORDER, 0.8 * FONT, down="top", colour="dimgrey")
        for note, x in zip(notes, middles, strict=True)
    ]
    arrows = [Text([ARROW], x - (width + GAP) / 2, steps.shape[0] / 2, 2 * FONT) for x in beyond[:-1]]
    sides = [lines_of(label.replace(", ", "\n"), font=FONT, width=width) for label in labels]
    left = [Text(side, -line / 2, (row + 0.5) * height, FONT, "right") for row, side in enumerate(sides)]
    titles = lines_of(title, font=FONT, width=steps.shape[1])
    above = line * (1 + len(titles) + max(len(heading.lines) for heading in headings))
    return paint(
        tiles,
        [Text(titles, BORDER, line / 2 - above, FONT, "left", "top"), *headings, *below, *arrows, *left],
        margins=(above, 2 * line, 3 * line // 2 + max(width_of(side, font=FONT) for side in sides), line),
    )
