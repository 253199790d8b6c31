"""Measures over trainings and test patients: against the same written out, pairs that do not match, gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_aggrgan.evaluation.classification import Predictions, scores
from monai_aggrgan.evaluation.conditions import PATIENT, SLICE, Condition
from monai_aggrgan.evaluation.utility_runs import JudgedRuns, Run
from monai_aggrgan.metrics.crossed import crossed_estimate, deal_groups
from monai_aggrgan.metrics.resampling import clusters_of
from tests.evaluation.predicted_runs import CLASSES, predicted, predicted_runs

REAL, ADDED, MIX = Condition(PATIENT, "real"), Condition(PATIENT, "synthetic", 30), Condition(PATIENT, "mix")


@pytest.fixture
def judged() -> JudgedRuns:
    return JudgedRuns(predicted_runs([REAL, ADDED], {"synthetic": 1.5}, seeds=3), classes=CLASSES, seed=4)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "auc", "calibration_error", "recall ring"])
def test_estimates_and_differences_are_those_of_the_formula(judged: JudgedRuns, metric: str) -> None:
    """Each training, with and without each group of patients, one by one."""
    sample = predicted(0)
    groups = deal_groups(clusters_of(sample.patients), sample.labels, seed=4)
    assert groups.max() == 19
    values = {}
    for condition, margin in ((REAL, 0.5), (ADDED, 1.5)):
        trained = [predicted(margin, seed=seed) for seed in range(3)]
        whole = [scores(run.labels, run.probabilities, classes=CLASSES)[metric] for run in trained]
        without = [
            [
                scores(run.labels[groups != g], run.probabilities[groups != g], classes=CLASSES)[metric]
                for g in range(20)
            ]
            for run in trained
        ]
        values[condition] = np.array(whole), np.array(without)
        assert judged.estimate("small", condition, "real", metric) == pytest.approx(
            crossed_estimate(*values[condition])
        )
    (first, first_without), (second, second_without) = values[ADDED], values[REAL]
    expected = crossed_estimate(first - second, first_without - second_without)
    assert judged.difference("small", ADDED, REAL, metric) == pytest.approx(expected)
    assert judged.difference("small", REAL, ADDED, metric).mean == pytest.approx(-expected.mean)


def test_pairing_makes_a_difference_surer_than_its_sides(judged: JudgedRuns) -> None:
    errors = [judged.estimate("small", condition, "real", "accuracy").error for condition in (REAL, ADDED)]
    assert 0 < judged.difference("small", ADDED, REAL, "accuracy").error < math.hypot(*errors)


def test_what_there_is_is_told_in_order(judged: JudgedRuns) -> None:
    assert judged.tests == [("small", REAL, "real"), ("small", REAL, "synthetic"), ("small", ADDED, "real")]
    assert judged.seeds("small", REAL) == [0, 1, 2] and judged.seeds("other", REAL) == []
    assert judged.images("small", REAL) == 90 and judged.patients("small", REAL) == 30


def test_images_without_a_patient_are_told_and_stand_alone() -> None:
    patients = [f"p-{image // 9}" for image in range(90)]
    known = JudgedRuns(predicted_runs([REAL], {}, patients=patients), classes=CLASSES)
    unknown = JudgedRuns(predicted_runs([REAL], {}, patients=["", *patients[1:]]), classes=CLASSES)
    assert known.patients("small", REAL) == 10 and unknown.patients("small", REAL) is None
    assert known.estimate("small", REAL, "real", "accuracy") != unknown.estimate("small", REAL, "real", "accuracy")


def test_a_copy_of_every_image_makes_nothing_surer_where_patients_are_known() -> None:
    """Slices of one patient are no further evidence: intervals would shrink by a factor of 1.4 were they taken so."""

    def twice(run: Run) -> Run:
        it = run.predictions
        ids = (*it.ids, *(f"{name}-again" for name in it.ids))
        return run._replace(
            predictions=Predictions(np.tile(it.labels, 2), np.tile(it.probabilities, (2, 1)), it.patients * 2, ids)
        )

    runs = predicted_runs([REAL], {})
    once, more = (JudgedRuns(its, classes=CLASSES) for its in (runs, [twice(run) for run in runs]))
    assert more.images("small", REAL) == 180
    assert more.estimate("small", REAL, "real", "accuracy") == pytest.approx(
        once.estimate("small", REAL, "real", "accuracy")
    )


def test_trainings_that_do_not_match_are_refused() -> None:
    runs = predicted_runs([REAL, ADDED], {}, seeds=2)
    fewer = JudgedRuns([run for run in runs if (run.condition, run.seed) != (ADDED, 1)], classes=CLASSES)
    with pytest.raises(ValueError, match=r"has the seeds \[0\] and .* \[0, 1\]"):
        fewer.difference("small", ADDED, REAL, "accuracy")
    for other in (predicted(0, count=87), predicted(0)._replace(ids=tuple(f"other/{image}" for image in range(90)))):
        changed = [*runs[:-1], runs[-1]._replace(predictions=other)]
        with pytest.raises(ValueError, match="were tested on other images with seed 1"):
            JudgedRuns(changed, classes=CLASSES).difference("small", ADDED, REAL, "accuracy")


def test_tests_may_differ_from_seed_to_seed() -> None:
    """As split by slice, and in a mix: all seeds leave out the same patients, of those that they have."""
    sliced = Condition(SLICE, "real")
    parts = [np.arange(0, 90, 2), np.arange(30, 90)]
    runs = []
    for seed, part in enumerate(parts):
        it = predicted(1, seed=seed)
        chosen = Predictions(
            it.labels[part],
            it.probabilities[part],
            tuple(it.patients[image] for image in part),
            tuple(it.ids[image] for image in part),
        )
        runs.append(Run("small", sliced, seed, "real", chosen))
    judged = JudgedRuns(runs, classes=CLASSES)
    assert judged.images("small", sliced) == 60 and judged.patients("small", sliced) == 30
    estimate = judged.estimate("small", sliced, "real", "accuracy")
    assert estimate.low < estimate.mean < estimate.high


def test_where_a_group_is_the_whole_test_of_a_seed_there_is_no_interval() -> None:
    """The second training is right once, the first twice: trainings and groups vary, and yet nothing can be told."""
    labels = np.array([0, 1])
    tests = [
        (np.array([[0.9, 0.1], [0.2, 0.8]]), ("x", "x"), ("1", "2")),
        (np.array([[0.9, 0.1], [0.7, 0.3]]), ("y", "z"), ("3", "4")),
    ]
    runs = [
        Run("small", MIX, seed, "mix", Predictions(labels, *predicted_so)) for seed, predicted_so in enumerate(tests)
    ]
    estimate = JudgedRuns(runs, classes=("disc", "ring")).estimate("small", MIX, "mix", "accuracy")
    assert estimate.mean == 0.75 and math.isnan(estimate.low) and math.isnan(estimate.p)


def test_one_patient_of_a_class_gives_no_interval() -> None:
    patients = ["only" if image % 3 == 0 else f"p-{image // 9}-{image % 3}" for image in range(90)]
    real, more = Condition(PATIENT, "real"), Condition(PATIENT, "synthetic", 30)
    runs = predicted_runs([real, more], {"synthetic": 3.0}, patients=patients)
    judged = JudgedRuns([run for run in runs if run.test == "real"], classes=CLASSES)
    for metric in ("balanced_accuracy", "accuracy"):
        difference = judged.difference("small", more, real, metric)
        assert difference.mean > 0 and math.isnan(difference.low) and math.isnan(difference.p)


def test_a_class_that_is_always_recognised_has_an_interval_over_its_patients() -> None:
    labels = np.arange(90) % 3
    patients = tuple(f"p-{label}-{image // 9}" for image, label in enumerate(labels.tolist()))  # ten a class
    certain = np.eye(3)[np.where((labels == 1) & (np.arange(90) > 60), 0, labels)]
    runs = [
        Run("small", REAL, seed, "real", Predictions(labels, certain, patients, tuple(map(str, range(90)))))
        for seed in (0, 1)
    ]
    its = JudgedRuns(runs, classes=CLASSES)
    always, other = (its.estimate("small", REAL, "real", f"recall {name}") for name in CLASSES[::-2])
    assert always.interval == pytest.approx((1.0, 0.025 ** (1 / 10), 1.0)) == other.interval
    between = its.estimate("small", REAL, "real", "recall ring")
    assert 0 < between.low < between.mean < 1 and between.error > 0
    assert (
        math.isnan(its.estimate("small", REAL, "real", "auc").low)
        or its.estimate("small", REAL, "real", "auc").mean < 1
    )
