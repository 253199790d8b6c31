"""Panels of values with intervals, side by side, told apart by shape as well as by colour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_aggrgan.visualize.canvas import open_canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Look", "draw_values", "open_panels", "render", "share"]

DPI = 128
WIDTH, HEIGHT = 8.3, 2.7  # inches of a row of panels
WIDEST = {1: 5.8, 2: 4.15}  # inches of a panel where there are so few
ROW = 3  # panels of a row
LETTER = 0.066  # inches of a letter of a heading, about
ROOM = 4  # per cent above and below the values
GREY = "#545e69"


class Look(NamedTuple):
    """How values of one kind look; `line` joins them, `hollow` ones are of second rank."""

    label: str
    colour: str
    marker: str
    line: str = ""
    hollow: bool = False


def share(row: Mapping[str, str], column: str) -> float:
    """A share in [0, 1] of a row as per cent; NaN where it is missing, no number or not finite."""
    try:
        value = 100 * float(row.get(column, ""))
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def open_panels(names: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each name, three a row at most, all with the same vertical axis in per cent."""
    columns = min(ROW, len(names))
    rows = math.ceil(len(names) / columns)
    width = min(WIDTH, columns * WIDEST.get(columns, WIDTH))
    figure, _ = open_canvas(figsize=(width, HEIGHT * rows + 0.9), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    panels = list(grid.flat[: len(names)])
    for axes, name in zip(panels, names, strict=True):
        lines = wrap(name, int(width / columns / LETTER) - 6) or [""]
        axes.set_title("\n".join(lines), fontsize=8, parse_math=False)
        axes.tick_params(labelsize=7, labelleft=True)
        axes.grid(axis="y", linewidth=0.5, color="#dce1e6")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def draw_values(axes: Axes, places: Sequence[float], rows: Sequence[Mapping[str, str]], look: Look) -> None:
    """Draw `value` of each row at its place, with `low` to `high` where both are known; rows without are left out."""
    known = [(place, row) for place, row in zip(places, rows, strict=True) if math.isfinite(share(row, "value"))]
    if not known:
        return
    values = np.array([share(row, "value") for _, row in known])
    ends = np.array([[share(row, "low"), share(row, "high")] for _, row in known])
    reach = np.abs(ends - values[:, None]).T
    reach[:, np.isnan(reach).any(axis=0)] = np.nan
    axes.errorbar(
        [place for place, _ in known],
        values,
        yerr=reach,
        fmt=look.marker,
        linestyle=look.line or "none",
        color=look.colour,
        markerfacecolor="white" if look.hollow else look.colour,
        markersize=4 if look.hollow else 5,
        linewidth=0.8 if look.hollow else 1.2,
        capsize=2,
        label=look.label,
    )


def render(
    figure: Figure, panels: Sequence[Axes], rows: Sequence[Mapping[str, str]], *, level: float, below: str, upright: str
) -> NDArray[np.uint8]:
    """Give all panels an axis that shows every value and interval, add one legend and names of the axes, and draw.

    Args:
        figure: of `open_panels`, and so are `panels`.
        panels: of all classifiers.
        rows: all that was drawn.
        level: what guessing gives, in per cent: a dashed line; NaN draws none.
        below: name of the horizontal axis.
        upright: name of the vertical axis.

    Returns:
        The picture (height, width, 3).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    ends = [share(row, column) for row in rows for column in ("value", "low", "high")]
    low, high = np.nanmin([*ends, level]), np.nanmax([*ends, level])
    handles: dict[str, Any] = {}
    for axes in panels:
        axes.set_ylim(max(-2, low - ROOM), min(102, high + ROOM))
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        if math.isfinite(level):
            handles["guessing"] = axes.axhline(level, color=GREY, linewidth=1, linestyle="--")
    figure.supxlabel(below, fontsize=7.5, parse_math=False)
    figure.supylabel(upright, fontsize=7.5)
    columns = 3 if len(panels) > 1 else 2
    legend = figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", ncols=columns, fontsize=7.5, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()
