"""Which real images train, validate and test a classifier, by protocol."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.evaluation.utility_draws import chosen_groups, equal_numbers, groups_of
from monai_aggrgan.evaluation.utility_facts import ImageFacts, Indices, Minority

__all__ = ["SHARE", "Sides", "minority_sides", "patient_sides", "slice_sides", "split_off"]

SHARE = 0.2
"""The paper's: of all images for the test, of the rest for validation."""


class Sides(NamedTuple):
    """Indices of real images."""

    training: Indices
    validation: Indices
    test: Indices


def patient_sides(real: ImageFacts, *, classes: int, seed: int) -> Sides:
    """By patient: the study's held-out images test; of the others groups validate, and as many of each class train."""
    rest, validation = split_off(real, real.of_section(TRAINING), seed=seed)
    training = equal_numbers(rest, real.labels, which=range(classes), seed=seed)
    return Sides(training, validation, real.of_section(HELD_OUT))


def minority_sides(real: ImageFacts, minority: Minority, *, classes: int, seed: int) -> Sides:
    """The same where one class has its kept images alone; the others have the number that they have without that."""
    usual = len(patient_sides(real, classes=classes, seed=seed).training) // classes
    inside = real.of_section(TRAINING)
    left = inside[(real.labels[inside] != minority.label) | np.isin(inside, minority.kept)]
    rest, validation = split_off(real, left, seed=seed)
    others = [label for label in range(classes) if label != minority.label]
    training = equal_numbers(rest, real.labels, which=others, seed=seed, most=usual)
    kept = rest[real.labels[rest] == minority.label]
    return Sides(np.concatenate((training, kept)), validation, real.of_section(HELD_OUT))


def slice_sides(real: ImageFacts, *, classes: int, tested: bool, seed: int) -> Sides:
    """By slice, as the paper: as many of each class, of these each image on its own; all train or validate if not
    `tested`."""
    everything = equal_numbers(np.arange(len(real.ids)), real.labels, which=range(classes), seed=seed)
    by_class = everything.reshape(classes, -1)
    count = by_class.shape[1]
    test = max(1, round(SHARE * count)) if tested else 0
    validation = test + max(1, round(SHARE * (count - test)))
    parts = np.split(by_class, [test, validation], axis=1)
    return Sides(parts[2].ravel(), parts[1].ravel(), parts[0].ravel())


def split_off(real: ImageFacts, indices: Indices, *, seed: int) -> tuple[Indices, Indices]:
    """The images whose groups stay, and those of groups with about a fifth of each class."""
    groups = groups_of(real)[indices]
    chosen = chosen_groups(groups, real.labels[indices], share=SHARE, seed=seed)
    inside = np.isin(groups, list(chosen))
    return indices[~inside], indices[inside]
