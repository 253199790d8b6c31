"""Made-up predictions of classifiers that are right with a chosen probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from monai_aggrgan.evaluation.classification import Predictions
from monai_aggrgan.evaluation.conditions import Condition
from monai_aggrgan.evaluation.utility_runs import Run

CLASSES = ("disc", "ring", "square")


def predicted(
    margin: float, *, seed: int = 0, count: int = 90, classes: int = 3, patients: Sequence[str] | None = None
) -> Predictions:
    """Equal numbers a class, three images a patient; the images are as difficult to all, `seed` adds what is its own.

    Args:
        margin: by how much the right class stands out.
        seed: of the training.
        count: images.
        classes: how many.
        patients: of the images.
    """
    labels = np.arange(count) % classes
    difficulty = np.random.default_rng(99).normal(size=(count, classes))
    logits = difficulty + 0.4 * np.random.default_rng(seed).normal(size=(count, classes))
    logits[np.arange(count), labels] += margin
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    known = tuple(patients) if patients is not None else tuple(f"p-{image // 9}-{image % 3}" for image in range(count))
    return Predictions(labels, probabilities, known, tuple(f"image/{image}" for image in range(count)))


def predicted_runs(
    conditions: Sequence[Condition],
    margins: Mapping[str, float],
    *,
    classifier: str = "small",
    seeds: int = 5,
    patients: Sequence[str] | None = None,
) -> list[Run]:
    """Every condition's trainings, the margin chosen by the arm; arms that are not named have 0.5."""
    return [
        Run(classifier, condition, seed, test, predicted(margins.get(condition.arm, 0.5), seed=seed, patients=patients))
        for condition in conditions
        for seed in range(seeds)
        for test in condition.tests
    ]
