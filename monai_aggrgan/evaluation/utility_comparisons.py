"""Which of two conditions does better, for each classifier: differences, Holm's correction, a verdict, a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from monai_aggrgan.evaluation.classification import BALANCED, recall_of
from monai_aggrgan.evaluation.conditions import ARMS, MINORITY, PATIENT, Condition
from monai_aggrgan.evaluation.utility_runs import JudgedRuns
from monai_aggrgan.evaluation.utility_verdicts import NOT_SMALL, Verdict, verdict_of
from monai_aggrgan.evaluation.utility_words import condition_words, ends, points, probability
from monai_aggrgan.metrics.crossed import Estimate, holm

__all__ = ["Question", "comparison_rows", "questions", "verdict_rows"]

HELP = ("cases", "3b - 3a")
BESIDE = ("cases", "3b - 3c")
VERDICTS = {"better": "helps", "worse": "harms"}
WORDS = {
    "helps": "{count} synthetic images a class help",
    "harms": "{count} synthetic images a class harm",
    "cannot tell": "cannot tell whether {count} synthetic images a class help",
}


class Question(NamedTuple):
    """Does `first` do better than `second`? `part` is the family of questions that share a correction."""

    part: str
    name: str
    first: Condition
    second: Condition
    metric: str


def questions(conditions: Sequence[Condition], *, base: int, minority_class: str | None = None) -> list[Question]:
    """All questions that can be asked of these conditions.

    Args:
        conditions: that were trained.
        base: synthetic images a class of case 3b.
        minority_class: of which most images were taken away.
    """
    real, asked = Condition(PATIENT, "real"), []
    synthetic, transforms, _ = (Condition(PATIENT, arm, base) for arm in ARMS)
    pairs = {"3b - 3a": (synthetic, real), "3c - 3a": (transforms, real), "3b - 3c": (synthetic, transforms)}
    asked += [Question("cases", name, *pair, BALANCED) for name, pair in pairs.items()]
    for count in sorted({condition.count for condition in conditions if condition.protocol == PATIENT} - {0}):
        added, *others = (Condition(PATIENT, arm, count) for arm in ARMS)
        rivals = others[1:] if count == base else [real, *others]  # the cases have the others
        asked += [Question("curve", f"{count}: synthetic - {rival.arm}", added, rival, BALANCED) for rival in rivals]
    fills = [condition.count for condition in conditions if condition.protocol == MINORITY and condition.count]
    if fills and minority_class is not None:
        added, *others = (Condition(MINORITY, arm, fills[0]) for arm in ARMS)
        for metric in (recall_of(minority_class), BALANCED):
            rivals = [Condition(MINORITY, "real"), *others]
            asked += [Question("minority", f"synthetic - {rival.arm}", added, rival, metric) for rival in rivals]
    return [question for question in asked if {question.first, question.second} <= {*conditions}]


def comparison_rows(
    judged: JudgedRuns, *, labels: Mapping[str, str], base: int, minority_class: str | None = None
) -> list[dict[str, str]]:
    """Rows of comparisons.csv: a difference `first` - `second` each, p-values corrected within each part.

    Intervals end at -1 and 1, beyond which no difference of shares lies.

    Args:
        judged: all runs.
        labels: what tables call each classifier, by its name.
        base: synthetic images a class of case 3b.
        minority_class: of which most images were taken away.

    Raises:
        ValueError: when two conditions cannot be compared, see `JudgedRuns.difference`.
    """
    trained = list(dict.fromkeys((name, condition) for name, condition, _ in judged.tests))
    found: list[tuple[str, Question, Estimate]] = []
    for name in labels:
        conditions = [condition for classifier, condition in trained if classifier == name]
        for question in questions(conditions, base=base, minority_class=minority_class):
            difference = judged.difference(name, question.first, question.second, question.metric)
            found.append((name, question, difference))
    adjusted: dict[int, float] = {}
    for part in dict.fromkeys(question.part for _, question, _ in found):
        places = [place for place, (_, question, _) in enumerate(found) if question.part == part]
        adjusted |= dict(zip(places, holm([found[place][2].p for place in places]), strict=True))
    return [
        _row(name, labels[name], question, difference, adjusted[place], judged)
        for place, (name, question, difference) in enumerate(found)
    ]


def _row(
    name: str, label: str, question: Question, difference: Estimate, adjusted: float, judged: JudgedRuns
) -> dict[str, str]:
    first, second = (
        condition_words({"protocol": condition.protocol, "arm": condition.arm, "count": str(condition.count)})
        for condition in (question.first, question.second)
    )
    verdict = verdict_of(judged, name, (question.first, question.second), difference, adjusted)
    return {
        "classifier": name,
        "label": label,
        "part": question.part,
        "protocol": question.first.protocol,
        "question": question.name,
        "first": first,
        "second": second,
        "metric": question.metric,
        "difference": _text(difference.mean),
        "low": _text(max(difference.low, -1.0)),
        "high": _text(min(difference.high, 1.0)),
        "p": _text(difference.p),
        "p_holm": _text(adjusted),
        **verdict._asdict(),
    }


def _text(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""


def verdict_rows(
    judged: JudgedRuns, comparisons: Sequence[Mapping[str, str]], *, labels: Mapping[str, str], base: int
) -> list[dict[str, str]]:
    """Rows of verdicts.csv: whether synthetic images help each classifier, why that cannot be told, a sentence."""
    rows = []
    for name, label in labels.items():
        asked = {(row["part"], row["question"]): row for row in comparisons if row["classifier"] == name}
        if HELP in asked:
            verdict = Verdict(VERDICTS.get(asked[HELP]["verdict"], "cannot tell"), asked[HELP]["reason"])
            sentence = _sentence(judged, name, label, verdict, asked, base=base)
            rows.append({"classifier": name, "label": label, **verdict._asdict(), "sentence": sentence})
    return rows


def _sentence(
    judged: JudgedRuns,
    name: str,
    label: str,
    verdict: Verdict,
    asked: Mapping[tuple[str, str], Mapping[str, str]],
    *,
    base: int,
) -> str:
    real, help_ = Condition(PATIENT, "real"), asked[HELP]
    trainings, images = len(judged.seeds(name, real)), judged.images(name, real)
    on = f"{trainings} training{'' if trainings == 1 else 's'} each, {images} test images"
    sure = f"p {probability(help_['p_holm'])} after Holm; {on}" if help_["p_holm"] else on
    sentence = (
        f"{label}: {WORDS[verdict.verdict].format(count=base)}{_because(verdict.reason)}: balanced accuracy"
        f" {_change(help_)} over real images alone ({sure})."
    )
    if BESIDE not in asked:
        return sentence
    beside = asked[BESIDE]
    return f"{sentence} Beside as many flips, shifts and zooms: {_change(beside)}, {beside['verdict']}."


def _because(reason: str) -> str:
    """What p does not tell already."""
    return "" if reason in ("", NOT_SMALL) else f" ({reason})"


def _change(row: Mapping[str, str]) -> str:
    """`+1.2 points [+0.1, +2.3]`."""
    return f"{points(row['difference'], sign=True)} points {ends(row, sign=True)}".strip()
