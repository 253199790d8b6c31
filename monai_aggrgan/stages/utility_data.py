"""What the trainings of classifiers are made of: the study's real images and its synthetic ones, in plans' order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from monai_aggrgan.data.image_folder import read_image_folder
from monai_aggrgan.data.labelled_images import CaseImages, LabelledImages
from monai_aggrgan.data.manifest import read_manifest
from monai_aggrgan.evaluation.conditions import MINORITY as PROTOCOL
from monai_aggrgan.evaluation.conditions import Condition, conditions
from monai_aggrgan.evaluation.utility_checks import TooFewImages
from monai_aggrgan.evaluation.utility_facts import Entry, ImageFacts, Minority, Plan
from monai_aggrgan.evaluation.utility_plan import plan
from monai_aggrgan.stages.enlarge import folders_of
from monai_aggrgan.stages.export import METHOD
from monai_aggrgan.stages.minority import MINORITY, fill_of, kept_indices, minority_class
from monai_aggrgan.stages.real_images import facts_of, read_real
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.synthetic_sets import read_synthetic, synthetic_rows
from monai_aggrgan.transforms.flip_shift_zoom import flip_shift_zoom

__all__ = [
    "UtilityData",
    "base_count",
    "conditions_of",
    "left_out",
    "minority_without_images",
    "read_utility_data",
    "sources_of",
    "synthetic_facts",
]


@dataclass(frozen=True)
class UtilityData:
    """All images that classifiers are trained and tested on.

    Attributes:
        classes: names, in the order of the labels.
        base: synthetic images a class that Table 5 is about.
        real: (N, 1, H, W) in [0, 1], half precision.
        real_facts: of each.
        synthetic: (M, 1, H, W), of each class first the set that Table 5 is about, then further ones.
        synthetic_facts: of each.
        minority: which class is taken away, and what was made of the rest; None without that experiment.
        minority_images: the latter's images.
    """

    classes: Sequence[str]
    base: int
    real: Tensor
    real_facts: ImageFacts
    synthetic: Tensor
    synthetic_facts: ImageFacts
    minority: Minority | None = None
    minority_images: Tensor | None = None

    def plan(self, condition: Condition, *, seed: int) -> Plan:
        """What a training is given, see `evaluation.utility_plan.plan`."""
        return plan(
            condition,
            real=self.real_facts,
            synthetic=self.synthetic_facts,
            minority=self.minority,
            classes=self.classes,
            base=self.base,
            seed=seed,
        )

    def images(self, planned: Plan, condition: Condition) -> CaseImages:
        """The images of a plan."""
        tests = {name: self._labelled(entries, condition) for name, entries in planned.tests.items()}
        return CaseImages(
            self._labelled(planned.training, condition), self._labelled(planned.validation, condition), tests
        )

    def told(self, entry: Entry, condition: Condition) -> tuple[str, str, str]:
        """Id, patient and class of an image; a synthetic one counts for the patient of its reference."""
        facts = self._facts(entry, condition)
        own = facts.ids[entry.index]
        real = facts.references[entry.index] if entry.kind == "synthetic" else own
        return own, self._patient_of.get(real, ""), self.classes[int(facts.labels[entry.index])]

    @cached_property
    def _patient_of(self) -> dict[str, str]:
        return dict(zip(self.real_facts.ids, self.real_facts.patients, strict=True))

    def _facts(self, entry: Entry, condition: Condition) -> ImageFacts:
        if entry.kind != "synthetic":
            return self.real_facts
        alone = condition.protocol == PROTOCOL and self.minority is not None
        return self.minority.synthetic if self.minority is not None and alone else self.synthetic_facts

    def _labelled(self, entries: Sequence[Entry], condition: Condition) -> LabelledImages:
        labels = [int(self._facts(entry, condition).labels[entry.index]) for entry in entries]
        alone = condition.protocol == PROTOCOL and self.minority_images is not None
        made = self.minority_images if self.minority_images is not None and alone else self.synthetic
        images = torch.empty(len(entries), *self.real.shape[1:])
        for kind, source in {"real": self.real, "synthetic": made}.items():
            places = [place for place, entry in enumerate(entries) if entry.kind == kind]
            images[places] = source[[entries[place].index for place in places]].float()
        for place, entry in enumerate(entries):
            if entry.source == "transforms":
                images[place] = flip_shift_zoom(self.real[entry.index].float(), entry.kind, entry.seed)
        return LabelledImages(images, torch.tensor(labels, dtype=torch.long))


def base_count(settings: StudySettings) -> int:
    """Synthetic images a class that Table 5 is about: as many as the class has that has the fewest."""
    of_class = [row["class_name"] for row in _rows(settings)]
    return min(of_class.count(name) for name in settings.prepared_classes())


def conditions_of(settings: StudySettings) -> list[Condition]:
    """All conditions of the study; numbers of synthetic images that a set from elsewhere does not have are left out.

    So are mixtures (case 2) for which a class has too few images, see `left_out`.
    """
    without = left_out(settings)
    return [condition for condition in _wanted(settings) if condition not in without]


def left_out(settings: StudySettings) -> dict[Condition, str]:
    """Mixtures of real and synthetic images that a class has too few for with any seed, and why.

    Case 2 needs synthetic images to train, to validate and to test with, of different patients: a class with three has
    none for one of these. The other cases do with any number.
    """
    mixed = [condition for condition in _wanted(settings) if condition.arm == "mix"]
    real, synthetic, found = facts_of(settings), synthetic_facts(settings), dict[Condition, str]()
    classes, base = settings.prepared_classes(), base_count(settings)
    for condition, seed in product(mixed, range(settings.classifier_seeds)):
        try:
            plan(condition, real=real, synthetic=synthetic, classes=classes, base=base, seed=seed)
        except TooFewImages as error:
            found[condition] = error.reason
    return found


def _wanted(settings: StudySettings) -> list[Condition]:
    base = base_count(settings)
    counts = [count for count in settings.synthetic_counts if settings.synthetic_dir is None or count <= base]
    return conditions(base=base, counts=counts, slice_level=settings.slice_level, minority=fill_of(settings))


def sources_of(settings: StudySettings, condition: Condition) -> list[Path]:
    """Folders whose manifests decide what a condition's images are, beside those of `prepare`."""
    if condition.protocol == PROTOCOL:
        return [settings.stage_dir(MINORITY)] if condition.arm == "synthetic" else []
    if condition.arm in ("synthetic", "mix") or "synthetic" in condition.tests:
        more = condition.count > base_count(settings)
        folders = _folders(settings, enlarged=more)
        return [folder for of_class in folders for folder in of_class]
    return []


