"""The answer of a study in a few sentences, made from its tables by fixed rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from monai_aggrgan.evaluation.audit_rule import FEW, LIMIT
from monai_aggrgan.evaluation.finding import Finding
from monai_aggrgan.evaluation.in_short_sets import likeness, variety
from monai_aggrgan.evaluation.in_short_similarity import merging, similarity
from monai_aggrgan.evaluation.in_short_utility import usefulness
from monai_aggrgan.evaluation.report_claims import claim_mark, claims_by_data_set
from monai_aggrgan.evaluation.report_readings import attack_words, is_part, subject_of
from monai_aggrgan.evaluation.report_words import listed, number, of_classes, percent, spread

__all__ = ["Finding", "in_short"]

Records = Sequence[Mapping[str, str]]
CLAIM_WORDS = (
    ("good", "holds", "hold"),
    ("bad", "does not", "do not"),
    ("open", "is open or half true", "are open or half true"),
)


def in_short(tables: Mapping[str, Records], *, labels: Mapping[str, str]) -> list[Finding]:
    """Say what a study found: copying, likeness, variety, usefulness, similarity, merging, the paper's claims.

    A question whose table is absent is left out; usefulness, whose table may be there without rows, then counts as not
    measured. All but usefulness and the last two are asked of the final set, `aggrgan_ssim`, or of
    the last method that was judged where there is none. Two intervals of 95 % differ where they do not touch. That they
    touch is no evidence of anything: an answer is "good" only where they also leave no room for more than a stated
    difference, else it is "open"; so is whatever has no interval.

    Args:
        tables: rows of audit.csv, distribution.csv, verdicts.csv, table1.csv, pairings.csv, ablation.csv and
            claims.csv, by the name without `.csv`; each may be absent.
        labels: label of each method's id.

    Returns:
        At most seven findings, in the order above.
    """
    audit, distribution = tables.get("audit", ()), tables.get("distribution", ())
    table1 = tables.get("table1", ())
    found = [
        _copying(audit, labels),
        likeness(distribution, labels),
        variety(distribution, labels),
        usefulness(tables.get("verdicts"), audit=audit),
        similarity(table1, tables.get("pairings", ()), labels),
        merging(tables.get("ablation", ())),
        _claims(tables.get("claims", ()), classes=list(dict.fromkeys(record["Category"] for record in table1))),
    ]
    return [finding for finding in found if finding]


def _copying(audit: Records, labels: Mapping[str, str]) -> Finding | None:
    """Bad where the audit fails; open where it passes on few images, or although a membership attack succeeds."""
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
    attack, succeeds = attack_words(audit, method=subject)
    text += f" {attack}" if attack else ""
    others = dict.fromkeys(
        row["method"]
        for row in judged
        if row["verdict"] == "fail" and row["method"] not in (subject, "real") and not is_part(row["method"])
    )
    if others:
        text += (
            f" Of other methods, the audit fails in some class for"
            f" {listed([labels.get(name, name) for name in others])}."
        )
    few = [row for row in audit if (row["method"], row["measure"]) == ("real", "flagged") and number(row["n"]) < FEW]
    if few:
        text += f" It is a weak test: there are fewer than {FEW} held-out images of a class."
    blind = [row for row in mine if number(row["held_out"]) > LIMIT]
    if blind:
        text += " It tells little: as many real images of other patients are flagged."
    return Finding("bad" if failed else "open" if few or succeeds or blind else "good", "Copying", text)


def _claims(claims: Records, *, classes: Sequence[str]) -> Finding | None:
    own, others = claims_by_data_set(claims, classes=classes)
    if not own:
        return None
    counts = Counter(claim_mark(claim["holds"]) for claim in own)
    parts = [f"{counts[mark]} {one if counts[mark] == 1 else many}" for mark, one, many in CLAIM_WORDS if counts[mark]]
    where = " on this data set" if others else ""
    text = f"Of {len(own)} claims of the paper{where} that can be read off these tables, {listed(parts)}."
    if others:
        text += f" {len(others)} more were made on another data set and are not counted."
    return Finding("good" if len(own) == counts["good"] else "open", "The paper", text)
