"""The paper's Table 5: the cases by split, a column a classifier, and what the paper prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_aggrgan.evaluation.classification import BALANCED
from monai_aggrgan.evaluation.conditions import CASES, PATIENT, SLICE
from monai_aggrgan.evaluation.paper import SOURCE, printed_cases
from monai_aggrgan.evaluation.table_files import write_table
from monai_aggrgan.evaluation.utility_words import PROTOCOLS, case_words, points

__all__ = ["table5_records", "write_table5"]

FEW = 5
PROTOCOL = (
    "Balanced accuracy in per cent: mean of {seeds} trainings, each with a seed of its own, and 95 % intervals over"
    " trainings and test patients. Where a test has equal numbers a class, as the paper's, it is the accuracy. All"
    " cases of a classifier take the same number of training steps."
)
SYNTHETIC = (
    "Cases 1 and 2 test on synthetic images as well, which were made from training images. Split by patient, 3a to 3c"
    " test on real images of patients that neither classifiers nor generators saw."
)
FLATTERS = (
    "Split by slice, slices of one patient stand on both sides and the generators saw part of the test images: these"
    " rows show how much that flatters, not what can be expected of new patients."
)
FEW_SEEDS = "Fewer than five trainings: their intervals are rough."
UNKNOWN = (
    "Patients of test images are unknown, in whole or in part: intervals are too narrow, and images of one patient may"
    " stand on both sides."
)


def table5_records(
    rows: Sequence[Mapping[str, str]], *, classes: Sequence[str], labels: Mapping[str, str]
) -> list[dict[str, str]]:
    """One record a split and case, `Category` and `Method` first, then a column a classifier with ` low` and ` high`.

    Where the classes are all those of one of the paper's data sets, the columns `<network> (paper)` hold what it
    prints, at the split by slice if there is one, for that is the paper's.

    Args:
        rows: of utility.csv.
        classes: of the study.
        labels: what tables call each classifier, by its name.
    """
    mine = [row for row in rows if row["case"] and row["metric"] == BALANCED]
    printed = printed_cases(classes)
    protocols = [protocol for protocol in (PATIENT, SLICE) if any(row["protocol"] == protocol for row in mine)]
    records = []
    for protocol in protocols:
        for case in CASES:
            of_case = {row["classifier"]: row for row in mine if (row["protocol"], row["case"]) == (protocol, case)}
            if of_case:
                record = {"Category": PROTOCOLS[protocol], "Method": case_words(case)}
                for name, label in labels.items():
                    record |= _cells(label, of_case.get(name))
                shown = printed.get(case, {}) if protocol == protocols[-1] else dict.fromkeys(printed.get(case, {}), "")
                record |= {f"{network} (paper)": value for network, value in shown.items()}
                records.append({**record, "n": "/".join(dict.fromkeys(row["n"] for row in of_case.values()))})
    return records


def _cells(label: str, row: Mapping[str, str] | None) -> dict[str, str]:
    if row is None:
        return {label: "", f"{label} low": "", f"{label} high": ""}
    ends = {end: points(row[end]) if row[end] and math.isfinite(float(row[end])) else "" for end in ("low", "high")}
    return {label: points(row["value"]), **{f"{label} {end}": text for end, text in ends.items()}}


def write_table5(
    folder: Path | str,
    rows: Sequence[Mapping[str, str]],
    *,
    classes: Sequence[str],
    labels: Mapping[str, str],
    notes: Sequence[str] = (),
) -> None:
    """Write table5.csv, .md and .tex, see `table5_records`; `notes` are further sentences below it."""
    records = table5_records(rows, classes=classes, labels=labels)
    seeds = sorted({int(row["seeds"]) for row in rows})
    told = [PROTOCOL.format(seeds=" or ".join(map(str, seeds))), SYNTHETIC]
    told += [FLATTERS] if any(row["protocol"] == SLICE for row in rows) else []
    told += [FEW_SEEDS] if seeds and seeds[0] < FEW else []
    told += [UNKNOWN] if any(not row["patients"] for row in rows) else []
    told += [f"Columns “(paper)”: accuracy in per cent, printed in {SOURCE}."] if printed_cases(classes) else []
    title = "Table 5: classifiers trained with and without synthetic images"
    write_table(folder, "table5", records, title=title, notes=[*told, *notes])
