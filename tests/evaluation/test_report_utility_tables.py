"""Tables of classifiers: every value where it belongs."""

from __future__ import annotations

from typing import Any

from monai_aggrgan.evaluation.report_blocks import Cell
from monai_aggrgan.evaluation.report_utility_tables import (
    MANY,
    case_of,
    condition_of,
    differences_table,
    measures_table,
)
from monai_aggrgan.evaluation.utility_verdicts import NOT_SMALL


def measured(metric: str, value: str, **more: Any) -> dict[str, str]:
    place = {"classifier": "a", "label": "A", "protocol": "patient", "case": "3a", "arm": "real", "count": "0"}
    numbers = {"value": value, "low": "0.5", "high": "0.9", "n": "610", "patients": "47", "seeds": "5"}
    return {**place, "test": "real", "metric": metric, **numbers, **more}


def difference(**more: str) -> dict[str, str]:
    place = {"classifier": "a", "label": "A", "part": "cases", "protocol": "patient", "question": "3b - 3a"}
    sides = {"first": "real + 3 synthetic", "second": "real", "metric": "balanced_accuracy"}
    numbers = {"difference": "0.0312", "low": "0.01", "high": "0.05", "p": "0.0004", "p_holm": "0.0012"}
    return {**place, **sides, **numbers, "verdict": "better", **more}


def test_measures_stand_in_a_row_a_condition_and_a_group_a_classifier_and_split() -> None:
    rows = [
        measured("accuracy", "0.8"),
        measured("calibration_error", "0.1", low="", high=""),
        measured("accuracy", "0.85", case="3b", arm="synthetic", count="300", patients=""),
        measured("accuracy", "0.95", protocol="slice"),
        measured("accuracy", "0.6", label="B", classifier="b"),
    ]
    table = measures_table(rows, label="L", by=case_of, folded="All")
    assert [(column.heading, column.better) for column in table.columns] == [
        ("Accuracy", "higher"),
        ("Calibration error", "lower"),
        ("Test images", ""),
    ]
    assert [name for name, _ in table.groups] == [
        "A. Split by patient",
        "A. Split by slice (the paper's)",
        "B. Split by patient",
    ]
    first, second = table.groups[0][1]
    assert first.heading == "3a: real" and second.heading == "3b: real + synthetic"
    assert first.cells == [Cell("80.0", "[50.0, 90.0]"), Cell("10.0"), Cell("610", "47 patients")]
    assert second.cells == [Cell("85.0", "[50.0, 90.0]"), Cell(""), Cell("610")]
    assert table.folded == "All (4 rows)"


def test_the_curve_names_numbers_a_class() -> None:
    assert condition_of(measured("accuracy", "1", arm="synthetic", count="300")) == "real + 300 synthetic a class"
    assert condition_of(measured("accuracy", "1")) == "real alone"


def test_differences_have_points_both_p_values_and_a_marked_verdict() -> None:
    rows = [difference(), difference(label="B", verdict="cannot tell"), difference(verdict="worse", protocol="slice")]
    table = differences_table(rows, label="L")
    assert [column.heading for column in table.columns] == ["Difference (points)", "p", "p, Holm", "Verdict"]
    assert [(name, [row.heading for row in lines]) for name, lines in table.groups] == [
        ("A", ["real + 3 synthetic against real", "real + 3 synthetic against real, split by slice"]),
        ("B", ["real + 3 synthetic against real"]),
    ]
    cells = table.groups[0][1][0].cells
    assert cells == [Cell("+3.1", "[+1.0, +5.0]"), Cell("< 0.001"), Cell("0.001"), Cell("better", mark="good")]
    assert [lines[-1].cells[-1].mark for _, lines in table.groups] == ["bad", "open"]


def test_differences_of_several_measures_name_them() -> None:
    rows = [difference(part="minority", protocol="minority", metric=name) for name in ("recall b", "balanced_accuracy")]
    table = differences_table(rows, label="L")
    assert [row.cells[0].text for row in table.groups[0][1]] == ["Recall: b", "Balanced accuracy"]


def test_many_differences_are_folded() -> None:
    folded = [differences_table([difference()] * count, label="L").folded for count in (MANY, MANY + 1)]
    assert folded == ["", f"L ({MANY + 1})"]


def test_why_there_is_no_verdict_stands_below_it_unless_p_tells() -> None:
    rows = [difference(verdict="cannot tell", reason=reason) for reason in ("2 trainings each", NOT_SMALL, "")]
    ((_, lines),) = differences_table(rows, label="L").groups
    assert [line.cells[-1] for line in lines] == [
        Cell("cannot tell", "(2 trainings each)", mark="open"),
        *[Cell("cannot tell", mark="open")] * 2,
    ]
