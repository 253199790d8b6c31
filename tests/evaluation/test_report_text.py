"""Markdown that shows texts as they are, and JSON that any reader takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_aggrgan.evaluation.report_blocks import (
    Bullets,
    Cell,
    Code,
    Column,
    Findings,
    Heading,
    Note,
    Paragraph,
    Pictures,
    Row,
    Section,
    Table,
)
from monai_aggrgan.evaluation.report_text import as_json, as_markdown, plain_values


def written(*blocks: object) -> str:
    """Markdown of blocks alone."""
    text = as_markdown("T", "L", [], [Section("a", "S", "s", blocks)])  # type: ignore[arg-type]
    return text.removeprefix("# T\n\nL\n\n## S\n\n").removesuffix("\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, with (brackets) & 3.4 %", "plain, with (brackets) & 3.4 %"),
        ("<b>x</b>", r"\<b\>x\</b\>"),
        ("a | b * c ` d [e](f) ~g~ \\h", r"a \| b \* c \` d \[e\](f) \~g\~ \\h"),
        ("wgan_div _x_", r"wgan_div \_x\_"),
        ("&lt; & &c", "&amp;lt; & &c"),
        ("# no heading", r"\# no heading"),
        ("- no item", r"\- no item"),
        ("1. no number", r"1\. no number"),
        ("1.5 a number", "1.5 a number"),
        ("two\n\nlines", "two lines"),
    ],
)
def test_texts_show_as_they_are(text: str, expected: str) -> None:
    assert written(Paragraph(text)) == expected
    assert written(Note(text)) == expected
    assert written(Bullets([text])) == f"- {expected}"


def test_a_table_has_intervals_marks_and_its_classes_named_once() -> None:
    rows = [Row("A", [Cell("0.5", "[0.4, 0.6]", strong=True), Cell("pass", mark="good")])]
    rows.append(Row("Real", [Cell("0.7"), Cell("")], real=True))
    columns = [Column("SSIM", group="Ours"), Column("Verdict", number=False)]
    table = Table("Label", "Method", columns, [("z", rows)])
    assert written(table).splitlines() == [
        "|   | Method | Ours: SSIM | Verdict |",
        "| --- | --- | ---: | --- |",
        r"| z | A | **0.5** \[0.4, 0.6\] | ✓ pass |",
        "|  | *Real* | 0.7 |  |",
    ]
    plain = Table("Label", "Method", columns, [("", rows)], folded="Words")
    assert written(plain).splitlines()[:3] == ["**Words**", "", "| Method | Ours: SSIM | Verdict |"]


def test_other_blocks() -> None:
    assert written(Heading("H"), Paragraph("p", lead="Lead:")) == "### H\n\n**Lead:** p"
    assert written(Findings([("bad", "Copying", "It fails.")])) == "- ✕ **Copying**: It fails."
    assert written(Bullets(["what for"], links=["a b.csv"])) == "- [a b.csv](a%20b.csv): what for"
    picture = {"path": "a b.png", "caption": "Caption", "alt": "Words"}
    assert written(Pictures([picture])) == "![Words](a%20b.png)\n\nCaption"
    assert written(Code("run ```x```")) == "````\nrun ```x```\n````"


def test_json_is_valid_whatever_it_is_given() -> None:
    given = {"a": float("nan"), "b": [float("-inf"), 1.5, (2, None, True)], 3: {"path": Path("x")}, "text": "ä<"}
    assert json.loads(as_json(given)) == {
        "a": None,
        "b": [None, 1.5, [2, None, True]],
        "3": {"path": "x"},
        "text": "ä<",
    }


def test_cases_and_classifiers_are_names_even_where_they_look_like_numbers() -> None:
    row = {"classifier": "50", "case": "1", "arm": "2", "first": "3", "count": "300", "p_holm": "0.5"}
    assert plain_values([row]) == [{**row, "count": 300, "p_holm": 0.5}]


def test_values_of_a_table_become_numbers_but_names_do_not() -> None:
    row = {"Category": "1", "Method": "2", "n": "300", "SSIM": "0.5", "PSNR": "n/a", "KL": "", "SD": "inf", "why": "x"}
    assert plain_values([row]) == [
        {"Category": "1", "Method": "2", "n": 300, "SSIM": 0.5, "PSNR": None, "KL": None, "SD": None, "why": "x"}
    ]