def read_utility_data(settings: StudySettings) -> UtilityData:
    """All images of the study, checked, see `read_synthetic`.

    Raises:
        InputError: when synthetic images are absent, do not fit the real ones, or were made from test patients.
    """
    classes = settings.prepared_classes()
    images, rows = read_synthetic(settings, folder=settings.synthetic_dir)
    parts, more = [images], list(rows)
    if settings.synthetic_dir is None:
        for folder in chain.from_iterable(folders_of(settings, name) for name in classes):
            part, of_part = read_image_folder(folder)
            parts.append(part)
            more += of_part
    name = minority_class(settings)
    return UtilityData(
        classes=classes,
        base=base_count(settings),
        real=read_real(settings),
        real_facts=facts_of(settings),
        synthetic=torch.cat(parts).half(),
        synthetic_facts=_facts_of_synthetic(more, classes),
        **({} if name is None or fill_of(settings) is None else _minority(settings, name)),
    )


def synthetic_facts(settings: StudySettings) -> ImageFacts:
    """What plans must know of the set that Table 5 is about; a set from elsewhere is checked, see `synthetic_rows`."""
    return _facts_of_synthetic(_rows(settings), settings.prepared_classes())


def minority_without_images(settings: StudySettings) -> Minority | None:
    """What plans must know of the minority before its images are made."""
    name = minority_class(settings)
    if name is None or fill_of(settings) is None:
        return None
    nothing = _facts_of_synthetic([], settings.prepared_classes())
    return Minority(settings.prepared_classes().index(name), kept_indices(settings, name), nothing)


def _minority(settings: StudySettings, class_name: str) -> dict[str, Any]:
    images, rows = read_image_folder(settings.stage_dir(MINORITY))
    classes = settings.prepared_classes()
    made = _facts_of_synthetic(rows, classes)
    kept = kept_indices(settings, class_name)
    return {"minority": Minority(classes.index(class_name), kept, made), "minority_images": images.half()}


def _facts_of_synthetic(rows: Sequence[Mapping[str, str]], classes: Sequence[str]) -> ImageFacts:
    label_of = {name: label for label, name in enumerate(classes)}
    ids = tuple(f"{row['class_name']}/{Path(row['file']).name.partition('.')[0]}" for row in rows)  # names, not places
    labels = np.array([label_of[row["class_name"]] for row in rows], dtype=np.int64)
    return ImageFacts.of_synthetic(ids, labels, tuple(row["reference"] for row in rows))


def _folders(settings: StudySettings, *, enlarged: bool) -> list[list[Path]]:
    if settings.synthetic_dir is not None:
        return [[settings.synthetic_dir]]
    return [
        [settings.stage_dir("stylise", name, METHOD), *(folders_of(settings, name) if enlarged else ())]
        for name in settings.prepared_classes()
    ]


def _rows(settings: StudySettings) -> list[dict[str, str]]:
    """Of the set that Table 5 is about."""
    if settings.synthetic_dir is not None:
        return synthetic_rows(settings, folder=settings.synthetic_dir)
    folders = chain.from_iterable(_folders(settings, enlarged=False))
    return [row for folder in folders for row in read_manifest(folder)]
