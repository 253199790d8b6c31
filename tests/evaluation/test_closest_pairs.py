"""Which pairs are the closest."""

from __future__ import annotations

import pytest

from monai_aggrgan.evaluation.closest_pairs import closest_pairs
from monai_aggrgan.exceptions import InputError


def test_closest_pairs_are_the_most_alike_first():
    rows = [
        {"method": "a", "ssim": "0.5", "pixels_closeness": "0.2"},
        {"method": "real", "ssim": "0.99", "pixels_closeness": "0"},
        {"method": "b", "ssim": "0.7", "pixels_closeness": "0.9"},
        {"method": "c", "ssim": "0.6", "pixels_closeness": "1e-05"},
    ]
    assert [row["method"] for row in closest_pairs(rows)] == ["b", "c", "a"]
    assert [row["method"] for row in closest_pairs(rows, by="pixels", count=2)] == ["c", "a"]
    with pytest.raises(InputError, match="by 'vgg19': choose from ssim, likeness, pixels"):
        closest_pairs(rows, by="vgg19")


def test_by_likeness_flagged_images_come_first_and_small_images_go_by_ssim():
    rows = [
        {"method": name, "ssim": ssim, "likeness": likeness, "flagged": flagged}
        for name, ssim, likeness, flagged in (
            ("a", "0.9", "0.1", ""),
            ("b", "0.2", "0.5", ""),
            ("c", "0.3", "0.2", "yes"),
            ("d", "0.1", "0.7", "yes"),
        )
    ]
    assert [row["method"] for row in closest_pairs(rows, by="likeness")] == ["d", "c", "b", "a"]
    small = [row | {"likeness": ""} for row in rows]
    assert [row["method"] for row in closest_pairs(small, by="likeness", count=3)] == ["c", "d", "a"]
