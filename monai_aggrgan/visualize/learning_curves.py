"""Curves of trainings side by side: a row a class, a column a GAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from monai_aggrgan.visualize.canvas import open_canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Curve", "learning_curves"]

Curve = tuple[Sequence[float], Sequence[float]]
"""Places along the axis, such as iterations, and values there."""

DPI = 128
WIDTH, HEIGHT = 2.6, 1.9  # inches of one plot
STYLES = ("-", "--", ":", "-.")  # so that curves are told apart without colour
COLOURS = ("#0b5394", "#9a5b00", "#3d6b35", "#5b3a7a")


def learning_curves(
    curves: Mapping[str, Mapping[str, Mapping[str, Curve]]], *, along: str = "iteration"
) -> NDArray[np.uint8]:
    """Draw curves, each plot on axes of its own, since the losses of different GANs do not compare.

    Args:
        curves: row label -> column label -> name of the curve -> its points; values that are not finite leave a gap.
        along: name of the horizontal axis.

    Returns:
        The picture (height, width, 3).

    Raises:
        ValueError: when there is no curve, or places and values of one differ in number.
    """
    columns = list(dict.fromkeys(column for row in curves.values() for column in row))
    names = list(dict.fromkeys(name for row in curves.values() for plot in row.values() for name in plot))
    if not names:
        raise ValueError("curves must hold at least one curve, got none")
    size = (WIDTH * len(columns) + 0.5, HEIGHT * len(curves) + 0.6)
    figure, canvas = open_canvas(figsize=size, dpi=DPI, layout="constrained")
    grid = figure.subplots(len(curves), len(columns), squeeze=False)
    for axes_row, (row, plots) in zip(grid, curves.items(), strict=True):
        for axes, column in zip(axes_row, columns, strict=True):
            axes.set_title(f"{row}, {column}", fontsize=8, parse_math=False)
            for name, (places, values) in plots.get(column, {}).items():
                _draw(axes, name, places, values, number=names.index(name))
            axes.tick_params(labelsize=6)
            axes.spines[["top", "right"]].set_visible(False)
            if column not in plots:
                axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel(along, fontsize=7)
    handles = {handle.get_label(): handle for axes in grid.flat for handle in axes.get_lines()}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()


def _draw(axes: Axes, name: str, places: Sequence[float], values: Sequence[float], *, number: int) -> None:
    if len(places) != len(values):
        raise ValueError(f"a curve needs as many places as values, got {len(places)} and {len(values)} for {name}")
    style, colour = STYLES[number % len(STYLES)], COLOURS[number % len(COLOURS)]
    axes.plot(places, values, style, color=colour, linewidth=1, label=name)
