"""The paper's case 2: real and synthetic images mixed, in training as in the test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.evaluation.utility_checks import enough
from monai_aggrgan.evaluation.utility_draws import chosen_groups, equal_numbers, groups_of, shuffled
from monai_aggrgan.evaluation.utility_facts import Entry, ImageFacts, Indices, Plan
from monai_aggrgan.evaluation.utility_sides import SHARE

__all__ = ["base_set", "entries_of", "mix_by_patient", "mix_by_slice"]

LENDING, BAG = 10, 11
"""What a lot decides, beside those of `utility_draws`."""


def entries_of(kind: str, indices: Indices) -> tuple[Entry, ...]:
    """Images as they are."""
    return tuple(Entry(kind, index) for index in indices.tolist())


def base_set(synthetic: ImageFacts, classes: Sequence[str], *, base: int) -> Indices:
    """The synthetic images that Table 5 is about: the first `base` of each class.

    Raises:
        InputError: when a class has fewer.
    """
    return np.concatenate(
        [enough(synthetic.of_label(label), base, class_name=name)[:base] for label, name in enumerate(classes)]
    )


def mix_by_patient(real: ImageFacts, synthetic: ImageFacts, *, classes: Sequence[str], base: int, seed: int) -> Plan:
    """A fifth of the groups lends its synthetic images to the test, beside the held-out real ones, and trains nothing.

    Of the other groups a fifth validates, with real and synthetic images; the rest trains, equal numbers a class of
    real and of synthetic images.
    """
    groups, made = groups_of(real), base_set(synthetic, classes, base=base)
    place = {name: index for index, name in enumerate(real.ids)}
    made_groups = groups[[place[synthetic.references[index]] for index in made]]
    made_labels, inside = synthetic.labels[made], real.of_section(TRAINING)
    lending = list(chosen_groups(made_groups, made_labels, share=SHARE, seed=derived_seed(seed, LENDING)))
    lent, free = np.isin(made_groups, lending), ~np.isin(groups[inside], lending)
    all_groups = np.concatenate((groups[inside[free]], made_groups[~lent]))
    all_labels = np.concatenate((real.labels[inside[free]], made_labels[~lent]))
    held = np.isin(all_groups, list(chosen_groups(all_groups, all_labels, share=SHARE, seed=seed)))
    parts = {"real": (inside[free], held[: free.sum()]), "synthetic": (made[~lent], held[free.sum() :])}
    labels = {"real": real.labels, "synthetic": synthetic.labels}
    training = [
        entry
        for kind, (indices, out) in parts.items()
        for entry in entries_of(kind, equal_numbers(indices[~out], labels[kind], which=range(len(classes)), seed=seed))
    ]
    validation = [entry for kind, (indices, out) in parts.items() for entry in entries_of(kind, indices[out])]
    test = (*entries_of("real", real.of_section(HELD_OUT)), *entries_of("synthetic", made[lent]))
    return Plan(tuple(training), tuple(validation), {"mix": test})


def mix_by_slice(real: ImageFacts, synthetic: ImageFacts, *, classes: Sequence[str], base: int, seed: int) -> Plan:
    """Equal numbers a class of all real images and of synthetic ones in one bag, and a fifth of each class tests."""
    which = range(len(classes))
    chosen = equal_numbers(np.arange(len(real.ids)), real.labels, which=which, seed=seed)
    made = base_set(synthetic, classes, base=base)
    sides: tuple[list[Entry], list[Entry], list[Entry]] = ([], [], [])
    for label in which:
        bag = entries_of("real", chosen[real.labels[chosen] == label])
        bag += entries_of("synthetic", made[synthetic.labels[made] == label])
        test = round(SHARE * len(bag))
        validation = test + round(SHARE * (len(bag) - test))
        order = shuffled(np.arange(len(bag)), seed, BAG, label)
        for side, part in zip(sides, np.split(order, [test, validation]), strict=True):
            side += [bag[index] for index in part]
    return Plan(tuple(sorted(sides[2])), tuple(sides[1]), {"mix": tuple(sides[0])})
