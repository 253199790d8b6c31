"""The minority experiment: which training images of a class are kept, and how many would fill it up again."""

from __future__ import annotations

import math

import numpy as np

from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.data.splits import TRAINING
from monai_aggrgan.evaluation.utility_draws import groups_of, shuffled
from monai_aggrgan.evaluation.utility_facts import ImageFacts, Indices, Minority
from monai_aggrgan.evaluation.utility_sides import minority_sides
from monai_aggrgan.exceptions import InputError

__all__ = ["minority_fill", "minority_kept"]

LEAST, LOTS = 2, 10
KEPT, FILL = 20, 21
"""What a lot decides, beside those of `utility_draws` and `utility_mix`."""


def minority_kept(real: ImageFacts, *, label: int, share: float, seed: int) -> Indices:
    """Training images of a class that are kept, by lot, until they are at least `share` of them.

    Whole patients where they are known, else image by image; at least two images, and of two groups (see `groups_of`)
    if the class has them, so that one can validate.

    Args:
        real: all real images.
        label: which class.
        share: of its training images, between 0 and 1.
        seed: of the study.

    Returns:
        Indices into `real`, ascending.

    Raises:
        InputError: when the class has fewer than two training images.
    """
    mine = np.intersect1d(real.of_section(TRAINING), real.of_label(label))
    if len(mine) < LEAST:
        raise InputError(
            f"The minority class has {len(mine)} training images and needs {LEAST}: name another in --minority_class,"
            " or none."
        )
    groups = groups_of(real)
    several = min(LEAST, len({*groups[mine].tolist()}))
    wanted = max(LEAST, math.ceil(share * len(mine) - 1e-9))
    lots = np.array([real.patients[index] or f"image {real.ids[index]}" for index in mine])
    kept = np.empty(0, dtype=np.int64)
    for lot in shuffled(np.arange(len({*lots.tolist()})), seed, KEPT, label):
        if len(kept) >= wanted and len({*groups[kept].tolist()}) >= several:
            break
        kept = np.union1d(kept, mine[lots == np.unique(lots)[lot]])
    return kept


def minority_fill(real: ImageFacts, *, label: int, kept: Indices, classes: int) -> int:
    """Images that bring the minority class back to the number of the others in training, 0 if it has as many.

    How many those are varies a little with the seed of a training, for whole groups validate. All arms and seeds are to
    add one number, so this is the mean over ten lots, always the same ones.

    Args:
        real: all real images.
        label: of the minority class.
        kept: what `minority_kept` gave.
        classes: how many there are.
    """
    minority = Minority(label, kept, ImageFacts.of_synthetic((), np.empty(0, dtype=np.int64), ()))
    lacking = []
    for number in range(LOTS):
        sides = minority_sides(real, minority, classes=classes, seed=derived_seed(FILL, number))
        sizes = np.bincount(real.labels[sides.training], minlength=classes)
        lacking.append(int(sizes.max() - sizes[label]))
    return round(sum(lacking) / LOTS)
