"""Matplotlib's figures without a window; Matplotlib is imported when the first one is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monai_aggrgan.extras import require

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

__all__ = ["open_canvas"]


def open_canvas(**options: Any) -> tuple[Figure, FigureCanvasAgg]:
    """A figure and the canvas on which it is drawn in memory.

    Args:
        options: of `matplotlib.figure.Figure`.

    Raises:
        InputError: when Matplotlib is not installed.
    """
    require("report", wanted_for="Drawing")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(**options)
    return figure, FigureCanvasAgg(figure)
