"""Judging finished images: comparisons, distributions, the memorisation audit, classifiers, tables, claims, report."""

from __future__ import annotations

from monai_aggrgan.evaluation.audit import AUDIT_RULE, Audit, RealImages
from monai_aggrgan.evaluation.claims import read_claims
from monai_aggrgan.evaluation.classification import Predictions
from monai_aggrgan.evaluation.closest_pairs import closest_pairs
from monai_aggrgan.evaluation.conditions import Condition
from monai_aggrgan.evaluation.distribution import Distribution, ImageSet
from monai_aggrgan.evaluation.report import write_report
from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS, RealPairings, nearest, similarity
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
    write_baselines_table,
    write_pairings_table,
    write_table1,
)
from monai_aggrgan.evaluation.utility import Run, write_utility

__all__ = [
    "AUDIT_RULE",
    "HEADINGS",
    "LEFT_OUT",
    "METRICS",
    "PAIRINGS",
    "PAIRINGS_NOTE",
    "PROTOCOL",
    "REAL_LABEL",
    "SD_NOTE",
    "Audit",
    "Condition",
    "Distribution",
    "ImageSet",
    "Predictions",
    "RealImages",
    "RealPairings",
    "Run",
    "closest_pairs",
    "nearest",
    "pairing_heading",
    "read_claims",
    "read_results",
    "similarity",
    "summarise",
    "write_baselines_table",
    "write_pairings_table",
    "write_report",
    "write_table1",
    "write_utility",
]
