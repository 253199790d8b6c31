"""How well a classifier does on some images: accuracy in several senses, ranking, and whether its certainty is due."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["BALANCED", "MEASURES", "Predictions", "recall_of", "scores"]

BALANCED = "balanced_accuracy"
MEASURES = ("accuracy", BALANCED, "macro_f1", "auc", "calibration_error")
BINS = 15


class Predictions(NamedTuple):
    """What a classifier said of some images.

    Attributes:
        labels: their classes (N,), int64 from 0 on.
        probabilities: (N, C), each row's sum is 1.
        patients: whose they are, "" where unknown.
        ids: their names.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    patients: tuple[str, ...]
    ids: tuple[str, ...]


def recall_of(class_name: str) -> str:
    """The name of the measure that is a class's recall."""
    return f"recall {class_name}"


def scores(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], *, classes: Sequence[str]
) -> dict[str, float]:
    """All measures of some predictions.

    `balanced_accuracy` is the mean recall over classes that are there; `macro_f1` the mean F1 over classes that are
    there or were answered; `auc` the mean over classes of the area under the ROC curve of that class against the
    others; `calibration_error` the expected calibration error of the answers, with 15 bins of equal width.

    Args:
        labels: (N,) int64.
        probabilities: (N, C).
        classes: C names.

    Returns:
        `MEASURES` and, for each class, `recall <class>`; NaN where a class has no images. Shares in [0, 1].

    Raises:
        ValueError: when the shapes do not fit.

    Source: Guo et al. 2017, "On calibration of modern neural networks" (expected calibration error).
    """
    if probabilities.shape != (len(labels), len(classes)) or not len(labels):
        raise ValueError(
            f"probabilities must be (N, {len(classes)}) for N labels, N at least 1, got {probabilities.shape} for"
            f" {len(labels)}"
        )
    count = len(classes)
    answers = probabilities.argmax(axis=1)
    table = np.bincount(labels * count + answers, minlength=count**2).reshape(count, count)
    right, there, answered = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    recalls = np.divide(right, there, out=np.full(count, math.nan), where=there > 0)
    f1 = 2 * right / np.maximum(there + answered, 1)
    found = {
        "accuracy": right.sum() / len(labels),
        BALANCED: np.nanmean(recalls),
        "macro_f1": f1[there + answered > 0].mean(),
        "auc": _auc(labels, probabilities, there),
        "calibration_error": _calibration_error(answers == labels, probabilities.max(axis=1)),
    }
    found |= {recall_of(name): recalls[label] for label, name in enumerate(classes)}
    return {name: float(value) for name, value in found.items()}


def _auc(labels: NDArray[np.int64], probabilities: NDArray[np.float64], there: NDArray[np.int64]) -> float:
    """From ranks (Mann and Whitney 1947): how often an image of the class has the higher probability."""
    areas = []
    ranks = rankdata(probabilities, axis=0)
    for label, inside in enumerate(there.tolist()):
        outside = len(labels) - inside
        if inside and outside:
            above = ranks[labels == label, label].sum() - inside * (inside + 1) / 2
            areas.append(above / (inside * outside))
    return float(np.mean(areas)) if areas else math.nan


def _calibration_error(right: NDArray[np.bool_], confidence: NDArray[np.float64]) -> float:
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))
