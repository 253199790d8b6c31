"""The report's tables of methods, from CSV files that say in their columns what there is to show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from monai_aggrgan.evaluation import tables
from monai_aggrgan.evaluation.ablation import ABLATION_NOTE
from monai_aggrgan.evaluation.report_blocks import (
    Block,
    Cell,
    Column,
    Heading,
    Note,
    Paragraph,
    Row,
    Table,
)
from monai_aggrgan.evaluation.report_words import number, percent, significant
from monai_aggrgan.evaluation.similarity import PAIRINGS
from monai_aggrgan.evaluation.steps import STEPS_NOTE

__all__ = [
    "ablation_blocks",
    "grouped",
    "measured_table",
    "pairings_blocks",
    "paper_blocks",
    "selection_blocks",
    "steps_blocks",
]

Record = Mapping[str, str]
NO_COLUMNS = ("Category", "Method", "best", "left_out")
COMPANIONS = (" low", " high", " paper")
BETTER = {
    **{"SSIM": "higher", "PSNR": "higher", "SD": "higher", "Held-out SSIM": "higher"},
    **{"KL-divergence": "lower", "KL": "lower", "KID": "lower", "flagged": "lower"},
}
FORMATS: dict[str, Callable[[float], str]] = {"KID": significant, "flagged": percent}
"""Of columns that stand in the file as they were measured."""
PRINTED = "Printed in the paper"
CHOICES = ("selection", "aggregation", "style")
SELECTION_NOTE = (
    "Each generator's candidate for a reference is the image of its pool that is most like it. Different candidates:"
    " how many different images of the pool these are; few mean that the same ones answer everybody, and the synthetic"
    " set is poorer than its size. Share: the generator's part of the candidates that were merged. Score: the metric"
    " between candidate and reference."
)


def grouped(records: Iterable[Mapping[str, Any]], *, by: str) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Neighbours with the same value of a column, which stands before them."""
    return [(str(value), list(group)) for value, group in groupby(records, key=lambda record: record[by])]


def measured_table(
    records: Sequence[Record],
    *,
    label: str,
    corner: str = "Method",
    parts: Callable[[str], tuple[str, str]] = lambda column: ("", column),
    folded: str = "",
) -> Table:
    """A table with a group of rows a class; intervals stand below their values, printed values in columns of their own.

    Args:
        records: with Category, Method, columns of values and, of a value X where known, `X low`, `X high`, `X paper`;
            `best` names the columns in bold.
        label: what the table shows.
        corner: heading of the methods.
        parts: group and heading of a column.
        folded: see `Table`.
    """
    every = list(dict.fromkeys(column for record in records for column in record))
    companions = {column + end for column in every for end in COMPANIONS}
    shown = [column for column in every if column not in companions and column not in NO_COLUMNS]
    printed = [column for column in shown if any(record.get(f"{column} paper") for record in records)]
    columns = []
    for column in shown:
        group, heading = parts(column)
        heading = "Flagged" if column == "flagged" else heading
        columns.append(Column(heading, column not in CHOICES, group, BETTER.get(column, BETTER.get(group, ""))))
    columns += [Column(column, group=PRINTED, quiet=True) for column in printed]
    rows = [
        (name, [_row(record, shown, printed) for record in of_class])
        for name, of_class in grouped(records, by="Category")
    ]
    return Table(label, corner, columns, rows, folded)


def _row(record: Record, shown: Sequence[str], printed: Sequence[str]) -> Row:
    best, real = record.get("best", "").split(), record["Method"].startswith("Real (")
    cells = []
    for column in shown:
        text, low, high = (_formatted(column, record.get(f"{column}{end}", "")) for end in ("", " low", " high"))
        if column in CHOICES:
            text = text or ("" if real else "no")
        cells.append(Cell(text, f"[{low}, {high}]" if low and high else "", column in best))
    cells += [Cell(record.get(f"{column} paper", "")) for column in printed]
    return Row(record["Method"], cells, real)


def _formatted(column: str, text: str) -> str:
    return FORMATS[column](number(text)) if column in FORMATS and number(text) == number(text) else text


def _left_out(records: Sequence[Record]) -> list[Block]:
    notes: list[Block] = []
    for name, of_class in grouped(records, by="Category"):
        told = [f"{record['Method']}, {record['left_out']}" for record in of_class if record.get("left_out")]
        if told:
            notes.append(Note(f"{tables.LEFT_OUT} {name}: {'; '.join(told)}."))
    return notes


def paper_blocks(records: Sequence[Record], *, label: str, notes: Sequence[str]) -> list[Block]:
    """A table in the paper's layout with its notes; nothing without records."""
    if not records:
        return []
    table = measured_table(records, label=label)
    notes = [*notes, tables.PAPER_NOTE] if any(column.quiet for column in table.columns) else notes
    return [table, *map(Note, notes), *_left_out(records)]


def pairings_blocks(records: Sequence[Record]) -> list[Block]:
    """SSIM and PSNR against four choices of a real image."""
    if not records:
        return []
    headings = {
        tables.pairing_heading(metric, pairing): (
            tables.HEADINGS[metric],
            pairing.replace("held_out_", "held\u2011out "),
        )
        for metric in ("ssim", "psnr")
        for pairing in PAIRINGS
    }
    table = measured_table(records, label="Pairings", parts=lambda column: headings.get(column, ("", column)))
    return [table, Note(tables.PAIRINGS_NOTE), *_left_out(records)]


def steps_blocks(records: Sequence[Record], *, effects: Sequence[str]) -> list[Block]:
    """Selection, aggregation and style transfer, each alone and added, with the sentences that say what each adds."""
    if not records:
        return []
    table = measured_table(records, label="Steps")
    return [Heading("Each step alone and added", "factorial"), table, *map(Paragraph, effects), Note(STEPS_NOTE)]


def ablation_blocks(records: Sequence[Record], *, findings: Sequence[str]) -> list[Block]:
    """What merging is worth, with the sentences that say so."""
    if not records:
        return []
    return [
        Heading("Does merging beat the best single image?", "ablation"),
        measured_table(records, label="Merging", corner="Merging"),
        *(Paragraph(sentence) for sentence in findings),
        Note(ABLATION_NOTE),
    ]


def selection_blocks(usage: Sequence[Mapping[str, Any]]) -> list[Block]:
    """How each generator's pool was used."""
    if not usage:
        return []
    headings = ("Metric", "Pool", "Different candidates", "Different, merged", "Share of merged", "Mean score")
    groups = [(name, [_usage_row(row) for row in rows]) for name, rows in grouped(usage, by="class_name")]
    table = Table("Selection", "Generator", [Column(name, name != "Metric") for name in headings], groups)
    return [Heading("How the pools were used", "selection"), table, Note(SELECTION_NOTE)]


def _usage_row(row: Mapping[str, Any]) -> Row:
    score = f"{float(row['mean_score']):.2f}" if row["metric"] == "PSNR" else f"{float(row['mean_score']):.3f}"
    different = f"{row['candidates']} of {row['references']}"
    texts = [row["metric"], str(row["pool"]), different, str(row["chosen"]), percent(float(row["share"])), score]
    return Row(row["generator"], [Cell(text) for text in texts])
