"""Numbers, times and lists in words."""

from __future__ import annotations

import math

import pytest

from monai_aggrgan.evaluation.report_words import (
    duration,
    listed,
    number,
    of_classes,
    percent,
    plain,
    significant,
    spread,
)


@pytest.mark.parametrize(
    ("text", "value"), [("0.5", 0.5), ("-1e-3", -0.001), ("", None), ("inf", None), ("nan", None), ("n/a", None)]
)
def test_only_finite_numbers_are_numbers(text: str, value: float | None) -> None:
    assert math.isnan(number(text)) if value is None else number(text) == value


def test_digits() -> None:
    assert [significant(value) for value in (0.012345, 123.4, 12345.6, math.nan)] == ["0.0123", "123", "12,346", "n/a"]
    shares = [percent(share).replace("\N{NO-BREAK SPACE}", " ") for share in (0, 0.034, 0.0996, 0.14, 1, math.nan)]
    assert shares == ["0 %", "3.4 %", "10 %", "14 %", "100 %", "n/a"]
    assert [duration(seconds) for seconds in (4.21, 47, 552, 11100)] == ["4.2 s", "47 s", "9 min 12 s", "3 h 05 min"]


def test_a_spread_is_of_numbers_not_of_letters() -> None:
    assert spread(["9.5", "10.5", "n/a"]) == "9.5 to 10.5"
    assert spread([percent(0.14), percent(0.034)]) == f"{percent(0.034)} to {percent(0.14)}"
    assert spread(["1,200", "300"]) == "300 to 1,200"
    assert spread(["0.7", "0.7"]) == "0.7" and spread([]) == "n/a"


def test_lists() -> None:
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert of_classes(["a"], ["a", "b"]) == "in a (1 of 2 classes)"
    assert of_classes(["a", "b"], ["a", "b"]) == "in all 2 classes"
    assert of_classes([], ["a", "b"]) == "in none of 2 classes"
    assert (of_classes(["a"], ["a"]), of_classes([], ["a"])) == ("in a", "not in a")


def test_settings() -> None:
    told = [plain(value) for value in (0.0002, [1, "x"], True, None, {"a": 1}, "text")]
    assert told == ["0.0002", "1, x", "true", "none", '{"a": 1}', "text"]
