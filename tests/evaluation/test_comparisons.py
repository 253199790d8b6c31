"""Verdicts from sides, and which methods the kinds of claims compare."""

from __future__ import annotations

import pytest

from monai_aggrgan.evaluation.comparisons import (
    Comparison,
    Methods,
    around,
    beats_base,
    beside_the_best,
    best,
    best_of_rivals,
    style,
    verdict_of,
)

METHODS = Methods(("a", "b"), ("x", "y"))


@pytest.mark.parametrize(
    ("sides", "wanted", "verdict"),
    [
        ([1, 1], "all", "holds"),
        ([1, 0], "all", "cannot be told"),
        ([1, -1], "all", "does not hold"),
        ([-1, 1], "any", "holds"),
        ([-1, 0], "any", "cannot be told"),
        ([-1, -1], "any", "does not hold"),
        ([1, 1, -1], "most", "holds"),
        ([1, 1, -1, -1], "most", "does not hold"),
        ([1, 0, -1], "most", "cannot be told"),
    ],
)
def test_verdicts(sides: list[int], wanted: str, verdict: str) -> None:
    assert verdict_of(sides, wanted) == verdict


def test_methods_with_style() -> None:
    assert METHODS.styled == ["a+style", "b+style"] and METHODS.base == ["a", "b", "a+style", "b+style"]


def test_the_best_is_compared_with_all_others_in_the_good_direction() -> None:
    found = best("aggrgan_ssim", ["ssim", "kl"])(METHODS)
    others = [*METHODS.base, "aggrgan_psnr"]
    assert found == [Comparison("aggrgan_ssim", o, m, s) for m, s in (("ssim", 1), ("kl", -1)) for o in others]
    assert best_of_rivals("x", ["kl"])(METHODS) == [
        Comparison("x", "y", "kl", -1),
        Comparison("x", "aggrgan_ssim", "kl", -1),
    ]
    assert len(beats_base(["p", "q"], ["ssim"])(METHODS)) == 8


def test_one_of_several_others_counts() -> None:
    (better,) = beside_the_best(["kl"], better=True)(METHODS)
    (worse,) = beside_the_best(["kl"], better=False)(METHODS)
    assert better.others == worse.others == ("x", "y") and (better.sign, worse.sign) == (-1, 1)
    assert Comparison("a", "b", "kl", 1).others == ("b",) and Comparison("a", 0.5, "kl", 1).others == (0.5,)


def test_style_and_bounds() -> None:
    assert style("sd", -1)(METHODS)[1] == Comparison("b+style", "b", "sd", -1)
    assert [(c.other, c.sign) for c in around(0.8)(METHODS)] == [(0.7, 1), (0.9, -1)]
