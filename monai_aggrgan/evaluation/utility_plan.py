"""Who trains on what when it is asked whether synthetic images help: the lists of images of each training and test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monai_aggrgan.evaluation.conditions import MINORITY, PATIENT, SLICE, Condition
from monai_aggrgan.evaluation.utility_checks import (
    enough,
    refuse_empty,
    refuse_few_classes,
    refuse_taken_away,
    refuse_test_patients,
)
from monai_aggrgan.evaluation.utility_draws import in_order, oversampled, transformed
from monai_aggrgan.evaluation.utility_facts import Entry, ImageFacts, Indices, Minority, Plan
from monai_aggrgan.evaluation.utility_minority import minority_fill, minority_kept
from monai_aggrgan.evaluation.utility_mix import base_set, entries_of, mix_by_patient, mix_by_slice
from monai_aggrgan.evaluation.utility_sides import Sides, minority_sides, patient_sides, slice_sides

__all__ = ["Entry", "ImageFacts", "Minority", "Plan", "minority_fill", "minority_kept", "plan"]


def plan(
    condition: Condition,
    *,
    real: ImageFacts,
    synthetic: ImageFacts,
    minority: Minority | None = None,
    classes: Sequence[str],
    base: int,
    seed: int,
) -> Plan:
    """The images of one training and of its tests, decided by the seed.

    With the same seed, all arms of a protocol that train on real images have the same of them and the same validation.
    By patient, test images are those that the study has held out, and a group (see `groups_of`) of the others is either
    in training or in validation; `mix` tests also on synthetic images whose references' groups train nothing. By slice
    each image is drawn on its own, as in the paper.

    Args:
        condition: what is asked for.
        real: all real images of the study.
        synthetic: of each class first the set that Table 5 is about, then further images for the curve.
        minority: for the protocol `MINORITY`, whose own synthetic images are then added instead.
        classes: names, in the order of the labels.
        base: size of that set, images a class.
        seed: of the training, at least 0.

    Raises:
        InputError: when there are fewer than two classes, a class has too few images for the split, there are fewer
            synthetic images than asked for, or some were made from images of test patients.
        ValueError: when `minority` is needed and is None.
    """
    refuse_few_classes(classes)
    made = synthetic
    if condition.protocol == MINORITY:
        minority = _needed(minority)
        made = minority.synthetic
        refuse_taken_away(real, minority)
    if condition.protocol != SLICE:
        refuse_test_patients(real, made)
    if condition.arm == "mix":
        mixed = {PATIENT: mix_by_patient, SLICE: mix_by_slice}[condition.protocol]
        planned = mixed(real, synthetic, classes=classes, base=base, seed=seed)
    else:
        sides = _sides(condition, real, minority, classes=len(classes), seed=seed)
        added = list(_added(condition, real, made, sides.training, minority, classes=classes, base=base, seed=seed))
        tests = {name: _test(name, synthetic, sides, classes=classes, base=base) for name in condition.tests}
        planned = Plan((*entries_of("real", sides.training), *added), entries_of("real", sides.validation), tests)
    refuse_empty(planned, condition, real=real, synthetic=made, classes=classes)
    return planned


def _needed(minority: Minority | None) -> Minority:
    if minority is None:
        raise ValueError("the protocol `minority` needs a Minority, got None")
    return minority


def _sides(condition: Condition, real: ImageFacts, minority: Minority | None, *, classes: int, seed: int) -> Sides:
    if condition.protocol == SLICE:
        return slice_sides(real, classes=classes, tested=condition.arm != "all", seed=seed)
    if condition.protocol == MINORITY:
        return minority_sides(real, _needed(minority), classes=classes, seed=seed)
    return patient_sides(real, classes=classes, seed=seed)


def _test(name: str, synthetic: ImageFacts, sides: Sides, *, classes: Sequence[str], base: int) -> tuple[Entry, ...]:
    if name == "real":
        return entries_of("real", sides.test)
    return entries_of("synthetic", base_set(synthetic, classes, base=base))


def _added(
    condition: Condition,
    real: ImageFacts,
    made: ImageFacts,
    training: Indices,
    minority: Minority | None,
    *,
    classes: Sequence[str],
    base: int,
    seed: int,
) -> Iterator[Entry]:
    alone = condition.protocol == MINORITY
    for label in [_needed(minority).label] if alone else range(len(classes)):
        mine, count = training[real.labels[training] == label], condition.count
        if condition.arm == "synthetic":
            found = enough(made.of_label(label), count, class_name=classes[label])
            yield from entries_of("synthetic", in_order(found, first=base, label=label, seed=seed)[:count])
        elif condition.arm == "transforms" and len(mine):
            yield from transformed(mine, count=count, label=label, seed=seed)
        elif condition.arm == "oversampling" and len(mine):
            yield from oversampled(mine, count=count, label=label, seed=seed)
