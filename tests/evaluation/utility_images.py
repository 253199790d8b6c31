"""Columns about made-up images for the tests of plans."""

from __future__ import annotations

import numpy as np

from monai_aggrgan.evaluation.utility_facts import ImageFacts

CLASSES = ("glioma", "meningioma", "pituitary")
BASE, MADE = 30, 50
"""Synthetic images a class: those of Table 5, all."""


def real_facts(
    *, sizes: tuple[int, ...] = (120, 80, 100), known: bool = True, folds: int = 0, shared_patients: bool = False
) -> ImageFacts:
    """Patients with one to four images each of one class (or of all); of every fifth the images are held out."""
    rows = []
    for label, size in enumerate(sizes):
        random = np.random.default_rng(label)
        owner = np.repeat(np.arange(size), random.integers(1, 5, size))[:size]
        for number, patient in enumerate(owner.tolist()):
            side = "held_out" if patient % 5 == 0 else "training"
            name = f"p-{patient}" if shared_patients else f"p-{label}-{patient}"
            fold = str(patient % folds + 1) if folds and side == "training" else ""
            image = f"{CLASSES[label]}/{number}"
            rows.append(
                {
                    "id": image,
                    "class_name": CLASSES[label],
                    "patient": name if known else "",
                    "fold": fold,
                    "section": side,
                }
            )
    return ImageFacts.from_rows(rows, CLASSES)


def synthetic_facts(real: ImageFacts, *, count: int = MADE, labels: tuple[int, ...] = (0, 1, 2)) -> ImageFacts:
    """`count` images a class, that answer its training images in turn."""
    references, of_label = [], []
    for label in labels:
        mine = np.intersect1d(real.of_section("training"), real.of_label(label))
        references += [real.ids[mine[number % len(mine)]] for number in range(count)]
        of_label += [label] * count
    ids = tuple(f"s{index}" for index in range(len(references)))
    return ImageFacts.of_synthetic(ids, np.array(of_label, dtype=np.int64), tuple(references))
