"""Each sentence comes when its cause is there, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from monai_aggrgan.evaluation.data_notices import FEW, IMBALANCE, data_notices
from monai_aggrgan.evaluation.data_rows import data_rows
from monai_aggrgan.evaluation.duplicates import ACROSS, ACROSS_CLASSES, ACROSS_SPLIT, WITHIN, Duplicates
from monai_aggrgan.evaluation.near_duplicates import NearDuplicate

Rows = list[dict[str, str]]


def rows(class_name: str = "a", *, training: int = FEW, **columns: Any) -> Rows:
    """Rows of a class with nothing amiss: known patients, one size, one spacing."""
    told = {"patient": "p-1", "fold": "", "height": 512, "width": 512, "spacing": "0.5x0.5", "low": 0, "high": 1}
    row = {"class_name": class_name, **{name: str(value) for name, value in {**told, **columns}.items()}}
    return [{**row, "section": "training"}] * training + [{**row, "section": "held_out"}] * 2


def notices(
    rows: Rows, *, duplicates: tuple[Duplicates, ...] = (), near: tuple[NearDuplicate, ...] = (), image_size: int = 128
) -> list[str]:
    return data_notices(rows, data_rows(rows), duplicates=duplicates, near_duplicates=near, image_size=image_size)


def test_nothing_is_said_of_data_without_fault() -> None:
    assert notices(rows("a") + rows("b", training=IMBALANCE * FEW - 1)) == []


@pytest.mark.parametrize(
    ("where", "texts"),
    [
        (ACROSS_SPLIT, ["1 image is on both sides of the split"]),
        (ACROSS_CLASSES, ["1 image is in several classes"]),
        (ACROSS, ["1 image is on both sides of the split", "1 image is in several classes"]),
        (WITHIN, ["Note: 2 images repeat another"]),
    ],
)
def test_duplicates_are_told_by_what_they_cross(where: str, texts: list[str]) -> None:
    found = notices(rows(), duplicates=(Duplicates(("a/0", "a/1", "a/2"), where),))
    assert len(found) == len(texts)
    for sentence, text in zip(found, texts, strict=True):
        assert sentence.startswith(text) and "duplicates.csv" in sentence


def test_near_duplicates_are_counted() -> None:
    pair = NearDuplicate("a", "a/0", "a/1", 0.7, False)
    (one,), (two,) = notices(rows(), near=(pair,)), notices(rows(), near=(pair, pair))
    assert one.startswith("1 held-out image shows nearly") and two.startswith("2 held-out images show nearly")


def test_unknown_patients_are_told_and_whether_folds_keep_them_apart() -> None:
    (torn,) = notices(rows() + rows(patient=""))
    assert torn.startswith(f"Patients are unknown for {FEW + 2} of {2 * FEW + 4} images, so that slices of one patient")
    folded = [{**row, "patient": "", "fold": "1" if row["section"] == "held_out" else "2"} for row in rows()]
    (kept,) = notices(folded)
    assert kept.endswith("only the folds keep them apart: name them (patient_id) if you can.")
    mixed = [{**row, "fold": "1"} for row in folded]  # patients drawn at random, though there are folds
    assert "too good" in notices(mixed)[0]


def test_small_classes_and_unequal_ones_are_named() -> None:
    (few,) = notices(rows("a", training=FEW - 1))
    assert few.startswith(f"There are few images in some classes ('a' {FEW - 1} training images)")
    (unequal,) = notices(rows("a") + rows("b") + rows("c", training=IMBALANCE * FEW))
    assert unequal.startswith(f"Class 'c' has {IMBALANCE * FEW} training images and 'a' {FEW}")


def test_scale_is_judged_by_the_field_of_view_where_spacing_is_known() -> None:
    assert notices(rows() + rows(height=256, width=256, spacing="1x1")) == []  # 256 mm both
    (other,) = notices(rows() + rows(height=256, width=200, spacing="0.8x0.9"))
    assert other.startswith("The slices are 205 .. 256 mm wide and were all resized to 128x128")
    (unknown,) = notices(rows(spacing="") + rows(spacing="", height=256))
    assert unknown.startswith(
        f"The slices come in 2 sizes, were all resized to 128x128, and the spacing of {2 * FEW + 4}"
    )


def test_small_images_are_not_searched_and_that_is_said() -> None:
    (sentence,) = notices(rows(), image_size=32)
    assert sentence.startswith("Note: images of 32 pixels")


def test_the_gravest_come_first() -> None:
    groups = tuple(Duplicates(("a/0", "a/1"), where) for where in (WITHIN, ACROSS_SPLIT))
    found = notices(rows(patient="", training=3), duplicates=groups)
    assert ["both sides" in found[0], found[1][:8], "'a'" in found[2], found[3][:4]] == [True, "Patients", True, "Note"]
