"""Training and held-out sides of a data set, split by patient and never by slice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypedDict

from monai_aggrgan.exceptions import InputError

__all__ = ["HELD_OUT", "TRAINING", "SplitItem", "split_by_fold", "split_by_patient"]

TRAINING = "training"
HELD_OUT = "held_out"
MIN_IMAGES = 2
"""Images that a class needs on either side: one to compare with, one to be compared."""


class SplitItem(TypedDict):
    """One image of a data set: the case it is of, its class, and patient and fold where they are known."""

    case: str
    class_name: str
    patient: str | None
    fold: str | None


def split_by_fold(items: Sequence[SplitItem], *, held_out_fold: str, least: int = MIN_IMAGES) -> list[str]:
    """Side of each item by the folds that came with the data set: `held_out_fold` is held out, the rest trains.

    Args:
        items: the images, or the cases before it is known how many images each has.
        held_out_fold: name of the fold.
        least: items that every class must have on either side.

    Raises:
        InputError: when a fold is not known, a patient stands in both sides, or a class lacks images on one side.
    """
    if unknown := next((item for item in items if item["fold"] is None), None):
        raise InputError(
            f"{unknown['case']} has no fold: fill the fold column of --datalist for every image (of the"
            " Figshare set, add cvind.mat), or omit --held_out_fold."
        )
    folds = sorted({str(item["fold"]) for item in items})
    if held_out_fold not in folds:
        raise InputError(f"--held_out_fold {held_out_fold} is not among the datalist's folds {', '.join(folds)}.")
    sides = [HELD_OUT if item["fold"] == held_out_fold else TRAINING for item in items]
    by_patient: dict[str, set[str]] = {}
    for item, side in zip(items, sides, strict=True):
        if item["patient"] is not None:
            by_patient.setdefault(item["patient"], set()).add(side)
    if torn := [patient for patient, met in by_patient.items() if len(met) > 1]:
        raise InputError(f"{len(torn)} patients have slices in fold {held_out_fold} and in others: correct the folds.")
    return _checked(items, sides, least)


def split_by_patient(
    items: Sequence[SplitItem], *, held_out_fraction: float = 0.2, seed: int = 0, least: int = MIN_IMAGES
) -> list[str]:
    """Side of each item: about `held_out_fraction` of each class's patients are held out, drawn by `seed`.

    A patient's slices fall on one side, also across classes (the modalities of BraTS). Where a patient is not known,
    the case stands for one; the caller must say so loudly, for slices of one patient may then be on both sides.

    Args:
        items: the images, or the cases before it is known how many images each has.
        held_out_fraction: between 0 and 1.
        seed: decides who is held out.
        least: items that every class must have on either side.

    Returns:
        `TRAINING` or `HELD_OUT` for each item.

    Raises:
        InputError: when a class has too few patients or images for two sides.

    Example:
        >>> patients = ["Doe", "Doe", "Roe", "Roe", "Poe", "Poe"]
        >>> items = [SplitItem(case=str(i), class_name="glioma", patient=p, fold=None) for i, p in enumerate(patients)]
        >>> sides = split_by_patient(items, held_out_fraction=0.3)
        >>> sorted(sides), sides[0] == sides[1]
        (['held_out', 'held_out', 'training', 'training', 'training', 'training'], True)
    """
    if not 0 < held_out_fraction < 1:
        raise InputError(f"--held_out_fraction must lie between 0 and 1, got {held_out_fraction}.")
    draw = random.Random(seed)
    side_of: dict[str, str] = {}
    for name in dict.fromkeys(item["class_name"] for item in items):
        patients = list(dict.fromkeys(_patient_key(item) for item in items if item["class_name"] == name))
        wanted = max(1, round(held_out_fraction * len(patients)))
        wanted -= sum(side_of.get(patient) == HELD_OUT for patient in patients)
        free = [patient for patient in patients if patient not in side_of]
        draw.shuffle(free)
        held_out = set(free[: max(wanted, 0)])
        side_of.update({patient: HELD_OUT if patient in held_out else TRAINING for patient in free})
    return _checked(items, [side_of[_patient_key(item)] for item in items], least)


def _patient_key(item: SplitItem) -> str:
    return f"patient {item['patient']}" if item["patient"] is not None else f"case {item['case']}"


def _checked(items: Sequence[SplitItem], sides: list[str], least: int) -> list[str]:
    counts = {(item["class_name"], side): 0 for item in items for side in (TRAINING, HELD_OUT)}
    for item, side in zip(items, sides, strict=True):
        counts[item["class_name"], side] += 1
    for (name, side), count in counts.items():
        if count < least:
            raise InputError(
                f"Class '{name}' has {count} {side.replace('_', '-')} images and needs {MIN_IMAGES}: add images"
                " (and patients) to it, change the split (--held_out_fraction, --seed), or leave it out with --classes."
            )
    return sides
