"""Panels of values with intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_aggrgan.visualize.panels import Look, draw_values, open_panels, render, share


def row(value: str, low: str = "", high: str = "") -> dict[str, str]:
    return {"value": value, "low": low, "high": high}


@pytest.mark.parametrize("text", ["", "n/a", "nan", "inf"])
def test_what_is_no_number_is_nan(text: str) -> None:
    assert math.isnan(share({"value": text}, "value")) and math.isnan(share({}, "value"))
    assert share({"value": "0.25"}, "value") == 25


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (3, 1, 3), (4, 2, 3), (7, 3, 3)])
def test_three_panels_a_row_at_most(count: int, rows: int, columns: int) -> None:
    figure, panels = open_panels([f"c{n}" for n in range(count)])
    assert len(panels) == count
    grid = panels[0].get_gridspec()
    assert grid is not None and (grid.nrows, grid.ncols) == (rows, columns)
    assert [axes.get_title() for axes in panels] == [f"c{n}" for n in range(count)]
    assert sum(axes.axison for axes in figure.axes) == count


def test_long_names_are_wrapped() -> None:
    _, panels = open_panels(["a classifier whose name does not end where it should"] * 3)
    lines = panels[0].get_title().split("\n")
    assert len(lines) > 1 and " ".join(lines) == "a classifier whose name does not end where it should"


def test_values_and_intervals_stand_where_they_should() -> None:
    _, (axes,) = open_panels(["a"])
    rows = [row("0.5", "0.4", "0.7"), row("n/a"), row("0.8", "", "0.9")]
    draw_values(axes, [1, 2, 3], rows, Look("x", "#000000", "o"))
    (container,) = axes.containers
    points, caps, (bars,) = container
    assert [np.isfinite(np.asarray(cap.get_ydata(), dtype=float)).sum() for cap in caps] == [1, 1]
    assert points.get_xdata().tolist() == [1, 3] and points.get_ydata().tolist() == pytest.approx([50, 80])
    segments = [segment for segment in bars.get_segments() if not np.isnan(segment).any() and len(segment)]
    assert len(segments) == 1 and segments[0] == pytest.approx(np.array([[1, 40], [1, 70]]))
    draw_values(axes, [1], [row("")], Look("y", "#000000", "o"))
    assert len(axes.containers) == 1


def test_the_axis_shows_all_values_intervals_and_what_guessing_gives() -> None:
    figure, (axes,) = open_panels(["a"])
    rows = [row("0.6", "0.5", "0.7")]
    draw_values(axes, [0], rows, Look(r"recall of $\x$", "#0b5394", "o"))
    picture = render(figure, [axes], rows, level=25, below="x", upright="y")
    low, high = axes.get_ylim()
    assert low < 25 and 70 < high < 80
    assert picture.dtype == np.uint8 and picture.shape[2:] == (3,) and picture.min() < 50
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [r"recall of $\x$", "guessing"]


def test_without_a_level_there_is_no_line() -> None:
    figure, (axes,) = open_panels(["a"])
    rows = [row("0.6")]
    draw_values(axes, [0], rows, Look("x", "#0b5394", "o"))
    render(figure, [axes], rows, level=math.nan, below="x", upright="y")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x"] and axes.get_ylim()[0] > 50
