from __future__ import annotations

from pathlib import Path

import pytest

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.option_values import MOST, misfit, path_of, refuse_unwritable, shown, text_of


def test_paths():
    assert path_of("output_dir", "a/b") == Path("a/b") == path_of("output_dir", Path("a/b"))
    assert path_of("output_dir", 5) == Path("5")
    assert path_of("output_dir", "~") == Path.home()


@pytest.mark.parametrize("value", [True, ["a"], {"a": 1}, "a\0b", "~nobody_here/x", "a" * 256, "\ud800"])
def test_what_is_no_path(value):
    with pytest.raises(InputError, match=r"^--output_dir .*\.$|^--output_dir .*out\.$"):
        path_of("output_dir", value)


def test_texts():
    assert [text_of("classes", value) for value in ("a", 5, Path("a"))] == ["a", "5", "a"]
    for value in (True, ["a"], "a\0b"):
        with pytest.raises(InputError, match="--classes must be text"):
            text_of("classes", value)


def test_what_is_shown_is_one_line():
    assert shown("a") == "'a'"
    assert shown([1] * 1000).endswith(" ...") and len(shown([1] * 1000)) < 210
    assert shown(10**5000) == "one that is too large to be shown"


@pytest.mark.parametrize(
    ("value", "known", "wanted"),
    [
        *((1, 2.5, ""), (2.5, 1, ""), (True, 1, "a number"), ("x", 1, "a number"), (float("nan"), 1, "a number")),
        *((MOST + 1, 1, "a number"), (1, True, "True or False"), (False, True, ""), ("$1", 1, ""), ([1], None, "")),
    ],
)
def test_misfits(value, known, wanted):
    assert misfit(value, known) == wanted


def test_where_no_expression_may_be():
    assert misfit("$1", 1.0, may_be_expression=False) == "a number"


@pytest.mark.parametrize("value", [{"a": 10**5000}, {("a", 1): 1}, {"a": "b"}])
def test_what_a_record_can_hold(value):
    if value == {"a": "b"}:
        refuse_unwritable("training", value)
        return
    with pytest.raises(InputError, match="--training must be plain numbers, texts"):
        refuse_unwritable("training", value)
