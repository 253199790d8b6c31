"""The section on use: what it holds, and that nothing is shown of what was not tried."""

from __future__ import annotations

from typing import Any

import pytest

from monai_aggrgan.evaluation.report_blocks import Block, Bullets, Findings, Heading, Note, Pictures, Table
from monai_aggrgan.evaluation.report_utility import UTILITY_PICTURES, utility_blocks
from monai_aggrgan.evaluation.report_utility_notes import SLICE_NOTE, UNKNOWN_NOTE

Rows = list[dict[str, str]]


def measured(protocol: str, arm: str, *, case: str = "", test: str = "real", count: int = 0) -> Rows:
    place = {"classifier": "a", "label": "A", "protocol": protocol, "case": case, "arm": arm, "count": str(count)}
    numbers = {"value": "0.75", "low": "0.7", "high": "0.8", "n": "610", "patients": "", "seeds": "5"}
    metrics = ("accuracy", "balanced_accuracy", "recall x", "recall y")
    return [{**place, "test": test, "metric": metric, **numbers} for metric in metrics]


def difference(part: str, **more: str) -> dict[str, str]:
    place = {"classifier": "a", "label": "A", "part": part, "protocol": "patient", "question": "", "first": part}
    numbers = {"second": "real", "metric": "balanced_accuracy", "difference": "0.03", "low": "0.01", "high": "0.05"}
    return {**place, **numbers, "p": "0.01", "p_holm": "0.03", "verdict": "better", **more}


CASES = [
    *measured("patient", "real", case="1", test="synthetic"),
    *measured("patient", "real", case="3a"),
    *measured("patient", "synthetic", case="3b", count=300),
]
SLICES = measured("slice", "real", case="3a")
MINORITY = [*measured("minority", "real"), *measured("minority", "synthetic", count=81)]
TABLE5 = [
    {"Category": "Split by patient", "Method": "3a: real", "A": "75.0", "A low": "70.0", "A high": "80.0"},
    {"Category": "Split by slice (the paper's)", "Method": "3a: real", "A": "91.0", "A paper": "88.4"},
]
UTILITY = {"base": 300, "minority": {"class": "y", "kept": 9, "of": 90, "fill": 81}, "patients_known": True}
PICTURES = [{"path": f"utility_{name}", **words} for name, words in UTILITY_PICTURES.items()]


def shown(rows: Rows, *, utility: dict[str, Any] | None = None, pictures: Any = (), **read: Rows) -> list[Block]:
    tables = {"utility": rows, **{name: read.get(name, []) for name in ("comparisons", "verdicts", "table5")}}
    return utility_blocks(tables, facts={"utility": utility or {}, "utility_figures": [*pictures]})


def headings(blocks: list[Block]) -> list[str]:
    return [block.anchor for block in blocks if isinstance(block, Heading)]


def tables_of(blocks: list[Block]) -> dict[str, Table]:
    return {block.label: block for block in blocks if isinstance(block, Table)}


def test_without_rows_there_is_no_section() -> None:
    assert shown([], utility=UTILITY) == []


def test_verdicts_come_first_with_marks_and_without_the_name_twice() -> None:
    verdicts = [
        {"classifier": "a", "label": "A", "verdict": "helps", "sentence": "A: the images help."},
        {"classifier": "b", "label": "B", "verdict": "harms", "sentence": "With B they harm."},
        {"classifier": "c", "label": "C", "verdict": "cannot tell", "sentence": "C: nobody knows."},
    ]
    first = shown(CASES, verdicts=verdicts)[0]
    assert first == Findings(
        [("good", "A", "The images help."), ("bad", "B", "With B they harm."), ("open", "C", "Nobody knows.")]
    )


def test_the_whole_section_stands_in_its_order() -> None:
    comparisons = [difference(part) for part in ("curve", "minority", "cases")]
    blocks = shown(
        CASES + SLICES + MINORITY, utility=UTILITY, pictures=PICTURES, table5=TABLE5, comparisons=comparisons
    )
    assert headings(blocks) == ["table-5", "curve", "minority", "all-measures"]
    assert [item["path"] for block in blocks if isinstance(block, Pictures) for item in block.items] == [
        "utility_cases.png",
        "utility_curve.png",
        "utility_minority.png",
    ]
    tables = tables_of(blocks)
    assert list(tables) == [
        "Table 5",
        "Differences between the cases",
        "Differences by the number of added images",
        "Few images of one class",
        "Differences with few images of one class",
        "Measures by case",
        "Measures by number",
        "How this was done",
    ]
    for part, label in {"cases": "between", "curve": "number", "minority": "few"}.items():
        (table,) = (table for name, table in tables.items() if name.startswith("Differences") and label in name)
        assert [row.heading for _, rows in table.groups for row in rows] == [f"{part} against real"]
    assert [name for name in tables if tables[name].folded] == [
        "Measures by case",
        "Measures by number",
        "How this was done",
    ]


def test_table_5_has_the_papers_values_beside_ours() -> None:
    table = tables_of(shown(CASES, table5=TABLE5))["Table 5"]
    assert [(column.heading, column.group) for column in table.columns] == [("A", ""), ("A", "Printed in the paper")]
    assert [[(cell.text, cell.interval) for cell in rows[0].cells] for _, rows in table.groups] == [
        [("75.0", "[70.0, 80.0]"), ("", "")],
        [("91.0", ""), ("88.4", "")],
    ]


@pytest.mark.parametrize("slices", [False, True])
def test_that_slices_flatter_is_said_where_there_are_such_rows(slices: bool) -> None:
    blocks = shown(CASES + SLICES * slices)
    assert (Note(SLICE_NOTE) in blocks) == slices
    topics = [row.heading for row in tables_of(blocks)["How this was done"].groups[0][1]]
    assert ("Split by slice" in topics) == slices


@pytest.mark.parametrize("known", [False, True])
def test_unknown_patients_and_notes_are_told(known: bool) -> None:
    blocks = shown(CASES, utility={"patients_known": known, "notes": ["A note."]})
    assert (Note(UNKNOWN_NOTE) in blocks) != known and Bullets(["A note."]) in blocks


def test_the_minority_stands_beside_all_real_images() -> None:
    table = tables_of(shown(CASES + MINORITY, utility=UTILITY))["Few images of one class"]
    assert [column.heading for column in table.columns] == ["Balanced accuracy", "Recall: y", "Test images"]
    ((_, rows),) = table.groups
    assert [row.heading for row in rows] == ["few real alone", "few real + 81 synthetic", "all real"]
    assert "minority" not in headings(shown(CASES, utility=UTILITY))


def test_the_curve_has_real_images_alone_but_no_other_tests() -> None:
    mix = measured("patient", "mix", case="2", test="mix")
    other = [{**row, "n": "900"} for row in CASES if row["test"] == "synthetic"]
    table = tables_of(shown(CASES + mix + other))["Measures by number"]
    assert [row.cells[-1].text for _, rows in table.groups for row in rows] == ["610", "610"]
    assert [row.heading for _, rows in table.groups for row in rows] == ["real alone", "real + 300 synthetic a class"]


def test_every_picture_has_a_caption_and_words_for_those_who_cannot_see_it() -> None:
    assert list(UTILITY_PICTURES) == ["cases.png", "curve.png", "minority.png"]
    assert all(words["caption"].endswith(".") and words["alt"].endswith(".") for words in UTILITY_PICTURES.values())
