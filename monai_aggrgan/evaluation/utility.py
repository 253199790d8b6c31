"""Do the images help? All tables on classifiers that were trained with and without them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_aggrgan.data.manifest import write_manifest
from monai_aggrgan.evaluation.classification import MEASURES, recall_of
from monai_aggrgan.evaluation.table5 import write_table5
from monai_aggrgan.evaluation.utility_comparisons import comparison_rows, verdict_rows
from monai_aggrgan.evaluation.utility_runs import JudgedRuns, Run

__all__ = ["Run", "utility_rows", "write_utility"]


def utility_rows(judged: JudgedRuns, *, labels: Mapping[str, str], base: int) -> list[dict[str, str]]:
    """Rows of utility.csv: every measure of every classifier in every condition and test.

    Args:
        judged: all runs.
        labels: what tables call each classifier, by its name; others have no rows.
        base: synthetic images a class of case 3b.
    """
    rows = []
    for classifier, condition, test in judged.tests:
        if classifier not in labels:
            continue
        patients = judged.patients(classifier, condition, test)
        for metric in (*MEASURES, *map(recall_of, judged.classes)):
            estimate = judged.estimate(classifier, condition, test, metric)
            rows.append(
                {
                    "classifier": classifier,
                    "label": labels[classifier],
                    "protocol": condition.protocol,
                    "case": condition.case(test, base=base),
                    "arm": condition.arm,
                    "count": str(condition.count),
                    "test": test,
                    "metric": metric,
                    **{name: _share(value) for name, value in zip(("value", "low", "high"), estimate[:3], strict=True)},
                    "n": str(judged.images(classifier, condition, test)),
                    "patients": "" if patients is None else str(patients),
                    "seeds": str(len(judged.seeds(classifier, condition, test))),
                }
            )
    return rows


def _share(value: float) -> str:
    """A share, or the end of its interval, which may not leave [0, 1]."""
    return f"{min(max(value, 0.0), 1.0):.6f}" if math.isfinite(value) else ""


def write_utility(
    folder: Path | str,
    runs: Sequence[Run],
    *,
    classes: Sequence[str],
    labels: Mapping[str, str],
    base: int,
    minority_class: str | None = None,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> None:
    """Write utility.csv, comparisons.csv, verdicts.csv and table5 as CSV, Markdown and LaTeX.

    Args:
        folder: an existing folder.
        runs: what every trained classifier said of every test.
        classes: names, in the order of the labels.
        labels: what tables call each classifier, by its name, in their order; the name is added where two are alike.
        base: synthetic images a class of case 3b.
        minority_class: of which most images were taken away; None without that experiment.
        seed: deals test patients to groups.
        notes: sentences for below Table 5.

    Raises:
        ValueError: when two conditions were not tested on the same images.
    """
    judged, labels = JudgedRuns(runs, classes=classes, seed=seed), _told_apart(labels)
    rows = utility_rows(judged, labels=labels, base=base)
    compared = comparison_rows(judged, labels=labels, base=base, minority_class=minority_class)
    write_manifest(folder, rows, name="utility.csv")
    write_manifest(folder, compared, name="comparisons.csv")
    write_manifest(folder, verdict_rows(judged, compared, labels=labels, base=base), name="verdicts.csv")
    write_table5(folder, rows, classes=classes, labels=labels, notes=notes)


def _told_apart(labels: Mapping[str, str]) -> dict[str, str]:
    """The same labels, the classifier's name behind those that several have or columns of Table 5 have already."""
    shared = Counter(labels.values())
    taken = {"Category", "Method", "n"} | {f"{label} {end}" for label in labels.values() for end in ("low", "high")}
    return {
        name: f"{label} ({name})" if shared[label] > 1 or label in taken or label.endswith("(paper)") else label
        for name, label in labels.items()
    }
