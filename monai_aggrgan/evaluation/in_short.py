"""The answer of a study in a few sentences, made from its tables by fixed rules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from monai_aggrgan.evaluation.audit import FEW
from monai_aggrgan.evaluation.report_claims import claim_mark
from monai_aggrgan.evaluation.report_readings import SUBJECT, intervals_of, is_part, subject_of
from monai_aggrgan.evaluation.report_words import listed, number, of_classes, percent, spread
from monai_aggrgan.evaluation.tables import HEADINGS, REAL_LABEL

__all__ = ["Finding", "in_short"]

Records = Sequence[Mapping[str, str]]
EDGES = "Edge-weighted"
CLAIM_WORDS = (
    ("good", "holds", "hold"),
    ("bad", "does not", "do not"),
    ("open", "is open or half true", "are open or half true"),
)


class Finding(NamedTuple):
    """One answer: `mark` is "good", "bad" or "open", `topic` a word or two, `text` a sentence or two."""

    mark: str
    topic: str
    text: str


def in_short(tables: Mapping[str, Records], *, labels: Mapping[str, str]) -> list[Finding]:
    """Say what a study found: copying, likeness, variety, structural similarity, merging, the paper's claims.

    A question whose table is absent is left out. All but the last two are asked of the final set, `aggrgan_ssim`, or of
    the last method that was judged where there is none. Two intervals of 95 % differ where they do not touch; without
    intervals the values themselves are compared.

    Args:
        tables: rows of audit.csv, distribution.csv, table1.csv, pairings.csv, ablation.csv and claims.csv, by the name
            without `.csv`; each may be absent.
        labels: label of each method's id.

    Returns:
        At most six findings, in the order above.
    """
    audit, distribution = tables.get("audit", ()), tables.get("distribution", ())
    found = [
        _copying(audit, labels),
        _likeness(distribution, labels),
        _variety(distribution, labels),
        _similarity(tables.get("table1", ()), tables.get("pairings", ()), labels),
        _merging(tables.get("ablation", ())),
        _claims(tables.get("claims", ())),
    ]
    return [finding for finding in found if finding]


def _copying(audit: Records, labels: Mapping[str, str]) -> Finding | None:
    judged = [row for row in audit if row["measure"] == "flagged" and row["verdict"] in ("pass", "fail")]
    subject = subject_of(judged)
    mine = [row for row in judged if row["method"] == subject]
    if not mine:
        return None
    label, classes = labels.get(subject, subject), [row["class_name"] for row in mine]
    failed = [row for row in mine if row["verdict"] == "fail"]
    told = failed or mine
    shares = f"{spread(percent(number(row['value'])) for row in told)} of the images flagged"
    control = f"{spread(percent(number(row['held_out'])) for row in told)} of real held-out images"
    if failed:
        where = of_classes([row["class_name"] for row in failed], classes)
        text = f"The memorisation audit fails for {label} {where}: {shares}, against {control}. Filter before use."
    else:
        where = of_classes(classes, classes)
        text = f"The memorisation audit passes for {label} {where}: {shares}, against {control}."
    others = dict.fromkeys(
        row["method"]
        for row in judged
        if row["verdict"] == "fail" and row["method"] not in (subject, "real") and not is_part(row["method"])
    )
    if others:
        text += f" Of other methods, it fails in some class for {listed([labels.get(name, name) for name in others])}."
    few = [row for row in audit if (row["method"], row["measure"]) == ("real", "flagged") and number(row["n"]) < FEW]
    if few:
        text += f" It is a weak test: of some class there are fewer than {FEW} held-out images."
    return Finding("bad" if failed else "open" if few else "good", "Copying", text)


def _first_space(distribution: Records, metric: str) -> str:
    return next((row["space"] for row in distribution if row["metric"] == metric), "")


def _likeness(distribution: Records, labels: Mapping[str, str]) -> Finding | None:
    subject, space = subject_of(distribution), _first_space(distribution, "frechet_ratio")
    ratios = intervals_of(distribution, method=subject, metric="frechet_ratio", space=space)
    if not ratios:
        return None
    kids, floors = (intervals_of(distribution, method=m, metric="kid", space=space) for m in (subject, "real"))
    far = [name for name, (_, low, _) in ratios.items() if low > 1]
    far_kid = [name for name in kids if name in floors and kids[name][1] > floors[name][2]]
    label, place = labels.get(subject, subject), f"in the feature space {space}"
    shown = spread(f"{ratios[name][0]:.1f}" for name in far or ratios)
    if far:
        text = (
            f"{label} is farther from held-out patients than real training images are {of_classes(far, list(ratios))}:"
            f" {shown} times as far {place} (Fréchet ratio; 1 is real against real)."
        )
    else:
        text = (
            f"{label} cannot be told from real training images by its distance to held-out patients"
            f" {of_classes(list(ratios), list(ratios))} (Fréchet ratio {shown} {place}; 1 is real against real)."
        )
    if kids and floors:
        text += f" Its KID lies above the real row's interval {of_classes(far_kid, list(kids))}."
    return Finding("bad" if len(far) == len(ratios) else "open" if far or far_kid else "good", "Likeness", text)


def _variety(distribution: Records, labels: Mapping[str, str]) -> Finding | None:
    subject, space = subject_of(distribution), _first_space(distribution, "recall")
    sentences, less = [], False
    for metric in ("recall", "coverage"):
        mine, floors = (intervals_of(distribution, method=m, metric=metric, space=space) for m in (subject, "real"))
        shared = [name for name in mine if name in floors]
        if not shared:
            continue
        below = [name for name in shared if mine[name][2] < floors[name][1]]
        less = less or bool(below)
        sentences.append(
            f"{metric} is {spread(f'{mine[name][0]:.2f}' for name in shared)}"
            f" (real against real: {spread(f'{floors[name][0]:.2f}' for name in shared)}),"
            f" lower than real {of_classes(below, shared)}"
        )
    different = [row for row in distribution if (row["method"], row["metric"]) == (subject, "distinct")]
    if different:
        counts = spread(f"{number(row['value']):.0f}" for row in different)
        sentences.append(f"of {spread(row['n'] for row in different)} images a class, {counts} are different")
    if not sentences:
        return None
    text = f"{labels.get(subject, subject)}: {'; '.join(sentences)}."
    repeats = any(number(row["value"]) < number(row["n"]) for row in different)
    return Finding("bad" if less else "open" if repeats else "good", "Variety", text)


def _similarity(table1: Records, pairings: Records, labels: Mapping[str, str]) -> Finding | None:
    label = labels.get(SUBJECT, SUBJECT)
    column = HEADINGS["ssim"]
    above, every, shown = _above_real(table1, label, column)
    if not every:
        return None
    if not above:
        text = f"{label} does not clearly exceed the level of real images {shown}"
        return Finding("good", "SSIM", f"{text}, which would be a sign of copying or blur, not of quality.")
    also, _, _ = _above_real(pairings, label, f"{column} held-out nearest")
    blurred, copied = [name for name in above if name in also], [name for name in above if name not in also]
    text = f"{label} exceeds the level of real images {of_classes(above, every)} {shown}: no sign of quality."
    if blurred:
        text += f" {listed(blurred)}: it does so against held-out images as well, which nothing could copy: blur."
    if copied:
        text += f" {listed(copied)}: only against its own references, which copying or their style can do."
    return Finding("open", "SSIM", text)


def _above_real(records: Records, label: str, column: str) -> tuple[list[str], list[str], str]:
    """Classes in which a method's value is above the real row's, all classes that have both, and both in words."""
    values: dict[tuple[str, bool], tuple[float, float, str]] = {}
    for record in records:
        real = record["Method"] == REAL_LABEL
        if (real or record["Method"] == label) and number(record.get(column, "")) == number(record.get(column, "")):
            value = number(record[column])
            low, high = (number(record.get(f"{column} {end}", "")) for end in ("low", "high"))
            end = high if real else low
            values.setdefault((record["Category"], real), (value, value if end != end else end, record[column]))
    every = [name for name, real in values if real and (name, False) in values]
    above = [name for name in every if values[name, False][1] > values[name, True][1]]
    told = above or every
    mine, floor = (spread(values[name, real][2] for name in told) for real in (False, True))
    return above, every, f"({mine} against {floor})"


def _merging(ablation: Records) -> Finding | None:
    edges = [record for record in ablation if record["Method"].startswith(EDGES) and "literal" not in record["Method"]]
    every = [record["Category"] for record in edges]
    if not edges or "SSIM gain" not in edges[0]:
        return None
    better = {column: [] for column in ("SSIM gain", "Held-out gain")}  # type: dict[str, list[str]]
    for record in edges:
        for column, names in better.items():
            if _low(record.get(column, "")) > 0:
                names.append(record["Category"])
    paired, held_out = better.values()
    text = (
        f"Merging by edges beats the best single image against the reference {of_classes(paired, every)}, and against"
        f" held-out images, which selected nothing, {of_classes(held_out, every)} (SSIM)."
    )
    return Finding("good" if len(held_out) == len(every) else "open" if paired else "bad", "Merging", text)


def _low(text: str) -> float:
    """Lower end of `+0.011 [+0.002, +0.020]`; NaN where there is none."""
    ends = re.search(r"\[([^,\]]+),", text)
    return number(ends[1]) if ends else number("")


def _claims(claims: Records) -> Finding | None:
    if not claims:
        return None
    counts = Counter(claim_mark(claim["holds"]) for claim in claims)
    parts = [f"{counts[mark]} {one if counts[mark] == 1 else many}" for mark, one, many in CLAIM_WORDS if counts[mark]]
    text = f"Of {len(claims)} claims of the paper that can be read off these tables, {listed(parts)}."
    return Finding("good" if len(claims) == counts["good"] else "open", "The paper", text)
