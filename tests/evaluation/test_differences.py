"""Differences at the same reference, clustered by the patient of the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_aggrgan.evaluation.differences import PairedDifferences, signed
from monai_aggrgan.metrics import Interval, mean_interval


def rows_of(method: str, values: list[float], patients: list[str] | None = None) -> list[dict[str, str]]:
    return [
        {"class_name": "a", "method": method, "reference": f"r{i}", "x": repr(float(v)), "patient": p}
        for i, (v, p) in enumerate(zip(values, patients or [""] * len(values), strict=True))
    ]


def test_the_same_references_are_compared_whatever_the_order() -> None:
    rows = [*rows_of("one", [1, 2, 9])[::-1], *rows_of("two", [0.5, 1.5, 8.5, 100])]
    differences = PairedDifferences(rows)
    assert differences.over("a", "one", "two", "x") == pytest.approx((0.5, 0.5, 0.5))
    assert differences.over("a", "two", "one", "x") == pytest.approx((-0.5, -0.5, -0.5))
    assert differences.over("a", "one", 1.0, "x").mean == pytest.approx(3)
    assert differences.mean("a", "one", "x").mean == pytest.approx(4)
    assert differences.classes == ["a"] and differences.has("a", "two") and not differences.has("b", "two")


def test_clusters_are_the_patients_of_the_references_for_real_rows_too() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=6), 3)
    patients = [f"p{i // 3}" for i in range(18)]
    rows = rows_of("one", [0] * 18, patients) + rows_of("real", list(values), [f"other{i}" for i in range(18)])
    differences = PairedDifferences(rows, seed=2)
    expected = mean_interval(values, np.arange(18) // 3, seed=2)
    assert differences.over("a", "real", "one", "x") == pytest.approx(expected)
    mean, low, high = differences.over("a", "one", "real", "x")
    assert (-mean, -high, -low) == pytest.approx(tuple(expected), abs=1e-9)


def test_nothing_in_common_has_no_difference() -> None:
    differences = PairedDifferences(rows_of("one", [1, math.inf]))
    assert all(math.isnan(number) for number in differences.over("a", "one", "two", "x"))
    assert all(math.isnan(number) for number in differences.over("b", "one", 0.0, "x"))
    assert differences.over("a", "one", 0.0, "x").mean == 1  # infinite ones are left out


def test_differences_are_printed_with_their_sign() -> None:
    assert signed(Interval(0.0127, -0.0031, 0.5)) == "+0.013 [-0.003, +0.500]"
    assert signed(Interval(-1.5, math.nan, math.nan), digits=2) == "-1.50"
    assert signed(Interval(math.nan, math.nan, math.nan)) == "n/a"
