"""What is counted for each class and side, and the table that says so."""

from __future__ import annotations

from typing import Any

import pytest

from monai_aggrgan.evaluation.data_rows import WIDTH, data_rows, number_text, range_text, table_text


def row(class_name: str = "a", section: str = "training", **columns: Any) -> dict[str, str]:
    """A manifest row, every value as text."""
    told = {"patient": "p-1", "height": 512, "width": 512, "spacing": "0.9x0.9", "low": 0.0, "high": 255.0, **columns}
    return {"class_name": class_name, "section": section, **{name: str(value) for name, value in told.items()}}


def test_classes_come_in_the_manifests_order_training_first() -> None:
    records = data_rows([row("b", "held_out"), row("a"), row("b"), row("b"), row("a", "held_out")])
    told = [(record["class_name"], record["section"], record["images"]) for record in records]
    assert told == [("b", "training", 2), ("b", "held_out", 1), ("a", "training", 1), ("a", "held_out", 1)]


def test_patients_are_counted_once_and_not_at_all_when_one_is_unknown() -> None:
    rows = [row(patient=name) for name in ("p-1", "p-2", "p-1")]
    assert data_rows(rows)[0]["patients"] == 2
    assert data_rows([*rows, row(patient="")])[0]["patients"] is None


def test_sizes_are_told_most_frequent_first_and_three_at_most() -> None:
    sides = [64] * 2 + [512] * 3 + [256] + [128] * 4 + [32]
    record = data_rows([row(height=side, width=side + 1) for side in sides])[0]
    assert record["sizes"] == "128x129 (4), 512x513 (3), 64x65 (2) and 2 more"
    assert data_rows([row(), row()])[0]["sizes"] == "512x512"


def test_spacing_covers_rows_and_columns_and_says_what_is_unknown() -> None:
    record = data_rows([row(spacing="0.9x0.7"), row(spacing="1.25x0.8"), row(spacing="")])[0]
    assert record["spacing"] == "0.7 .. 1.25 (1 unknown)"
    assert data_rows([row(spacing="")])[0]["spacing"] == "unknown"


def test_intensities_are_the_ends_and_the_medians() -> None:
    record = data_rows([row(low=low, high=high) for low, high in ((-5, 900), (0, 1200.5), (3, 4000))])[0]
    assert (record["low"], record["high"]) == (-5, 4000)
    assert (record["median_low"], record["median_high"]) == (0, 1200.5)


def test_a_side_without_images_is_told_as_such() -> None:
    record = data_rows([row()])[1]
    assert (record["section"], record["images"], record["patients"], record["low"]) == ("held_out", 0, 0, None)
    assert "held out" in table_text([record])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.4883, "0.488"), (1203.4, "1203"), (-1024, "-1024"), (0.0, "0"), (99.96, "100"), (12345, "12345")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number_text(value) == text


def test_a_range_of_one_number_is_that_number() -> None:
    assert range_text(0.9, 0.9001) == "0.9"
    assert range_text(-1024, 3071) == "-1024 .. 3071"


def test_the_table_reads_as_expected() -> None:
    rows = [row("glioma", patient="", low=0, high=4095), row("glioma"), row("glioma", "held_out", spacing="1x1")]
    assert table_text(data_rows(rows)).splitlines() == [
        "class   side      images  patients  size     spacing, mm  intensities  median",
        "-" * 80,
        "glioma  training       2   unknown  512x512  0.9          0 .. 4095    0 .. 2175",
        "        held out       1         1  512x512  1            0 .. 255     0 .. 255",
    ]


def test_the_table_never_gets_wider_than_a_terminal() -> None:
    name = "a_class_with_a_name_that_would_fill_half_a_terminal"
    sides = [64, 128, 1024, 2048, 2048]
    rows = [
        row(name, height=s, width=s, low=-123456, high=9876543, spacing=f"0.{s}x1") for s in sides for _ in range(9)
    ]
    lines = table_text(data_rows([*rows, row(name, spacing="")])).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert name in "".join(line[:16].strip() for line in lines)
    assert [line[46:64].strip() for line in lines[2:6]] == [
        "2048x2048 (18),",
        "64x64 (9),",
        "128x128 (9) and 2",
        "more",
    ]
