"""Names of conditions and numbers of classifiers."""

from __future__ import annotations

import pytest

from monai_aggrgan.evaluation.conditions import ARMS, CASES, MINORITY, PATIENT, SLICE, conditions
from monai_aggrgan.evaluation.utility_words import (
    ADDED,
    ALONE,
    PROTOCOLS,
    case_words,
    condition_words,
    ends,
    measure_words,
    points,
    probability,
)


def test_every_condition_has_words() -> None:
    assert set(PROTOCOLS) == {PATIENT, SLICE, MINORITY} and set(ADDED) == set(ARMS)
    arms = {condition.arm for condition in conditions(base=3, counts=(5,), minority=4)}
    assert arms == set(ADDED) | set(ALONE)
    assert condition_words({"arm": "synthetic", "count": "300"}) == "real + 300 synthetic"
    assert condition_words({"arm": "real", "count": "0"}) == "real alone"
    few = {"protocol": MINORITY, "arm": "synthetic", "count": "7"}
    assert (
        condition_words(few) == "few real + 7 synthetic" and condition_words({**few, "arm": "real"}) == "few real alone"
    )
    assert case_words("3b") == f"3b: {CASES['3b']}" and case_words("9") == "9"


def test_measures_have_headings_and_unknown_ones_stay_as_they_are() -> None:
    assert measure_words("macro_f1") == "Macro F1" and measure_words("recall a b") == "Recall: a b"
    assert measure_words("kappa") == "kappa"


@pytest.mark.parametrize(
    ("text", "sign", "expected"),
    [
        ("0.7916", False, "79.2"),
        ("0.012", True, "+1.2"),
        ("-0.5", True, "-50.0"),
        ("nan", False, "n/a"),
        ("", True, "n/a"),
    ],
)
def test_shares_become_per_cent(text: str, sign: bool, expected: str) -> None:
    assert points(text, sign=sign) == expected


def test_intervals_need_both_ends() -> None:
    assert ends({"low": "0.5", "high": "0.75"}) == "[50.0, 75.0]"
    assert ends({"low": "-0.01", "high": "0.02"}, sign=True) == "[-1.0, +2.0]"
    assert ends({"low": "", "high": "0.75"}) == ends({"low": "0.5", "high": "nan"}) == ends({}) == ""


@pytest.mark.parametrize(
    ("text", "expected"), [("0.0004", "< 0.001"), ("0.0312", "0.031"), ("1", "1.000"), ("", "n/a")]
)
def test_p_values(text: str, expected: str) -> None:
    assert probability(text) == expected
