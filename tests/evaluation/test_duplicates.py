"""Groups of images with the same pixels, and where they stand."""

from __future__ import annotations

import pytest

from monai_aggrgan.evaluation.duplicates import (
    ACROSS,
    ACROSS_CLASSES,
    ACROSS_SPLIT,
    WITHIN,
    Duplicates,
    find_duplicates,
)


def rows(*images: str) -> list[dict[str, str]]:
    """Rows of images written `class section hash`, named by their place."""
    columns = ("class_name", "section", "sha256")
    return [{"id": str(i), **dict(zip(columns, image.split(), strict=True))} for i, image in enumerate(images)]


@pytest.mark.parametrize(
    ("other", "where"),
    [
        ("a training 1", WITHIN),
        ("b training 1", ACROSS_CLASSES),
        ("a held_out 1", ACROSS_SPLIT),
        ("b held_out 1", ACROSS),
    ],
)
def test_a_group_says_what_it_crosses(other: str, where: str) -> None:
    assert find_duplicates(rows("a training 1", "a training 2", other)) == [Duplicates(("0", "2"), where)]


def test_groups_come_in_the_order_of_their_first_images_and_hold_all_of_one_hash() -> None:
    found = find_duplicates(rows("a training 1", "a training 2", "a training 2", "a held_out 1", "a training 1"))
    assert found == [Duplicates(("0", "3", "4"), ACROSS_SPLIT), Duplicates(("1", "2"), WITHIN)]


def test_different_images_are_no_duplicates() -> None:
    assert find_duplicates(rows("a training 1", "a training 2", "b held_out 3")) == []
