"""What is known of the images that classifiers may be given, and the lists of those that they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Entry", "ImageFacts", "Indices", "Minority", "Plan"]

Indices = NDArray[np.int64]


class ImageFacts(NamedTuple):
    """Columns about N images, real or synthetic, in the order of their array.

    Attributes:
        ids: names, each once.
        labels: classes (N,), 0 to C - 1 in the study's order.
        patients: whose they are, "" where unknown; of synthetic images all "".
        folds: of the data set, "" where unknown; of synthetic images all "".
        sections: `training` or `held_out`; of synthetic images all "".
        references: of a synthetic image the id of the real one that it answers; of real images all "".
    """

    ids: tuple[str, ...]
    labels: Indices
    patients: tuple[str, ...]
    folds: tuple[str, ...]
    sections: tuple[str, ...]
    references: tuple[str, ...]

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, str]], classes: Sequence[str]) -> ImageFacts:
        """Columns about real images from the manifest rows of `prepare`; `classes` in the order of their labels."""
        label_of = {name: label for label, name in enumerate(classes)}
        labels = np.array([label_of[row["class_name"]] for row in rows], dtype=np.int64)
        ids, patients, folds, sections = (
            tuple(row[name] for row in rows) for name in ("id", "patient", "fold", "section")
        )
        return cls(ids, labels, patients, folds, sections, ("",) * len(rows))

    @classmethod
    def of_synthetic(cls, ids: tuple[str, ...], labels: Indices, references: tuple[str, ...]) -> ImageFacts:
        """Columns about synthetic images."""
        nothing = ("",) * len(ids)
        return cls(ids, labels, nothing, nothing, nothing, references)

    def of_section(self, section: str) -> Indices:
        """Indices of the images of one section."""
        return np.flatnonzero(np.array(self.sections) == section)

    def of_label(self, label: int) -> Indices:
        """Indices of the images of one class."""
        return np.flatnonzero(self.labels == label)


class Minority(NamedTuple):
    """A class of which most training images are taken away.

    Attributes:
        label: which class.
        kept: indices of those of its real training images that stay.
        synthetic: what generators made that were trained on the kept ones alone.
    """

    label: int
    kept: Indices
    synthetic: ImageFacts


@dataclass(frozen=True, order=True, slots=True)
class Entry:
    """One image of a training or a test.

    Attributes:
        kind: `real` and `synthetic` are taken as they are; `flip`, `shift` and `zoom` are made of a real one.
        index: in the array of the real, or of the synthetic images; of `MINORITY` these are its own synthetic ones.
        seed: of the transform; of a real image how often the training has it before, 0 but for oversampling.
    """

    kind: str
    index: int
    seed: int = 0

    @property
    def source(self) -> str:
        """`real`, `synthetic`, `transforms` or `oversampling`."""
        if self.kind == "real":
            return "oversampling" if self.seed else "real"
        return "synthetic" if self.kind == "synthetic" else "transforms"


class Plan(NamedTuple):
    """What one training is given, and what its classifier is tested on.

    Attributes:
        training: real images first, then what is added.
        validation: chooses the epoch.
        tests: by name.
    """

    training: tuple[Entry, ...]
    validation: tuple[Entry, ...]
    tests: Mapping[str, tuple[Entry, ...]]
