"""Whether images help a classifier, in words: names of conditions and measures, marks of verdicts, numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

from monai_aggrgan.evaluation.conditions import CASES, MINORITY, PATIENT, SLICE
from monai_aggrgan.evaluation.report_words import number
from monai_aggrgan.evaluation.tables import MISSING

__all__ = ["MARK_OF", "PROTOCOLS", "case_words", "condition_words", "ends", "measure_words", "points", "probability"]

MARK_OF = {"helps": "good", "harms": "bad", "better": "good", "worse": "bad"}
"""Mark of a verdict; of any other it is `open`."""
PROTOCOLS = {
    PATIENT: "Split by patient",
    SLICE: "Split by slice (the paper's)",
    MINORITY: "Split by patient, one class with few images",
}
ADDED = {
    "synthetic": "synthetic",
    "transforms": "flips, shifts, zooms",
    "oversampling": "oversampled",
}
ALONE = {"real": "real alone", "mix": "real and synthetic mixed", "all": "all real"}
MEASURES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "auc": "AUC",
    "calibration_error": "Calibration error",
}
RECALL = "recall "


def measure_words(metric: str) -> str:
    """Heading of a metric of utility.csv."""
    return f"Recall: {metric.removeprefix(RECALL)}" if metric.startswith(RECALL) else MEASURES.get(metric, metric)


def case_words(case: str) -> str:
    """`3b: real + synthetic`."""
    return f"{case}: {CASES[case]}" if case in CASES else case


def condition_words(row: Mapping[str, str]) -> str:
    """What a row's classifiers were trained on, `real + 300 synthetic`; `few real ...` where one class has few."""
    few = "few " if row.get("protocol") == MINORITY else ""
    if row["arm"] in ADDED:
        return f"{few}real + {row['count']} {ADDED[row['arm']]}"
    return few + ALONE.get(row["arm"], row["arm"])


def points(text: str, *, sign: bool = False) -> str:
    """A share as per cent with one digit, `79.2`; a difference of shares as points, `+1.2`."""
    value = 100 * number(text)
    return format(value, "+.1f" if sign else ".1f") if math.isfinite(value) else MISSING


def ends(row: Mapping[str, str], *, sign: bool = False) -> str:
    """The interval of a row in per cent or points, nothing where it has none."""
    if not all(math.isfinite(number(row.get(end, ""))) for end in ("low", "high")):
        return ""
    return f"[{points(row['low'], sign=sign)}, {points(row['high'], sign=sign)}]"


def probability(text: str) -> str:
    """A p-value to three digits."""
    value = number(text)
    if not math.isfinite(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
