from __future__ import annotations

import math
import re

import pytest
import torch

from monai_aggrgan.evaluation.audit_rule import (
    ALIKE,
    AUDIT_RULE,
    CERTAIN,
    COPY,
    FEW,
    FEW_CLOSENESS,
    FEW_SSIM,
    LIMIT,
    MARGIN,
    NEIGHBOURS,
    QUANTILE,
    Flags,
    closeness_limit,
    ssim_limit,
    verdict,
)
from monai_aggrgan.evaluation.near_duplicates import SMALLEST
from monai_aggrgan.metrics.resampling import Interval


def flags(*, total: int, copies: int = 0, near: int = 0) -> Flags:
    rows = torch.arange(total)
    return Flags(rows < copies, rows < copies, {"pixels": rows < near})


def test_limits_are_those_of_the_formula() -> None:
    held_out = torch.linspace(0.5, 0.8, 101, dtype=torch.float64)
    assert ssim_limit(held_out, likeness_known=False) == pytest.approx(0.9)
    assert ssim_limit(held_out, likeness_known=True) == 0.98
    assert closeness_limit(held_out, spaces=1) == pytest.approx(0.9 * held_out[2])
    assert closeness_limit(held_out, spaces=2) == pytest.approx(0.9 * held_out[1])
    assert closeness_limit(torch.zeros(50, dtype=torch.float64), spaces=1) == 1e-6
    assert ssim_limit(torch.ones(50, dtype=torch.float64), likeness_known=True) < 1


@pytest.mark.parametrize("count", [0, 1, FEW - 1])
def test_only_stronger_evidence_counts_where_held_out_images_are_few(count: int) -> None:
    held_out = torch.full((count,), 0.7, dtype=torch.float64)
    assert ssim_limit(held_out, likeness_known=False) == 0.9
    assert closeness_limit(held_out, spaces=1) == 0.5
    assert closeness_limit(torch.full((FEW,), 0.7, dtype=torch.float64), spaces=1) == pytest.approx(0.63)


@pytest.mark.parametrize(
    ("copies", "near", "low", "usual", "expected"),
    [
        (0, 0, 0.0, 0.0, "pass"),
        (1, 0, 0.0, 0.0, "fail"),
        (0, 15, 0.09, 0.0, "pass"),
        (0, 16, 0.10, 0.0, "fail"),
        (0, 16, 0.10, 0.10, "pass"),
        (0, 16, math.nan, 0.10, "fail"),
    ],
)
def test_a_set_fails_by_a_copy_or_by_many_flags(copies, near, low, usual, expected) -> None:
    share = Interval(max(copies, near) / 100, low, 0.9)
    told, detail = verdict(flags(total=100, copies=copies, near=near), share, usual=usual, held_out=50)
    assert told == expected
    assert ("1 of 100 images is a copy" in detail) == (copies == 1)
    assert ("more than the limit" in detail) == (near > 0 and expected == "fail")
    assert ("within the limit" in detail) == (near <= 15)
    assert ("above the limit, but not clearly" in detail) == (near > 15 and expected == "pass")
    assert "weak" not in detail
    assert "weak" in verdict(flags(total=9), share, usual=0, held_out=19)[1]


def test_the_rule_tells_every_number_of_the_code() -> None:
    numbers = (
        COPY,
        ALIKE,
        CERTAIN,
        f"{LIMIT:.0%}",
        MARGIN,
        f"{QUANTILE:.0%}",
        NEIGHBOURS,
        FEW,
        FEW_CLOSENESS,
        FEW_SSIM,
    )
    for number in (*numbers, SMALLEST):
        assert re.search(rf"(?<![\d.]){re.escape(str(number))}(?![\d])", AUDIT_RULE), number


def test_what_flagged_an_image_is_said() -> None:
    some = Flags(
        torch.tensor([True, False, False, False]),
        torch.tensor([True, True, False, False]),
        {"vgg19": torch.tensor([True, False, True, False]), "pixels": torch.tensor([False, False, True, False])},
    )
    expected = ["a copy once aligned; close in vgg19", "alike once aligned", "close in vgg19; close in pixels", ""]
    assert [some.why(row) for row in range(4)] == expected
    assert some.flagged.tolist() == [True, True, True, False]
