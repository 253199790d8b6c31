"""Geometry of the report's small charts: dots with intervals, and two histograms. The template only draws it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monai_aggrgan.evaluation.report_words import significant

__all__ = ["Dot", "DotChart", "Histogram", "Tick", "dot_chart", "histogram"]

WIDTH, LEFT, RIGHT = 340, 134, 16  # of a chart, of the names at its left, of the margin at its right; in CSS pixels
TOP, ROW, BELOW = 8, 21, 26
BINS, HEIGHT = 24, 120
FAR = 4  # times the end of an axis: what lies farther out is told in figures


@dataclass(frozen=True)
class Tick:
    """A place on the axis and what stands below it."""

    x: float
    text: str


@dataclass(frozen=True)
class Dot:
    """A method's value at (x, y) and the ends of its interval; `beyond` is the value where the axis ends before it."""

    label: str
    text: str
    x: float
    y: float
    low: float
    high: float
    real: bool
    beyond: str = ""


@dataclass(frozen=True)
class DotChart:
    """One row a method; the interval of the real row goes as a band through all rows, `band` None where it has none."""

    kind: ClassVar[str] = "dots"
    title: str
    words: str
    dots: Sequence[Dot]
    ticks: Sequence[Tick]
    band: tuple[float, float] | None
    line: float | None
    width: int
    height: int
    left: int


@dataclass(frozen=True)
class Histogram:
    """Two histograms on one axis: `real` filled, `judged` an outline, as SVG paths."""

    kind: ClassVar[str] = "histogram"
    title: str
    words: str
    judged: str
    real: str
    ticks: Sequence[Tick]
    width: int
    height: int
    axis: str


def dot_chart(
    rows: Sequence[tuple[str, float, float, float, bool]], *, title: str, of: str, digits: str = ""
) -> DotChart | None:
    """Lay out dots with intervals; None where no row has a finite value.

    Args:
        rows: label, value, low, high, whether it is the real row; NaN where there is no value or end.
        title: above the chart, such as the class.
        of: what is shown, for the words that describe the chart.
        digits: format of the values; "" gives three significant digits.
    """
    rows = [row for row in rows if math.isfinite(row[1])]
    if not rows:
        return None
    ends = [end for row in rows for end in row[1:4] if math.isfinite(end)]
    highest = _end_of_axis([row[1] for row in rows], max(0.0, *ends))
    ticks = _ticks(min(0.0, *ends), highest)
    place = _scale(ticks, left=LEFT + 8)
    dots = [
        Dot(
            label=_shortened(label),
            text=_told(value, low, high, digits),
            x=place(value),
            y=TOP + ROW * (index + 0.5),
            low=place(value if math.isnan(low) else low),
            high=place(value if math.isnan(high) else high),
            real=real,
            beyond=significant(value) if value > ticks[-1] else "",
        )
        for index, (label, value, low, high, real) in enumerate(rows)
    ]
    floor = next((dot for dot in dots if dot.real), None)
    return DotChart(
        title=title,
        words=_dot_words(rows, title=title, of=of, digits=digits),
        dots=dots,
        ticks=[Tick(place(value), f"{value:g}") for value in ticks],
        band=(floor.low, floor.high) if floor and floor.high > floor.low else None,
        line=floor.x if floor else None,
        width=WIDTH,
        height=TOP + ROW * len(dots) + BELOW,
        left=LEFT,
    )


def histogram(judged: Sequence[float], real: Sequence[float], *, title: str, axis: str, name: str) -> Histogram | None:
    """Lay out two histograms of shares on common bins; None where either has no finite value.

    Args:
        judged: values of the judged images.
        real: of the real ones.
        title: above the chart.
        axis: what the values are.
        name: of the judged images.
    """
    judged, real = ([value for value in values if math.isfinite(value)] for values in (judged, real))
    if not judged or not real:
        return None
    ticks = _ticks(min(*judged, *real), max(*judged, *real))
    edges = np.linspace(ticks[0], ticks[-1], BINS + 1)
    shares = [np.histogram(values, bins=edges)[0] / len(values) for values in (judged, real)]
    highest = max(float(share.max()) for share in shares)
    place = _scale(ticks, left=RIGHT)
    outlines = [_steps([place(float(edge)) for edge in edges], share / highest) for share in shares]
    quantiles = [[significant(float(q)) for q in np.quantile(values, [0.5, 0.95])] for values in (judged, real)]
    words = (
        f"{title}: histograms of {axis}. {name}: median {quantiles[0][0]}, 95 % below {quantiles[0][1]}; real held-out"
        f" images: median {quantiles[1][0]}, 95 % below {quantiles[1][1]}."
    )
    marks = [Tick(place(value), f"{value:g}") for value in ticks]
    return Histogram(title, words, outlines[0], outlines[1], marks, WIDTH, TOP + HEIGHT + BELOW, axis)


def _end_of_axis(values: Sequence[float], highest: float) -> float:
    """The highest value, unless few are so far out that the others could not be told apart."""
    most = 1.5 * float(np.quantile(values, 0.75))
    return most if 0 < FAR * most < highest else highest


def _steps(edges: Sequence[float], heights: NDArray[np.float64]) -> str:
    """SVG path of a histogram: up, along, down."""
    floor = TOP + HEIGHT
    parts = [f"M{edges[0]:.1f} {floor}"]
    for right, height in zip(edges[1:], heights, strict=True):
        parts.append(f"V{floor - HEIGHT * float(height):.1f}H{right:.1f}")
    return "".join([*parts, f"V{floor}"])


def _ticks(low: float, high: float) -> list[float]:
    """Round values, 3 to 6 of them, that enclose both."""
    span = (high - low) or abs(high) or 1.0
    size = 10 ** math.floor(math.log10(span / 3))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if span / (size * factor) <= 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * place, 12) for place in range(first, max(last, first + 1) + 1)]


def _scale(ticks: Sequence[float], *, left: float) -> Callable[[float], float]:
    """Where a value lies, in pixels."""
    factor = (WIDTH - RIGHT - left) / (ticks[-1] - ticks[0])
    return lambda value: round(left + (min(value, ticks[-1]) - ticks[0]) * factor, 1)


def _shortened(label: str) -> str:
    return "Real against real" if label.startswith("Real (") else label.replace(" + style transfer", " + style")


def _told(value: float, low: float, high: float, digits: str) -> str:
    texts = [format(number, digits) if digits else significant(number) for number in (value, low, high)]
    return texts[0] if math.isnan(low) or math.isnan(high) else f"{texts[0]} [{texts[1]}, {texts[2]}]"


def _dot_words(rows: Sequence[tuple[str, float, float, float, bool]], *, title: str, of: str, digits: str) -> str:
    told = "; ".join(f"{label} {_told(value, low, high, digits)}" for label, value, low, high, _ in rows)
    return f"{title}: {of}, a dot a method with its 95 % interval. {told}."
