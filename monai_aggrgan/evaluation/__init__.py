"""Judging finished images: comparisons, tables, report."""

from __future__ import annotations

from monai_aggrgan.evaluation.report import write_report
from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS, compare_with_reals, nearest, similarity
from monai_aggrgan.evaluation.tables import (
    HEADINGS,
    LEFT_OUT,
    PAIRINGS_NOTE,
    PROTOCOL,
    REAL_LABEL,
    SD_NOTE,
    pairing_heading,
    read_results,
    summarise,
    write_pairings_table,
    write_table1,
)

__all__ = [
    "HEADINGS",
    "LEFT_OUT",
    "METRICS",
    "PAIRINGS",
    "PAIRINGS_NOTE",
    "PROTOCOL",
    "REAL_LABEL",
    "SD_NOTE",
    "compare_with_reals",
    "nearest",
    "pairing_heading",
    "read_results",
    "similarity",
    "summarise",
    "write_pairings_table",
    "write_report",
    "write_table1",
]
