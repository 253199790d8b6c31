"""Where the dots and bars of the charts lie."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest

from monai_aggrgan.evaluation.report_charts import dot_chart, histogram

NAN = math.nan
ROWS = [("A", 0.2, 0.1, 0.3, False), ("B + style transfer", 0.4, NAN, NAN, False), ("Real (x)", 0.0, -0.1, 0.1, True)]


def test_dots_lie_at_their_values_on_the_axis() -> None:
    chart = dot_chart(ROWS, title="a", of="KID")
    assert chart is not None
    places = {float(tick.text): tick.x for tick in chart.ticks}
    assert places[0.0] < places[max(places)]
    scale = (places[max(places)] - places[0.0]) / max(places)
    for dot, (_, value, low, high, _) in zip(chart.dots, ROWS, strict=True):
        assert dot.x == pytest.approx(places[0.0] + scale * value, abs=0.2)
        assert dot.low == pytest.approx(places[0.0] + scale * (value if math.isnan(low) else low), abs=0.2)
        assert dot.high == pytest.approx(places[0.0] + scale * (value if math.isnan(high) else high), abs=0.2)
    assert all(chart.left < dot.low <= dot.x <= dot.high < chart.width for dot in chart.dots)
    assert [dot.label for dot in chart.dots] == ["A", "B + style", "Real against real"]
    assert chart.band == (chart.dots[2].low, chart.dots[2].high) and chart.line == chart.dots[2].x


def test_what_lies_far_out_is_told_in_figures_so_that_the_others_can_be_told_apart() -> None:
    rows = [(str(value), value, 0.9 * value, 1.1 * value, value == 0.1) for value in (0.1, 1.0, 2.0, 3.0, 1200.0)]
    chart = dot_chart(rows, title="a", of="KID")
    assert chart is not None
    assert [dot.beyond for dot in chart.dots] == ["", "", "", "", "1,200"]
    places = [dot.x for dot in chart.dots]
    assert places == sorted(places) and min(b - a for a, b in pairwise(places[:4])) > 20
    assert max(places) < chart.width and "1,200 [1,080, 1,320]" in chart.dots[-1].text


def test_a_chart_says_in_words_what_it_shows() -> None:
    chart = dot_chart(ROWS, title="a", of="KID")
    assert chart is not None
    assert chart.words.startswith("a: KID") and "A 0.2 [0.1, 0.3]; B + style transfer 0.4;" in chart.words


def test_rows_without_a_value_are_left_out_and_without_any_there_is_no_chart() -> None:
    chart = dot_chart([("A", NAN, NAN, NAN, False), ("B", 1.0, NAN, NAN, False)], title="a", of="KID")
    assert chart is not None and [dot.label for dot in chart.dots] == ["B"]
    assert chart.band is None and chart.line is None
    assert dot_chart([("A", NAN, NAN, NAN, True)], title="a", of="KID") is None


@pytest.mark.parametrize("values", [(0.0,), (1e-6, 3e-6), (-5.0, 1234.5), (0.31, 0.32), (7.0,)])
def test_ticks_are_few_and_enclose_every_value(values: tuple[float, ...]) -> None:
    chart = dot_chart([(str(value), value, NAN, NAN, False) for value in values], title="", of="")
    assert chart is not None
    ticks = [float(tick.text) for tick in chart.ticks]
    assert 2 <= len(ticks) <= 6 and ticks == sorted(set(ticks))
    assert ticks[0] <= min(*values, 0) and ticks[-1] >= max(*values, 0)


def test_a_histogram_is_as_high_as_its_shares() -> None:
    chart = histogram([0.25] * 3 + [0.75], [0.75] * 2, title="a", axis="SSIM", name="Mine")
    assert chart is not None
    heights = [[float(y) for y in re.findall(r"V([\d.]+)H", path)] for path in (chart.judged, chart.real)]
    floor = max(heights[0])
    judged, real = ([floor - y for y in ys] for ys in heights)
    assert sorted(h for h in judged if h) == pytest.approx([30.0, 90.0])  # shares 1/4 and 3/4 of the highest, 1
    assert [h for h in real if h] == pytest.approx([120.0])
    assert "Mine: median 0.25" in chart.words and "real held-out images: median 0.75" in chart.words


def test_without_either_side_there_is_no_histogram() -> None:
    assert histogram([], [0.5], title="", axis="", name="") is None
    assert histogram([0.5], [NAN], title="", axis="", name="") is None
