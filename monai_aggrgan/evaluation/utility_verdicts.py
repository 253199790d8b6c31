"""Whether a difference between two conditions may be called one: better, worse, or why that cannot be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from monai_aggrgan.evaluation.classification import BALANCED
from monai_aggrgan.evaluation.conditions import Condition
from monai_aggrgan.evaluation.utility_runs import JudgedRuns
from monai_aggrgan.metrics.crossed import Estimate

__all__ = ["ALPHA", "FEWEST", "NOT_SMALL", "Verdict", "verdict_of"]

ALPHA = 0.05
FEWEST = 5
"""Trainings in a condition, below which there is no verdict."""
NOT_SMALL = "p is not below 0.05"
ALIKE = "nothing varies, over trainings and test patients"
NO_INTERVAL = "no interval: too few trainings or test patients of a class"


class Verdict(NamedTuple):
    """What may be said of a difference.

    Attributes:
        verdict: `better`, `worse`, or `cannot tell`.
        reason: why it cannot be told, else "".
    """

    verdict: str
    reason: str = ""


def verdict_of(
    judged: JudgedRuns, classifier: str, pair: Sequence[Condition], difference: Estimate, p: float
) -> Verdict:
    """Better or worse where the corrected p is below 0.05, there are five trainings, and one side does not guess.

    A condition guesses where the interval of its balanced accuracy on real images reaches 1 / classes, or is below.
    Where both do, the better of them has learned nothing that can be shown, whatever their difference.

    Args:
        judged: all runs.
        classifier: whose difference it is.
        pair: the two conditions.
        difference: `pair[0]` minus `pair[1]`.
        p: of the difference, corrected; NaN where there is none.
    """
    trainings = min(len(judged.seeds(classifier, condition)) for condition in pair)
    if trainings < FEWEST:
        return Verdict(
            "cannot tell", f"{trainings} training{'s' * (trainings != 1)} each, and a verdict needs {FEWEST}"
        )
    if all(_guesses(judged, classifier, condition) for condition in pair):
        level = 100 / len(judged.classes)
        return Verdict("cannot tell", f"neither is shown to do better than guessing, {level:.1f}")
    if not math.isfinite(p):
        return Verdict("cannot tell", ALIKE if difference.error == 0 else NO_INTERVAL)
    if p >= ALPHA:
        return Verdict("cannot tell", NOT_SMALL)
    return Verdict("better" if difference.mean > 0 else "worse")


def _guesses(judged: JudgedRuns, classifier: str, condition: Condition) -> bool:
    found = judged.estimate(classifier, condition, "real", BALANCED)
    least = found.low if math.isfinite(found.low) else found.mean
    return least <= 1 / len(judged.classes)
