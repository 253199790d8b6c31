"""The report's cards: what the data were, how the networks were trained, where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai_aggrgan.evaluation.report_blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Heading,
    Note,
    Paragraph,
    Pictures,
    Row,
    Table,
)
from monai_aggrgan.evaluation.report_tables import grouped
from monai_aggrgan.evaluation.report_words import duration, plain

__all__ = ["data_blocks", "figure_blocks", "settings_blocks", "time_blocks", "training_blocks"]

LONG = 24  # characters, beyond which a text wraps
HASHES_NOTE = (
    "SHA-256. Equal hashes mean equal data: who prepares the same files with the same settings can compare them."
)


def data_blocks(facts: Mapping[str, Any]) -> list[Block]:
    """The data card; its `skipped` are rows of `left_out_reasons`."""
    if not facts["data"]:
        return []
    blocks: list[Block] = [Paragraph(facts["dataset"], lead="Data set:")] if facts["dataset"] else []
    if facts["split"]:
        blocks.append(Paragraph(facts["split"], lead="Split:"))
    blocks.append(_data_table(facts["data"]))
    if facts["attention"]:
        blocks.append(Bullets(facts["attention"]))
    if facts["skipped"]:
        blocks += [Paragraph(_skipped_words(facts["skipped"]), lead="Left out"), _skipped_table(facts["skipped"])]
    if facts["hashes"]:
        hashes = _named(facts["hashes"], "Hashes of the data", corner="Of", folded="Hashes of the data")
        blocks += [hashes, Note(HASHES_NOTE)]
    return [*blocks, *_pictures(facts["sheets"])]


def _data_table(data: Sequence[Mapping[str, Any]]) -> Table:
    more = _further(data, known=("class_name", "section", "images", "patients"))
    long = {key: max(len(str(row.get(key, ""))) for row in data) > LONG for key in more}
    columns = [Column("Images"), Column("Patients")]
    columns += [Column(_heading(key), number=False, long=long[key]) for key in more]
    groups = [
        (
            name,
            [
                Row(
                    row["section"].replace("_", "-"),
                    [
                        Cell(str(row["images"])),
                        Cell("unknown" if row["patients"] is None else str(row["patients"])),
                        *(Cell(str(row.get(key, "") or "unknown")) for key in more),
                    ],
                )
                for row in rows
            ],
        )
        for name, rows in grouped(data, by="class_name")
    ]
    return Table("Data", "Side", columns, groups)


def _skipped_words(skipped: Sequence[Mapping[str, Any]]) -> str:
    count = sum(row["count"] for row in skipped)
    return f"({count}), because they could not be used; prepare/left_out.csv of the study names them:"


def _skipped_table(skipped: Sequence[Mapping[str, Any]]) -> Table:
    columns = [Column("Files"), Column("Why", number=False, long=True)]
    rows = [Row(row["class_name"], [Cell(str(row["count"])), Cell(row["reason"])]) for row in skipped]
    folded = f"Reasons why files were left out ({len(skipped)})" if len(skipped) > 5 else ""
    return Table("Left out", "Class", columns, [("", rows)], folded=folded)


def training_blocks(facts: Mapping[str, Any]) -> list[Block]:
    """The training card."""
    blocks: list[Block] = _trainings(facts["trainings"], facts["generators"]) if facts["trainings"] else []
    if facts["curves"]:
        blocks += [Heading("Learning curves", "curves"), *_pictures(facts["curves"])]
    return blocks


def _trainings(trainings: Sequence[Mapping[str, Any]], generators: Mapping[str, str]) -> list[Block]:
    """The table of trainings; what is the same for all of several stands in a sentence."""
    further = _further(trainings, known=("class_name", "generator", "epochs", "seconds"))
    values = {key: ["" if row.get(key) is None else plain(row[key]) for row in trainings] for key in further}
    common = {key: told[0] for key, told in values.items() if len(told) > 1 and len(set(told)) == 1 and told[0]}
    more = [key for key in further if key not in common and any(values[key])]
    columns = [Column("Epochs"), Column("Time")]
    for key in more:
        numbers = all(isinstance(row.get(key), (int, float, type(None))) for row in trainings)
        columns.append(Column(_heading(key), numbers, long=max(map(len, values[key])) > LONG))
    groups = [
        (
            name,
            [
                Row(
                    generators.get(row["generator"], row["generator"]),
                    [Cell(plain(row["epochs"])), Cell(duration(row["seconds"]))]
                    + [Cell("" if row.get(key) is None else plain(row[key])) for key in more],
                )
                for row in rows
            ],
        )
        for name, rows in grouped(trainings, by="class_name")
    ]
    table = Table("Trainings", "Generator", columns, groups)
    same = "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in common.items())
    return [table, Paragraph(f"{same}.", lead="The same for all:")] if same else [table]


def settings_blocks(facts: Mapping[str, Any]) -> list[Block]:
    """Machine, versions and settings; the settings, which are many, behind a word."""
    blocks: list[Block] = []
    if facts["versions"] or facts["machine"]:
        blocks.append(_named({**facts["versions"], **facts["machine"]}, "Versions and machine", corner="Of"))
    if facts["settings"]:
        folded = f"All {len(facts['settings'])} settings" if len(facts["settings"]) > 8 else ""
        blocks.append(_named(facts["settings"], "Settings", corner="Setting", folded=folded))
    return [Heading("Versions, machine and settings", "settings"), *blocks] if blocks else []


def time_blocks(stages: Sequence[Mapping[str, Any]]) -> list[Block]:
    """How long each stage took."""
    if not stages:
        return []
    rows = [Row(row["stage"], [Cell(duration(row["seconds"]))]) for row in stages]
    total = Row("Together", [Cell(duration(sum(row["seconds"] for row in stages)), strong=True)])
    return [Table("Stages", "Stage", [Column("Time")], [("", [*rows, total])])]


def figure_blocks(facts: Mapping[str, Any]) -> list[Block]:
    """Figures laid out as the paper's, and how single images were made."""
    blocks = _pictures(facts["figures"])
    if facts["methods"]:
        blocks += [Heading("Merging: how one image was made", "merging"), *_pictures(facts["methods"])]
    return blocks


def _pictures(items: Sequence[Mapping[str, Any]]) -> list[Block]:
    return [Pictures(items)] if items else []


def _further(rows: Sequence[Mapping[str, Any]], *, known: Sequence[str]) -> list[str]:
    return [key for key in dict.fromkeys(key for row in rows for key in row) if key not in known]


def _heading(key: str) -> str:
    text = key.replace("_", " ")
    return text[:1].upper() + text[1:]


def _named(values: Mapping[str, Any], label: str, *, corner: str, folded: str = "") -> Table:
    rows = [Row(name, [Cell(plain(value))]) for name, value in values.items()]
    return Table(label, corner, [Column("Value", number=False)], [("", rows)], folded=folded)
