"""Whether the images help a classifier, in a few sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monai_aggrgan.evaluation.finding import Finding
from monai_aggrgan.evaluation.report_readings import SUBJECT
from monai_aggrgan.evaluation.report_words import listed, of_classes
from monai_aggrgan.evaluation.utility_words import MARK_OF

__all__ = ["NOT_MEASURED", "beside_audit", "usefulness"]

TOPIC = "Usefulness"
NOT_MEASURED = "Whether the images help a classifier was not measured: `run utility` tells."
WORDS = {"good": "help {}", "bad": "harm {}", "open": "for {} it cannot be told"}


def usefulness(
    verdicts: Sequence[Mapping[str, str]] | None, *, audit: Sequence[Mapping[str, str]] = ()
) -> Finding | None:
    """What verdicts.csv says; "good" only where the images help every classifier, "bad" where they harm every one.

    Args:
        verdicts: rows of the file; none where it was not measured, which is "open"; None where it was not asked.
        audit: rows of audit.csv; that it fails is said where the images help.
    """
    if verdicts is None:
        return None
    if not verdicts:
        return Finding("open", TOPIC, NOT_MEASURED)
    marks = [MARK_OF.get(row["verdict"], "open") for row in verdicts]
    mark = marks[0] if len(set(marks)) == 1 else "open"
    sentences = [row["sentence"] for row in verdicts]
    first, beside = [_counts(verdicts, marks)] if len(verdicts) > 1 else [], beside_audit(verdicts, audit)
    return Finding(mark, TOPIC, " ".join([*first, *sentences, *([beside] if beside else [])]))


def beside_audit(verdicts: Sequence[Mapping[str, str]], audit: Sequence[Mapping[str, str]]) -> str:
    """What must stand beside images that help, though the memorisation audit of the study's own fails; else ""."""
    judged = [row for row in audit if (row["method"], row["measure"]) == (SUBJECT, "flagged") and row["verdict"]]
    failed = [row["class_name"] for row in judged if row["verdict"] == "fail"]
    if not failed or not any(row["verdict"] == "helps" for row in verdicts):
        return ""
    where = of_classes(failed, [row["class_name"] for row in judged])
    return f"But the memorisation audit fails for the study's images {where}: what helps may be copies."


def _counts(verdicts: Sequence[Mapping[str, str]], marks: Sequence[str]) -> str:
    """`Of 3 classifiers, the images help 1 (VGG-19), harm none, and for 2 (A and B) it cannot be told.`"""
    parts = []
    for mark, words in WORDS.items():
        names = [row["label"] for row, its in zip(verdicts, marks, strict=True) if its == mark]
        number = "all" if len(names) == len(verdicts) else f"{len(names)} ({listed(names)})" if names else "none"
        if names or mark != "open":
            parts.append(words.format(number))
    return f"Of {len(verdicts)} classifiers, the images {listed(parts)}."
