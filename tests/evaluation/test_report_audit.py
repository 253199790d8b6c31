"""The audit's tables: verdicts, and the measures of each feature space."""

from __future__ import annotations

from monai_aggrgan.evaluation.report import FACTS
from monai_aggrgan.evaluation.report_audit import audit_blocks
from monai_aggrgan.evaluation.report_blocks import Charts, Note, Table

LABELS = {"mine": "My GAN", "real": "Real (held-out patients)"}


def row(measure: str, value: str, *, method: str = "mine", **more: str) -> dict[str, str]:
    empty = dict.fromkeys(("low", "high", "p", "held_out", "verdict", "detail"), "")
    return {"class_name": "a", "method": method, "measure": measure, "value": value, **empty, "n": "30", **more}


def tables(*rows: dict[str, str]) -> list[Table]:
    return [block for block in audit_blocks(rows, [], labels=LABELS, facts=FACTS) if isinstance(block, Table)]


def texts(table: Table) -> list[list[str]]:
    return [[cell.text.replace("\N{NO-BREAK SPACE}", " ") for cell in line.cells] for line in table.groups[0][1]]


def test_verdicts_stand_beside_what_they_rest_on() -> None:
    (table,) = tables(
        row("flagged", "0.14", low="0.1", high="0.2", held_out="0.05", verdict="fail"),
        row("copies", "3"),
        row("ssim", "0.51234", held_out="0.4"),
        row("flagged", "0.05", method="real"),
    )
    assert texts(table) == [
        ["fail", "14 %", "5.0 %", "3", "0.512", "0.400", "30"],
        ["", "5.0 %", "", "", "", "", "30"],
    ]
    assert [line.real for line in table.groups[0][1]] == [False, True]
    verdict, share = table.groups[0][1][0].cells[:2]
    assert verdict.mark == "bad" and share.interval.replace("\N{NO-BREAK SPACE}", " ") == "[10 %, 20 %]"


def test_the_reason_of_a_verdict_has_a_column_where_there_is_one() -> None:
    (table,) = tables(
        row("flagged", "0.14", verdict="fail", detail="4 of 30 images flagged"), row("flagged", "0", method="real")
    )
    assert (table.columns[-1].heading, table.columns[-1].long) == ("Why", True)
    assert [cells[-1] for cells in texts(table)] == ["4 of 30 images flagged", ""]


def test_each_space_has_a_folded_table_of_what_was_measured_in_it() -> None:
    _, first, second = tables(
        row("flagged", "0", verdict="pass"),
        row("vgg19_memorised", "0.04", held_out="0.05"),
        row("vgg19_distance_ratio", "-0.0312", p="0.0004"),
        row("membership_auc_vgg19", "0.531", low="0.49", high="0.57"),
        row("my_space_authenticity", "0.8"),
    )
    assert [column.heading for column in first.columns] == [
        "Memorised",
        "held out",
        "Log distance ratio",
        "p",
        "Attack AUC",
    ]
    assert texts(first) == [["4.0 %", "5.0 %", "-0.0312", "< 0.001", "0.53"]]
    assert (
        first.folded and [column.heading for column in second.columns] == ["Authentic"] and "my_space" in second.folded
    )


def test_a_distance_ratio_without_known_patients_has_no_p_and_the_note_says_why() -> None:
    rows = (row("vgg19_memorised", "0"), row("vgg19_distance_ratio", "-0.1"), row("flagged", "0"))
    real = row("vgg19_memorised", "0", method="real")
    assert texts(tables(*rows, real)[1]) == [["0 %", "-0.1", "n/a"], ["0 %", "", ""]]
    notes = [block.text for block in audit_blocks(rows, [], labels=LABELS, facts=FACTS) if isinstance(block, Note)]
    assert any("needs known patients and is n/a without" in text for text in notes)


def test_parts_of_the_method_have_a_table_of_their_own() -> None:
    whole, parts = tables(row("flagged", "0", verdict="pass"), row("flagged", "1", method="steps_000", verdict="fail"))
    assert [line.heading for line in whole.groups[0][1]] == ["My GAN"]
    assert [line.heading for line in parts.groups[0][1]] == ["steps_000"] and parts.folded


def test_histograms_are_of_the_judged_set_and_real_images() -> None:
    images = [
        {"class_name": name, "method": method, "ssim": value}
        for name in ("a", "b")
        for method, value in (("mine", "0.75"), ("real", "0.5"))
    ]
    (charts,) = audit_blocks([], images, labels=LABELS, facts=FACTS)
    assert isinstance(charts, Charts) and [chart.title for chart in charts.items] == ["a", "b"]
    assert "My GAN: median 0.75" in charts.items[0].words and "My GAN" in charts.caption


def test_without_an_audit_there_is_nothing() -> None:
    assert audit_blocks([], [], labels=LABELS, facts=FACTS) == []
