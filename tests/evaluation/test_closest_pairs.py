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
    with pytest.raises(InputError, match="by 'vgg19': choose from ssim, pixels"):
        closest_pairs(rows, by="vgg19")
