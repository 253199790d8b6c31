"""When a difference may be called one: enough trainings, one side above guessing, a small p."""

from __future__ import annotations

import math

import pytest

from monai_aggrgan.evaluation.conditions import PATIENT, Condition, conditions
from monai_aggrgan.evaluation.in_short_utility import beside_audit
from monai_aggrgan.evaluation.utility_comparisons import comparison_rows, verdict_rows
from monai_aggrgan.evaluation.utility_runs import JudgedRuns
from monai_aggrgan.evaluation.utility_verdicts import ALIKE, NO_INTERVAL, NOT_SMALL, Verdict, verdict_of
from tests.evaluation.predicted_runs import CLASSES, predicted_runs

REAL, ADDED = PAIR = (Condition(PATIENT, "real"), Condition(PATIENT, "synthetic", 30))
LABELS = {"small": "Small CNN"}


def judged(real: float, added: float, *, seeds: int = 5) -> JudgedRuns:
    runs = predicted_runs(PAIR, {"real": real, "synthetic": added}, seeds=seeds)
    return JudgedRuns(runs, classes=CLASSES)


def told(its: JudgedRuns, p: float) -> Verdict:
    return verdict_of(its, "small", (ADDED, REAL), its.difference("small", ADDED, REAL, "balanced_accuracy"), p)


def test_p_decides_where_there_is_nothing_against_a_verdict() -> None:
    assert told(judged(0.5, 1.6), 0.049) == Verdict("better") and told(judged(1.6, 0.5), 0.049) == Verdict("worse")
    assert told(judged(0.5, 1.6), 0.05) == Verdict("cannot tell", NOT_SMALL)


@pytest.mark.parametrize(("seeds", "words"), [(4, "4 trainings each"), (1, "1 training each")])
def test_fewer_than_five_trainings_give_no_verdict(seeds: int, words: str) -> None:
    assert told(judged(0.5, 1.6, seeds=seeds), 0.0) == Verdict("cannot tell", f"{words}, and a verdict needs 5")


def test_of_two_that_guess_neither_is_better() -> None:
    """The interval of the second reaches 1 / 3, and it is far below the first one's."""
    guess = Verdict("cannot tell", "neither is shown to do better than guessing, 33.3")
    assert told(judged(-0.9, 0.0), 0.0) == told(judged(0.0, -0.9), 0.0) == guess


def test_one_that_learns_beside_one_that_guesses_is_better() -> None:
    assert told(judged(0.0, 1.6), 0.0) == Verdict("better") and told(judged(1.6, 0.0), 0.0) == Verdict("worse")


def test_without_p_it_is_said_why() -> None:
    assert told(judged(0.9, 0.9), math.nan) == Verdict("cannot tell", ALIKE)
    one = predicted_runs(PAIR, {"synthetic": 1.6, "real": 1.6}, patients=["p"] * 90)
    assert told(JudgedRuns(one, classes=CLASSES), math.nan) == Verdict("cannot tell", NO_INTERVAL)


def test_tables_and_sentences_keep_numbers_and_tell_why() -> None:
    its = JudgedRuns(
        predicted_runs(conditions(base=30, slice_level=False), {"synthetic": 1.6}, seeds=2), classes=CLASSES
    )
    rows = comparison_rows(its, labels=LABELS, base=30)
    assert float(rows[0]["difference"]) > 0.1 and rows[0]["low"] and float(rows[0]["p_holm"]) < 0.05
    assert {(row["verdict"], row["reason"]) for row in rows} == {
        ("cannot tell", "2 trainings each, and a verdict needs 5")
    }
    (verdict,) = verdict_rows(its, rows, labels=LABELS, base=30)
    assert (verdict["verdict"], verdict["reason"]) == ("cannot tell", rows[0]["reason"])
    assert verdict["sentence"].startswith(
        "Small CNN: cannot tell whether 30 synthetic images a class help (2 trainings each, and a verdict needs 5): bal"
    )


def test_differences_end_where_no_difference_of_shares_can_be() -> None:
    its = JudgedRuns(
        predicted_runs(PAIR, {"real": -6.0, "synthetic": 4.0}, seeds=2, patients=PATIENTS), classes=CLASSES
    )
    assert its.difference("small", ADDED, REAL, "balanced_accuracy").high > 1
    (row,) = comparison_rows(its, labels=LABELS, base=30)
    assert row["high"] == "1.000000" and 0 < float(row["low"]) < float(row["difference"])


PATIENTS = [f"p-{image % 6}" for image in range(90)]  # two of each class


@pytest.mark.parametrize(
    ("verdict", "failed", "told"),
    [
        ("helps", True, "fails for the study's images in a (1 of 2 classes): what helps may be copies."),
        ("harms", True, ""),
        ("helps", False, ""),
    ],
)
def test_a_failed_audit_stands_beside_images_that_help(verdict: str, failed: bool, told: str) -> None:
    judged_by = {"method": "aggrgan_ssim", "measure": "flagged"}
    audit = [
        {**judged_by, "class_name": "a", "verdict": "fail" if failed else "pass"},
        {**judged_by, "class_name": "b", "verdict": "pass"},
        {**judged_by, "class_name": "b", "verdict": "fail", "method": "dcgan1"},
        {**judged_by, "class_name": "b", "verdict": "fail", "measure": "other"},
    ]
    found = beside_audit([{"verdict": verdict}], audit)
    assert found.endswith(told) and bool(found) == bool(told)
