"""Lots for the trainings of classifiers: which groups are held back, equal numbers a class, what is added."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.data.patients import join_patients
from monai_aggrgan.data.splits import TRAINING
from monai_aggrgan.evaluation.utility_facts import Entry, ImageFacts, Indices
from monai_aggrgan.transforms.flip_shift_zoom import KINDS

__all__ = [
    "Groups",
    "chosen_groups",
    "equal_numbers",
    "groups_of",
    "in_order",
    "oversampled",
    "shuffled",
    "transformed",
]

Groups = NDArray[np.str_]

GROUPS, ORDER, EQUAL, ADDED = range(4)
"""What a lot decides, so that lots of one seed and class are independent."""


def groups_of(real: ImageFacts) -> Groups:
    """A name for each image (N,), which those share that must stay on one side.

    It is the patient. Where a training image has none, it is the fold, with all its patients, for it may be of any of
    them; unless the training images are of one fold only, which tells nothing. Else the image is alone.
    """
    folds = [fold if section == TRAINING else "" for fold, section in zip(real.folds, real.sections, strict=True)]
    several = len({*folds} - {""}) > 1
    whole = {fold for fold, patient in zip(folds, real.patients, strict=True) if several and not patient} - {""}
    patients = [f"patient {patient}" if patient else "" for patient in real.patients]
    joined = join_patients(patients, [f"fold {fold}" if fold in whole else "" for fold in folds])
    return np.array([group or f"image {name}" for group, name in zip(joined, real.ids, strict=True)])


def chosen_groups(groups: Groups, labels: Indices, *, share: float, seed: int) -> set[str]:
    """Groups by lot, until they have about `share` of each class's images, and of each class at least one.

    A class goes on as long as that brings it nearer to `share`; a group with more than half of the class is passed over
    while there are others. Which groups a class adds depends on the other classes only where they share groups.

    Args:
        groups: of each image (N,).
        labels: of each image (N,).
        share: of the images, between 0 and 1.
        seed: decides.
    """
    chosen: set[str] = set()
    for label in np.unique(labels).tolist():
        names, sizes = np.unique(groups[labels == label], return_counts=True)
        wanted, total = share * sizes.sum(), sizes.sum()
        have = sum(int(size) for name, size in zip(names, sizes, strict=True) if name in chosen)
        free = [index for index in shuffled(np.arange(len(names)), seed, GROUPS, label) if names[index] not in chosen]
        for index in free:
            more = have + int(sizes[index])
            if have and abs(more - wanted) >= abs(have - wanted):
                break
            if more <= total / 2:
                chosen.add(str(names[index]))
                have = more
        if not have:
            chosen.add(str(names[sizes.argmin()]))
    return chosen


def shuffled(indices: Indices, *seeds: int) -> Indices:
    """The same indices in an order that the seeds decide."""
    return np.random.default_rng(derived_seed(*seeds)).permutation(indices)


def equal_numbers(
    indices: Indices, labels: Indices, *, which: Sequence[int], seed: int, most: int | None = None
) -> Indices:
    """As many of each class as the smallest has, or `most` if that is less, by lot; class after class.

    Args:
        indices: of the images that may be taken.
        labels: of all images.
        which: labels of the classes; one without any image leaves none of the others.
        seed: decides.
        most: of each class.
    """
    by_class = [indices[labels[indices] == label] for label in which]
    count = min([len(mine) for mine in by_class] + ([] if most is None else [most]))
    return np.concatenate(
        [shuffled(mine, seed, EQUAL, label)[:count] for label, mine in zip(which, by_class, strict=True)]
    )


def in_order(indices: Indices, *, first: int, label: int, seed: int) -> Indices:
    """Synthetic images of a class by lot, but all of the `first` ones before the others."""
    return np.concatenate(
        [shuffled(part, seed, ORDER, label, number) for number, part in enumerate((indices[:first], indices[first:]))]
    )


def transformed(indices: Indices, *, count: int, label: int, seed: int) -> list[Entry]:
    """`count` flips, shifts and zooms of real images, a third each; an image again only when all had their turn.

    Within a third no image comes twice unless the third is larger than their number.
    """
    order = shuffled(indices, seed, ADDED, label)
    thirds = [(count + 2 - number) // 3 for number in range(3)]
    kinds = [kind for kind, third in zip(KINDS, thirds, strict=True) for _ in range(third)]
    return [
        Entry(kind, int(order[place % len(order)]), derived_seed(seed, ADDED, label, place))
        for place, kind in enumerate(kinds)
    ]


def oversampled(indices: Indices, *, count: int, label: int, seed: int) -> list[Entry]:
    """`count` real images once more; one again only when all had their turn."""
    order = shuffled(indices, seed, ADDED, label)
    return [Entry("real", int(order[place % len(order)]), place // len(order) + 1) for place in range(count)]
