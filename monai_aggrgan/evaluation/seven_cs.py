"""Limits of a study under seven headings: what each asks, what was measured, what was not.

The headings are the seven criteria of Zamzmi et al. 2024, "Scorecards for Synthetic Medical Data Evaluation and
Reporting" (arXiv 2406.11143; U.S. Food and Drug Administration). The words are ours, and so is the order in which the
measures are told; to fill the headings in is no statement of conformity with anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from monai_aggrgan.evaluation.report_readings import attack_words, intervals_of, subject_of
from monai_aggrgan.evaluation.report_words import listed, number, percent, significant, spread

__all__ = ["INTENDED_USE", "SEVEN_CS_SOURCE", "Criterion", "seven_cs"]

INTENDED_USE = (
    "Research: to study methods, and to augment training sets whose models are then validated on real images of other"
    " patients. Not for diagnosis, not for training of readers, not as evidence about patients, and not in place of"
    " real images in a test set."
)
SEVEN_CS_SOURCE = (
    "Headings after Zamzmi et al. 2024, Scorecards for Synthetic Medical Data Evaluation and Reporting (arXiv"
    " 2406.11143). What stands below them is this study's own account, not an assessment by anybody else."
)

KNOWN_PATIENTS = "Intervals (95 %) tell how far a mean would move with other patients."
UNKNOWN_PATIENTS = (
    "Intervals (95 %) tell how far a mean would move with other images: where patients are not known, each image counts"
    " as a patient of its own, and other patients would move it farther."
)

Records = Sequence[Mapping[str, str]]
Tables = Mapping[str, Records]


class Criterion(NamedTuple):
    """One of the seven: its name, what it asks, and sentences on what was measured here and what was not."""

    name: str
    asks: str
    measured: list[str]
    not_measured: list[str]


def seven_cs(tables: Tables, *, facts: Mapping[str, Any], labels: Mapping[str, str]) -> list[Criterion]:
    """Fill the seven headings in from the tables of a study.

    Args:
        tables: rows of distribution.csv, audit.csv, verdicts.csv and so on, by the name without `.csv`; each may be
            absent, and then nothing counts as measured by it.
        facts: of the report, see `write_report`; read are data, seed, split, settings, versions, hashes, trainings.
        labels: label of each method's id.
    """
    return [
        Criterion(
            "Congruence",
            "How well does the distribution of the synthetic images agree with that of real ones?",
            _distances(tables, labels),
            [
                "Feature spaces trained on photographs see texture and shape, not pathology; no reader compared images."
                " The space vgg19 favours styled images, since style transfer works in the same kind of network."
            ],
        ),
        Criterion(
            "Coverage",
            "Do the synthetic images span the variety of real patients, rare cases included?",
            _variety(tables, labels),
            ["Subgroups (age, sex, scanner, tumour grade) are not known here, so nobody knows which are missing."],
        ),
        Criterion(
            "Constraint",
            "Do the images obey what anatomy and physics allow?",
            ["Nothing. Intensities lie in [0, 1] by construction, which says nothing about anatomy."],
            ["No reader and no segmentation checked anatomical plausibility: side, ventricles, skull, tumour."],
        ),
        Criterion(
            "Completeness",
            "Does the set bring what its task needs beside pixels?",
            [_contents(facts), *_use(tables)],
            [
                "2-D slices only, with no label but the class: no masks, volumes, spacing, age, sex or outcome.",
                *([] if tables.get("verdicts") else ["Whether the images help a classifier."]),
            ],
        ),
        Criterion(
            "Compliance",
            "Are privacy and the rules on data respected?",
            [
                *_audit(tables, labels),
                "Patients appear under pseudonyms; files that were left out are counted, not named.",
            ],
            [
                "There is no formal guarantee: the training is not differentially private. An audit can find copying,"
                " it cannot prove that there is none. Licence and consent of the original data stay with their user."
            ],
        ),
        Criterion(
            "Comprehension",
            "Can a reader understand how the images came about?",
            _documented(facts),
            ["Why a network draws a certain pixel is not explained; the method pictures show how images were merged."],
        ),
        Criterion(
            "Consistency",
            "Is quality the same over subgroups, repetitions and time?",
            _stability(tables, facts),
            _unstable(facts),
        ),
    ]


def _distances(tables: Tables, labels: Mapping[str, str]) -> list[str]:
    rows = tables.get("distribution", ())
    subject = subject_of(rows)
    sentences = []
    for space in dict.fromkeys(row["space"] for row in rows if row["metric"] in ("kid", "frechet_ratio")):
        parts = []
        ratios = intervals_of(rows, method=subject, metric="frechet_ratio", space=space)
        if ratios:
            parts.append(f"Fréchet ratio {spread(f'{value:.2f}' for value, _, _ in ratios.values())} (real: 1)")
        kids, floors = (intervals_of(rows, method=m, metric="kid", space=space) for m in (subject, "real"))
        if kids:
            floor = f" (real: {spread(significant(value) for value, _, _ in floors.values())})" if floors else ""
            parts.append(f"KID {spread(significant(value) for value, _, _ in kids.values())}{floor}")
        if parts:
            sentences.append(f"{labels.get(subject, subject)}, features {space}: {', '.join(parts)}.")
    return sentences or ["Nothing: no distribution was compared."]


def _variety(tables: Tables, labels: Mapping[str, str]) -> list[str]:
    rows = tables.get("distribution", ())
    subject = subject_of(rows)
    sentences = []
    for space in dict.fromkeys(row["space"] for row in rows):
        parts = []
        for metric, name in (("recall", "recall"), ("coverage", "coverage"), ("ms_ssim", "MS-SSIM between images")):
            mine, floors = (intervals_of(rows, method=m, metric=metric, space=space) for m in (subject, "real"))
            if mine:
                floor = f" (real: {spread(f'{value:.2f}' for value, _, _ in floors.values())})" if floors else ""
                parts.append(f"{name} {spread(f'{value:.2f}' for value, _, _ in mine.values())}{floor}")
        if parts:
            place = "within the set" if space == "images" else f"features {space}"
            sentences.append(f"{labels.get(subject, subject)}, {place}: {', '.join(parts)}.")
    return sentences or ["Nothing: no variety was measured."]


def _contents(facts: Mapping[str, Any]) -> str:
    classes = list(dict.fromkeys(row["class_name"] for row in facts.get("data", [])))
    size = facts.get("settings", {}).get("image_size")
    pixels = f" of {size}x{size} pixels" if size else ""
    named = f" with one of the labels {listed(classes)}" if classes else ""
    return f"Each image is one grey slice{pixels}{named}, the seed that made it and the real image it was paired with."


def _use(tables: Tables) -> list[str]:
    """What classifiers say that were trained with the images."""
    rows = tables.get("verdicts", ())
    return [f"As further training images of a classifier: {' '.join(row['sentence'] for row in rows)}"] if rows else []


def _audit(tables: Tables, labels: Mapping[str, str]) -> list[str]:
    rows = [row for row in tables.get("audit", ()) if row["measure"] == "flagged" and row["verdict"]]
    subject = subject_of(rows)
    mine = [row for row in rows if row["method"] == subject]
    if not mine:
        return ["No memorisation audit was made."]
    told = ", ".join(
        f"{row['class_name']} {'passes' if row['verdict'] == 'pass' else 'FAILS'} ({percent(number(row['value']))}"
        f" flagged; real held-out images {percent(number(row['held_out']))})"
        for row in mine
    )
    attack, _ = attack_words(tables["audit"], method=subject)
    return [f"Memorisation audit of {labels.get(subject, subject)}: {told}.", *([attack] if attack else [])]


def _documented(facts: Mapping[str, Any]) -> list[str]:
    names = {
        "data": "data and split",
        "hashes": "hashes of the data",
        "trainings": "trainings",
        "settings": "all settings",
        "versions": "versions",
        "seed": "the seed",
    }
    there = [name for key, name in names.items() if facts.get(key) not in (None, [], {}, "")]
    return [f"This report holds {listed(there)}."] if there else ["Nothing but the tables of this report."]


def _stability(tables: Tables, facts: Mapping[str, Any]) -> list[str]:
    rows = tables.get("results", tables.get("table1", ()))
    classes = {row.get("class_name", row.get("Category", "")) for row in rows}
    sentences = [f"Every measure is given for each of {len(classes)} classes apart."] if len(classes) > 1 else []
    if any(row.get("SSIM low") for row in tables.get("table1", ())):
        unknown = any(row.get("patients") is None for row in facts.get("data", [{}]))
        sentences.append(UNKNOWN_PATIENTS if unknown else KNOWN_PATIENTS)
    return sentences or ["Nothing beside the means."]


def _unstable(facts: Mapping[str, Any]) -> list[str]:
    repeated = facts.get("repeats", 1)
    if repeated > 1:
        return [f"{repeated} seeds on one split; other splits, other hospitals and later years were not tried."]
    return [
        "One seed and one split: the intervals hold for these trained networks and do not say how far another"
        " training or another split would lie. Other hospitals, scanners and years were not tried."
    ]
