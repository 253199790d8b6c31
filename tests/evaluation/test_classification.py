"""Measures of predictions: against scikit-learn, calibration bin by bin, classes that are absent, bad shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from monai_aggrgan.evaluation.classification import MEASURES, recall_of, scores

CLASSES = ("a", "b", "c")


def predictions(count: int = 200, classes: int = 3, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Uneven classes, and probabilities with ties that are right more often than not."""
    random = np.random.default_rng(seed)
    labels = random.choice(classes, count, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))
    logits = random.normal(size=(count, classes)).round(1)
    logits[np.arange(count), labels] += 0.7
    probabilities = np.exp(logits)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_measures_are_those_of_scikit_learn(seed: int) -> None:
    labels, probabilities = predictions(seed=seed)
    found, answers = scores(labels, probabilities, classes=CLASSES), probabilities.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, answers))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, answers))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(labels, answers, average="macro"))
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(labels, probabilities, multi_class="ovr"))
    recalls = metrics.recall_score(labels, answers, average=None)
    assert [found[recall_of(name)] for name in CLASSES] == pytest.approx(recalls)
    assert set(found) == {*MEASURES, *map(recall_of, CLASSES)} and all(type(value) is float for value in found.values())
    assert found["accuracy"] != pytest.approx(found["balanced_accuracy"])


def test_ties_of_probability_count_half() -> None:
    labels, probabilities = predictions()
    coarse = probabilities.round(1)
    areas = [metrics.roc_auc_score(labels == label, coarse[:, label]) for label in range(3)]
    assert scores(labels, coarse, classes=CLASSES)["auc"] == pytest.approx(np.mean(areas))


def test_two_classes_have_one_area() -> None:
    labels, probabilities = predictions(classes=2)
    probabilities = probabilities.round(6)  # or ties of one column are none of the other
    found = scores(labels, probabilities, classes="ab")
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(labels, probabilities[:, 1]))
    assert found["auc"] > 0.6


def calibration_error(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Equation 3 of Guo et al. 2017, bin by bin: ((m - 1) / 15, m / 15]."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    total = 0.0
    for number in range(1, 16):
        inside = (confidence > (number - 1) / 15) & (confidence <= number / 15)
        if inside.any():
            total += inside.sum() / len(labels) * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("seed", range(3))
def test_the_calibration_error_is_that_of_guo(seed: int) -> None:
    labels, probabilities = predictions(seed=seed)
    expected = calibration_error(labels, probabilities)
    assert scores(labels, probabilities, classes=CLASSES)["calibration_error"] == pytest.approx(expected)
    assert expected > 0.02


def test_calibration_of_the_sure() -> None:
    sure = np.eye(2)[[0, 0, 1, 1]]
    assert scores(np.array([0, 0, 1, 1]), sure, classes="ab")["calibration_error"] == 0
    assert scores(np.array([0, 1, 1, 0]), sure, classes="ab")["calibration_error"] == pytest.approx(0.5)
    even = np.full((4, 2), 0.5)
    assert scores(np.array([0, 1, 1, 0]), even, classes="ab")["calibration_error"] == pytest.approx(0)


def test_perfect_and_useless_predictions() -> None:
    labels = np.array([0, 1, 2, 2])
    perfect = scores(labels, np.eye(3)[labels], classes=CLASSES)
    assert perfect == {name: 0.0 if name == "calibration_error" else 1.0 for name in perfect}
    useless = scores(labels, np.full((4, 3), 1 / 3), classes=CLASSES)
    assert useless["auc"] == 0.5 and useless["balanced_accuracy"] == pytest.approx(1 / 3)
    assert useless["accuracy"] == 0.25


def test_a_class_without_images_is_left_out_of_the_means() -> None:
    """It still counts in F1 where it was answered, as in scikit-learn."""
    labels, probabilities = predictions()
    keep = labels != 1
    labels, probabilities = labels[keep], probabilities[keep]
    found, answers = scores(labels, probabilities, classes=CLASSES), probabilities.argmax(axis=1)
    assert math.isnan(found["recall b"]) and (answers == 1).any()
    assert found["balanced_accuracy"] == pytest.approx((found["recall a"] + found["recall c"]) / 2)
    areas = [metrics.roc_auc_score(labels == label, probabilities[:, label]) for label in (0, 2)]
    assert found["auc"] == pytest.approx(np.mean(areas))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(labels, answers, average="macro", zero_division=0))


def test_with_one_class_alone_there_is_no_area() -> None:
    found = scores(np.ones(3, dtype=np.int64), np.eye(2)[[1, 1, 0]], classes="ab")
    assert math.isnan(found["auc"]) and math.isnan(found["recall a"])
    assert found["accuracy"] == found["balanced_accuracy"] == found["recall b"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("shape", [(4, 3), (5, 2), (0, 3), (5,)])
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    labels = np.zeros(0 if shape == (0, 3) else 5, dtype=np.int64)
    with pytest.raises(ValueError, match=r"must be \(N, 3\) for N labels, N at least 1"):
        scores(labels, np.zeros(shape), classes=CLASSES)
