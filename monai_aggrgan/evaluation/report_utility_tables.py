"""The report's tables of classifiers: all measures by condition, and differences between conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from monai_aggrgan.evaluation.conditions import MINORITY, SLICE
from monai_aggrgan.evaluation.report_blocks import Cell, Column, Row, Table
from monai_aggrgan.evaluation.utility_verdicts import NOT_SMALL
from monai_aggrgan.evaluation.utility_words import (
    MARK_OF,
    PROTOCOLS,
    case_words,
    condition_words,
    ends,
    measure_words,
    points,
    probability,
)

__all__ = ["MANY", "differences_table", "measures_table"]

Record = Mapping[str, str]
Records = Sequence[Record]

MANY = 20  # differences, beyond which their table is folded


def measures_table(rows: Records, *, label: str, by: Callable[[Record], str], folded: str = "") -> Table:
    """A row for each condition and a column for each metric, in per cent; a group a classifier and split.

    Args:
        rows: of utility.csv.
        label: what the table shows.
        by: heading of a row.
        folded: see `Table`; the number of rows is added.
    """
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    columns = [Column(measure_words(m), better="lower" if m == "calibration_error" else "higher") for m in metrics]
    groups: dict[str, dict[str, dict[str, Record]]] = {}
    for row in rows:
        of_group = groups.setdefault(f"{row['label']}. {PROTOCOLS.get(row['protocol'], row['protocol'])}", {})
        of_group.setdefault(by(row), {})[row["metric"]] = row
    lines = [
        (name, [_measured(heading, found, metrics) for heading, found in of_group.items()])
        for name, of_group in groups.items()
    ]
    count = sum(len(rows) for _, rows in lines)
    return Table(
        label,
        "Trained on",
        [*columns, Column("Test images")],
        lines,
        folded=f"{folded} ({count} rows)" if folded else "",
    )


def _measured(heading: str, found: Mapping[str, Record], metrics: Sequence[str]) -> Row:
    cells = [Cell(points(found[name]["value"]), ends(found[name])) if name in found else Cell("") for name in metrics]
    first = next(iter(found.values()))
    patients = first.get("patients", "")
    return Row(heading, [*cells, Cell(first["n"], f"{patients} patients" if patients else "")])


def case_of(row: Record) -> str:
    """Heading of a row of a case."""
    return case_words(row["case"])


def condition_of(row: Record) -> str:
    """Heading of a row of the curve."""
    return f"{condition_words(row)} a class" if row["count"] not in ("", "0") else condition_words(row)


def differences_table(rows: Records, *, label: str) -> Table:
    """Differences in points with interval, p and verdict, a group a classifier; long ones are folded.

    Args:
        rows: of comparisons.csv, of one part.
        label: what the table shows.
    """
    measured = len({row["metric"] for row in rows}) > 1 or any(row["part"] == MINORITY for row in rows)
    columns = [Column("Measure", number=False)] if measured else []
    columns += [Column("Difference (points)"), Column("p"), Column("p, Holm"), Column("Verdict", number=False)]
    groups = [
        (name, [_difference(row, measured) for row in rows if row["label"] == name])
        for name in dict.fromkeys(row["label"] for row in rows)
    ]
    return Table(label, "Compared", columns, groups, folded=f"{label} ({len(rows)})" if len(rows) > MANY else "")


def _difference(row: Record, measured: bool) -> Row:
    heading = f"{row['first']} against {row['second']}"
    if row["protocol"] == SLICE:
        heading += ", split by slice"
    cells = [Cell(measure_words(row["metric"]))] if measured else []
    cells += [Cell(points(row["difference"], sign=True), ends(row, sign=True))]
    cells += [Cell(probability(row["p"])), Cell(probability(row["p_holm"]))]
    return Row(heading, [*cells, Cell(row["verdict"], _reason(row), mark=MARK_OF.get(row["verdict"], "open"))])


def _reason(row: Record) -> str:
    """Why there is no verdict, where the column of p does not tell it."""
    reason = row.get("reason", "")
    return f"({reason})" if reason and reason != NOT_SMALL else ""
