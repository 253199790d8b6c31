"""Tables from files that say in their columns what there is to show."""

from __future__ import annotations

from monai_aggrgan.evaluation.report_blocks import Note, Table
from monai_aggrgan.evaluation.report_tables import measured_table, paper_blocks, steps_blocks
from monai_aggrgan.evaluation.tables import LEFT_OUT, PAPER_NOTE

RECORD = {"Category": "a", "Method": "A", "SSIM": "0.5", "n": "9", "best": "", "left_out": ""}
ENDS = {"SSIM low": "0.4", "SSIM high": "0.6"}


def headings(table: Table) -> list[tuple[str, str]]:
    return [(column.group, column.heading) for column in table.columns]


def test_intervals_and_printed_values_appear_only_where_known() -> None:
    (table,) = paper_blocks([RECORD], label="T", notes=[])
    assert isinstance(table, Table) and headings(table) == [("", "SSIM"), ("", "n")]
    assert table.groups[0][1][0].cells[0].interval == ""
    known = [{**RECORD, **ENDS, "SSIM paper": "0.57"}, {**RECORD, "Method": "B", **ENDS, "SSIM paper": ""}]
    table, note = paper_blocks(known, label="T", notes=[])
    assert isinstance(table, Table) and isinstance(note, Note) and note.text == PAPER_NOTE
    assert headings(table) == [("", "SSIM"), ("", "n"), ("Printed in the paper", "SSIM")]
    cells = [[(cell.text, cell.interval) for cell in row.cells] for row in table.groups[0][1]]
    assert cells == [[("0.5", "[0.4, 0.6]"), ("9", ""), (text, "")] for text in ("0.57", "")]
    (table,) = paper_blocks([{**RECORD, "SSIM low": "", "SSIM high": "", "SSIM paper": ""}], label="T", notes=[])
    assert isinstance(table, Table) and headings(table) == [("", "SSIM"), ("", "n")]


def test_every_real_row_is_tinted_and_only_the_best_is_strong() -> None:
    names = ["A", "Real (held-out patients)", "Real (held-out patients), nearest"]
    records = [{**RECORD, "Method": name, "best": "SSIM" if name == "A" else ""} for name in names]
    rows = measured_table(records, label="T").groups[0][1]
    assert [row.real for row in rows] == [False, True, True]
    assert [[cell.strong for cell in row.cells] for row in rows] == [[True, False], [False, False], [False, False]]


def test_what_was_left_out_is_told_by_class() -> None:
    records = [{**RECORD, "left_out": "1 PSNR"}, {**RECORD, "Category": "b"}]
    (_, note) = paper_blocks(records, label="T", notes=[])
    assert isinstance(note, Note) and note.text == f"{LEFT_OUT} a: A, 1 PSNR."


def test_steps_are_yes_or_no_and_measured_values_get_their_digits() -> None:
    record = {"Category": "a", "Method": "A", "selection": "yes", "aggregation": "", "KID": "0.0123456"}
    record |= {"KID low": "0.0111111", "KID high": "0.0155555", "flagged": "0.034", "n": "9"}
    real = {**record, "Method": "Real (held-out patients)", "selection": ""}
    table = next(block for block in steps_blocks([record, real], effects=[]) if isinstance(block, Table))
    texts = [cell.text.replace("\N{NO-BREAK SPACE}", " ") for cell in table.groups[0][1][0].cells]
    assert [cell.text for cell in table.groups[0][1][1].cells][:2] == ["", ""]
    assert texts == ["yes", "no", "0.0123", "3.4 %", "9"]
    assert table.groups[0][1][0].cells[2].interval == "[0.0111, 0.0156]"


def test_without_records_there_is_nothing() -> None:
    assert paper_blocks([], label="T", notes=["N"]) == steps_blocks([], effects=["E"]) == []
