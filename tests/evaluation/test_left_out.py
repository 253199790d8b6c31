"""Reasons why files were left out, without names of files, folders or patients."""

from __future__ import annotations

import pytest

from monai_aggrgan.evaluation.left_out import left_out_reasons


def told(reason: str, source: str) -> str:
    (row,) = left_out_reasons([{"class_name": "glioma", "source": source, "reason": reason}])
    return row["reason"]


@pytest.mark.parametrize(
    ("source", "reason", "expected"),
    [
        ("a b.png", "a b.png is constant.", "The file is constant."),
        ("Doe_John/scan.nii.gz", "glioma/Doe_John/scan.nii.gz has 1 slice.", "The file has 1 slice."),
        ("Doe_John/scan.nii.gz", "scan.nii.gz of Doe_John is empty: remove it.", "The file of … is empty: remove it."),
        ("Jane Doe/x.dcm", "/data/set/Jane Doe/x.dcm cannot be read (bad): replace it.", None),
        (
            "Doe",
            "Doe/IM0002.dcm is 4x5 and Doe/IM0001.dcm 5x5: correct that.",
            "The file is 4x5 and the file 5x5: correct that.",
        ),
        ("Doe\\x.png", "Doe\\x.png is 3 colours, e.g. red; 0.5 of it.", "The file is 3 colours, e.g. red; 0.5 of it."),
        ("x.nii", "It has a mask, Roe_mask.nii.gz, of 3x3.", "It has a mask, …, of 3x3."),
        ("", "'Doe/x.png' is not there.", "'…' is not there."),
    ],
)
def test_reasons_keep_their_words_but_no_names(source: str, reason: str, expected: str | None) -> None:
    found = told(reason, source)
    assert not any(name in found for name in ("Doe", "Roe", ".png", ".dcm", ".nii", "IM0"))
    assert found == expected if expected else found.endswith("cannot be read (bad): replace it.")


def test_equal_reasons_of_a_class_are_counted_together() -> None:
    rows = [
        {"class_name": name, "source": f"{number}.png", "reason": f"{number}.png is constant."}
        for name, number in (("a", 1), ("a", 2), ("b", 3))
    ]
    rows.append({"class_name": "a", "source": "4.png", "reason": "4.png is empty."})
    counted = left_out_reasons(rows)
    assert counted == [
        {"class_name": "a", "count": 2, "reason": "The file is constant."},
        {"class_name": "b", "count": 1, "reason": "The file is constant."},
        {"class_name": "a", "count": 1, "reason": "The file is empty."},
    ]
    assert left_out_reasons(counted) == counted and left_out_reasons([]) == []
