"""The classifiers' predictions, and every measure of them with what other trainings and test patients would change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_aggrgan.evaluation.classification import BALANCED, Predictions, recall_of, scores
from monai_aggrgan.evaluation.conditions import Condition
from monai_aggrgan.metrics.crossed import Estimate, crossed_estimate, deal_groups, without_exception
from monai_aggrgan.metrics.resampling import clusters_of

__all__ = ["JudgedRuns", "Run"]

Scores = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Measure -> its values on all test images (S,) and without each group of them (S, G)."""


class Run(NamedTuple):
    """What one trained classifier said of one test.

    Attributes:
        classifier: its name.
        condition: what it was trained on.
        seed: of the training.
        test: `real`, `synthetic` or `mix`.
        predictions: on the test's images.
    """

    classifier: str
    condition: Condition
    seed: int
    test: str
    predictions: Predictions


class JudgedRuns:
    """Measures of classifiers, over their trainings, and differences of two.

    Test patients are dealt to groups once for each protocol and test, so that all conditions leave out the same.

    Args:
        runs: of all classifiers, conditions and seeds.
        classes: names, in the order of the labels.
        seed: deals the groups.
    """

    def __init__(self, runs: Sequence[Run], *, classes: Sequence[str], seed: int = 0) -> None:
        self.classes, self.seed = classes, seed
        self._runs: dict[tuple[str, Condition, str], dict[int, Predictions]] = {}
        for run in runs:
            self._runs.setdefault((run.classifier, run.condition, run.test), {})[run.seed] = run.predictions
        self._groups: dict[tuple[str, str], dict[str, int]] = {}
        self._scores: dict[tuple[str, Condition, str], Scores] = {}

    @property
    def tests(self) -> list[tuple[str, Condition, str]]:
        """Classifier, condition and test of all that there is, in the order in which they came."""
        return list(self._runs)

    def seeds(self, classifier: str, condition: Condition, test: str = "real") -> list[int]:
        """Seeds of the trainings, in order; none where there are none."""
        return sorted(self._runs.get((classifier, condition, test), {}))

    def images(self, classifier: str, condition: Condition, test: str = "real") -> int:
        """Test images; the most where they differ from seed to seed."""
        return max(len(of_seed.labels) for of_seed in self._runs[classifier, condition, test].values())

    def patients(self, classifier: str, condition: Condition, test: str = "real") -> int | None:
        """Patients that the tests of all seeds have; None where some are unknown."""
        found = {name for of_seed in self._runs[classifier, condition, test].values() for name in of_seed.patients}
        return None if "" in found else len(found)

    def estimate(self, classifier: str, condition: Condition, test: str, metric: str) -> Estimate:
        """A measure's mean over the trainings.

        Where all or none of the answers are right in every training, see `without_exception`.
        """
        found = crossed_estimate(*self._scores_of(classifier, condition, test)[metric])
        patients = self._fewest_patients(classifier, condition, test, metric)
        return found if patients is None else without_exception(found, patients)

    def difference(self, classifier: str, first: Condition, second: Condition, metric: str) -> Estimate:
        """`first` minus `second`, training by training of one seed, on the same real test images.

        Raises:
            ValueError: when the two were not trained with the same seeds or not tested on the same images.
        """
        sides = [self._runs[classifier, condition, "real"] for condition in (first, second)]
        if sides[0].keys() != sides[1].keys():
            raise ValueError(f"{first} has the seeds {sorted(sides[0])} and {second} {sorted(sides[1])}")
        for seed, predictions in sides[0].items():
            if predictions.ids != sides[1][seed].ids:
                raise ValueError(f"{first} and {second} were tested on other images with seed {seed}")
        ours, theirs = (self._scores_of(classifier, condition, "real")[metric] for condition in (first, second))
        return crossed_estimate(ours[0] - theirs[0], ours[1] - theirs[1])

    def _fewest_patients(self, classifier: str, condition: Condition, test: str, metric: str) -> int | None:
        """Test patients on which a share of right answers rests: of its class, or of the class with the fewest."""
        labels = {recall_of(name): {label} for label, name in enumerate(self.classes)}
        labels |= {name: {*range(len(self.classes))} for name in ("accuracy", BALANCED)}
        if metric not in labels:
            return None
        first = self._runs[classifier, condition, test]
        one = first[min(first)]
        clusters = clusters_of(one.patients)
        counts = [len({*clusters[one.labels == label].tolist()}) for label in labels[metric]]
        return min((count for count in counts if count), default=None)

    def _scores_of(self, classifier: str, condition: Condition, test: str) -> Scores:
        key = (classifier, condition, test)
        if key not in self._scores:
            groups = self._groups_of(condition.protocol, test)
            of_seeds = [self._of_seed(self._runs[key][seed], groups) for seed in self.seeds(*key)]
            self._scores[key] = {
                metric: (
                    np.array([whole[metric] for whole, _ in of_seeds]),
                    np.array([[part[metric] for part in without] for _, without in of_seeds]),
                )
                for metric in of_seeds[0][0]
            }
        return self._scores[key]

    def _of_seed(
        self, predictions: Predictions, groups: Mapping[str, int]
    ) -> tuple[dict[str, float], list[dict[str, float]]]:
        """All measures, and the same without each group; NaN where that leaves no image of a class.

        Without any of a class, what is left tells nothing of what other patients of that class would have changed.
        """
        labels, probabilities = predictions.labels, predictions.probabilities
        mine = np.array([groups[name] for name in predictions.ids])
        kept = [mine != group for group in range(max(groups.values()) + 1)]
        whole, there = scores(labels, probabilities, classes=self.classes), len({*labels.tolist()})
        return whole, [
            scores(labels[keep], probabilities[keep], classes=self.classes)
            if len({*labels[keep].tolist()}) == there
            else dict.fromkeys(whole, math.nan)
            for keep in kept
        ]

    def _groups_of(self, protocol: str, test: str) -> dict[str, int]:
        """Group of each image that any training of the protocol was tested on."""
        if (protocol, test) not in self._groups:
            told = {
                name: (label, patient)
                for (_, condition, its), of_seeds in self._runs.items()
                if (condition.protocol, its) == (protocol, test)
                for of_seed in of_seeds.values()
                for name, label, patient in zip(of_seed.ids, of_seed.labels.tolist(), of_seed.patients, strict=True)
            }
            labels = np.array([label for label, _ in told.values()], dtype=np.int64)
            clusters = clusters_of([patient for _, patient in told.values()])
            dealt = deal_groups(clusters, labels, seed=self.seed)
            self._groups[protocol, test] = dict(zip(told, dealt.tolist(), strict=True))
        return self._groups[protocol, test]
