"""What cannot be compared is refused in one sentence: too few images or classes, images made from test patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.evaluation.conditions import SLICE, Condition
from monai_aggrgan.evaluation.utility_facts import Entry, ImageFacts, Indices, Minority, Plan
from monai_aggrgan.exceptions import InputError

__all__ = ["TooFewImages", "enough", "refuse_empty", "refuse_few_classes", "refuse_taken_away", "refuse_test_patients"]


class TooFewImages(InputError):
    """A class has no image left for a part of a training; `reason` says so without advice."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}; {advice}.")
        self.reason = reason


def refuse_few_classes(classes: Sequence[str]) -> None:
    """Refuse a study without anything to tell apart (InputError)."""
    if len(classes) < 2:
        shown = f"only '{classes[0]}'" if classes else "none"
        raise InputError(
            f"A classifier needs at least two classes, and this study has {shown}: prepare another class, or name more"
            " in --classes."
        )


def enough(indices: Indices, count: int, *, class_name: str) -> Indices:
    """The same synthetic images of a class, refused (InputError) where they are fewer than `count`."""
    if len(indices) < count:
        raise InputError(
            f"Class '{class_name}' has {len(indices)} synthetic images and {count} are needed: make more, or ask for"
            " fewer (--synthetic_counts)."
        )
    return indices


def refuse_test_patients(real: ImageFacts, synthetic: ImageFacts) -> None:
    """Refuse synthetic images that answer held-out images, others of their patients, or none of this study.

    Raises:
        InputError: naming how many.
    """
    sides = dict(zip(real.ids, real.sections, strict=True))
    owners = dict(zip(real.ids, real.patients, strict=True))
    tested = {owners[name] for name, side in sides.items() if side == HELD_OUT} - {""}
    unknown = sum(reference not in sides for reference in synthetic.references)
    if unknown:
        raise InputError(
            f"{unknown} of {len(synthetic.ids)} synthetic images answer no real image of this study, so it cannot be"
            " checked that they were not made from test patients: make them with this study."
        )
    wrong = sum(sides[name] == HELD_OUT or owners[name] in tested for name in synthetic.references)
    if wrong:
        raise InputError(
            f"{wrong} of {len(synthetic.ids)} synthetic images answer images of held-out patients: a synthetic set made"
            " from test patients cannot show whether it helps, so make one from the training images alone."
        )


def refuse_taken_away(real: ImageFacts, minority: Minority) -> None:
    """Refuse synthetic images of the minority class that answer others than the kept ones (InputError)."""
    kept = {real.ids[index] for index in minority.kept}
    made = minority.synthetic
    if wrong := sum(reference not in kept for reference in made.references):
        raise InputError(
            f"{wrong} of {len(made.ids)} synthetic images of the minority class answer images that were taken away: run"
            " the stage `minority` again."
        )


def refuse_empty(
    plan: Plan, condition: Condition, *, real: ImageFacts, synthetic: ImageFacts, classes: Sequence[str]
) -> None:
    """Refuse a plan that leaves a class without an image to train, validate or test with.

    Raises:
        TooFewImages: naming the smallest such class, what it has and what can be done.
    """
    everything = Counter(real.labels.tolist())
    empty = [
        (everything[label], label, part)
        for part, entries in _parts(plan, condition)
        for label in set(range(len(classes))) - _labels(entries, real, synthetic)
    ]
    if empty:
        _, label, part = min(empty)
        raise TooFewImages(
            f"Class '{classes[label]}' is too small for the split by {_by(condition)}: with"
            f" {_counts(real, synthetic, label)} it has none left for {part}",
            "give more synthetic images of it, made from more patients (--references, or another --synthetic_dir)"
            if "synthetic" in part
            else "add images (and patients) to it, prepare with another --held_out_fraction or --seed, or leave it out"
            " with --classes",
        )


def _parts(plan: Plan, condition: Condition) -> Iterator[tuple[str, list[Entry]]]:
    yield "training", [entry for entry in plan.training if entry.source == "real"]
    if condition.arm == "mix" and condition.protocol != SLICE:
        yield "training (synthetic)", [entry for entry in plan.training if entry.source == "synthetic"]
    yield "validation", list(plan.validation)
    for name, entries in plan.tests.items():
        yield f"the test on {name} images" if name != "mix" else "the test on mixed images", list(entries)


def _labels(entries: Sequence[Entry], real: ImageFacts, synthetic: ImageFacts) -> set[int]:
    return {int((synthetic if entry.kind == "synthetic" else real).labels[entry.index]) for entry in entries}


def _by(condition: Condition) -> str:
    return "slice" if condition.protocol == SLICE else "patient"


def _counts(real: ImageFacts, synthetic: ImageFacts, label: int) -> str:
    mine = real.of_label(label)
    inside, outside = (np.intersect1d(mine, real.of_section(name)) for name in (TRAINING, HELD_OUT))
    patients = len({real.patients[index] for index in inside} - {""})
    of = f" of {patients} {'patient' if patients == 1 else 'patients'}" if patients else ""
    return f"{len(inside)} training images{of}, {len(outside)} held-out and {len(synthetic.of_label(label))} synthetic"
