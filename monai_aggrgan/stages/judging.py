"""The judge of one class: its real images with what is computed of them once, and the rows of what it has judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from monai_aggrgan.data.image_folder import read_nifti
from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.data.splits import HELD_OUT
from monai_aggrgan.evaluation.audit import Audit, RealImages
from monai_aggrgan.evaluation.distribution import Distribution, ImageSet
from monai_aggrgan.evaluation.similarity import RealPairings
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.feature_space import FeatureSpace
from monai_aggrgan.stages.measured import Measured
from monai_aggrgan.stages.select import REAL
from monai_aggrgan.stages.settings import StudySettings

__all__ = ["Images", "Judge"]

Images = Sequence[tuple[Path, dict[str, str]]]
"""Folder and manifest row of each image of a method."""

Row = dict[str, object]


class Judge:
    """Compares the images of methods with the real ones of a class.

    Args:
        settings: of the study.
        class_name: which class.
        spaces: the feature spaces.
        count: images of each set that distributions are judged by, not more than any method has.

    Attributes:
        results: rows of results.csv so far, and so on.
        distribution: rows of distribution.csv.
        memorization: rows of memorization.csv.
        audit: rows of audit.csv.
    """

    def __init__(self, settings: StudySettings, class_name: str, *, spaces: Sequence[FeatureSpace], count: int) -> None:
        self._settings, self._class_name, self._spaces = settings, class_name, spaces
        prepared, device = settings.stage_dir("prepare"), settings.torch_device
        self._training = PreparedSlices(prepared, class_name=class_name).to(device)
        self._held_out = PreparedSlices(prepared, class_name=class_name, section=HELD_OUT).to(device)
        self._patients = {row["id"]: row["patient"] for row in (*self._training.rows, *self._held_out.rows)}
        self._place = {row["id"]: index for index, row in enumerate(self._training.rows)}
        self._pairings = RealPairings(self._training.images, self._held_out.images)
        self._measured = Measured(self._measure)
        training, held_out = self._image_set(self._training), self._image_set(self._held_out)
        self._refuse_useless(training)
        self._distribution = Distribution(
            class_name,
            training=training,
            held_out=held_out,
            count=min(count, len(self._training)),
            spaces=spaces,
            seed=settings.seed,
        )
        self._audit = Audit(
            RealImages(training.images, [row["id"] for row in self._training.rows], training.patients),
            RealImages(held_out.images, [row["id"] for row in self._held_out.rows], held_out.patients),
            {space.name: (training.features[space.name], held_out.features[space.name]) for space in spaces},
            nearest=self._pairings.nearest_training(held_out.images),
            seed=settings.seed,
        )
        self.results: list[Row] = []
        self.distribution: list[dict[str, str]] = []
        self.memorization: list[Row] = []
        self.audit: list[dict[str, str]] = []

    def _refuse_useless(self, training: ImageSet) -> None:
        """Refuse a space that cannot tell real images apart: in it everything is a copy of everything."""
        for name, features in training.features.items():
            if len(features) > 1 and (features == features[0]).all():
                raise InputError(
                    f"feature space '{name}' gives the same features for all {len(features)} training images of class"
                    f" '{self._class_name}': leave it out, or mend its module."
                )

    def _image_set(self, slices: PreparedSlices) -> ImageSet:
        return ImageSet(slices.images, self._features(slices.images), [row["patient"] for row in slices.rows])

    def _features(self, images: Tensor) -> dict[str, Tensor]:
        return {space.name: space(images) for space in self._spaces}

    def _measure(self, images: Tensor) -> dict[str, Tensor]:
        """What is computed of an image whatever the method."""
        to_training, to_held_out = self._pairings.shortlists(images)
        return {"to training": to_training, "to held-out": to_held_out, **self._features(images)}

    def judge(self, method: str, images: Images) -> None:
        """Judge the images of a method as images, as a set, and for copies."""
        judged = self._images(images)
        columns = self._measured(judged, [row["sha256"] for _, row in images])
        rows = [self._told(method, source, row) for source, row in images]
        shortlists = columns["to training"], columns["to held-out"]
        compared = self._compare(judged, [row for _, row in images], shortlists)
        self._keep_results(rows, compared)
        patients = [str(row["patient"]) for row in rows]
        features = {space.name: columns[space.name] for space in self._spaces}
        self.distribution += self._distribution.judge(method, ImageSet(judged, features, patients))
        nearest = compared["ssim_nearest"], compared["nearest_training"]
        found = self._audit.judge(judged, features, patients=patients, nearest=nearest)
        named = [{name: value for name, value in row.items() if name != "seed"} for row in rows]
        self.memorization += [row | columns for row, columns in zip(named, found.images, strict=True)]
        self.audit += [{"class_name": self._class_name, "method": method, **measure} for measure in found.measures]

    def judge_real(self, images: Images) -> None:
        """Judge the held-out images that were selected as if they were synthetic, and all of them for copies.

        As a set, training images stand in their place: they are the real ones that are not held out.
        """
        judged, rows = self._images(images), [row for _, row in images]
        shortlists = self._pairings.shortlists(judged, exclude_held_out=self._same_patient(rows))
        compared = self._compare(judged, rows, shortlists)
        self._keep_results([self._told(REAL, source, row) for source, row in images], compared)
        self.distribution += self._distribution.judge_real()
        found = self._audit.judge_held_out()
        told = {"class_name": self._class_name, "method": REAL}
        self.memorization += [
            {**told, "file": row["id"], "reference": "", "patient": row["patient"], **columns}
            for row, columns in zip(self._held_out.rows, found.images, strict=True)
        ]
        self.audit += [{**told, **measure} for measure in found.measures]

    def _images(self, images: Images) -> Tensor:
        judged = torch.stack([read_nifti(source / row["file"]) for source, row in images])
        return judged.to(self._settings.torch_device)

    def _told(self, method: str, source: Path, row: dict[str, str]) -> Row:
        """The columns that say what an image is."""
        return {
            "class_name": self._class_name,
            "method": method,
            "file": (source / row["file"]).relative_to(self._settings.output_dir).as_posix(),
            "reference": row["reference"],
            "patient": self._patients[row["image_of"] if method == REAL else row["reference"]],
            "seed": row["seed"],
        }

    def _compare(
        self, judged: Tensor, rows: list[dict[str, str]], shortlists: tuple[Tensor, Tensor]
    ) -> dict[str, Tensor]:
        partners = torch.tensor([self._place[row["reference"]] for row in rows])
        return self._pairings.compare(judged, partners=partners, seed=self._settings.seed, shortlists=shortlists)

    def _keep_results(self, told: list[Row], compared: dict[str, Tensor]) -> None:
        sides = {"nearest_training": self._training, "nearest_held_out": self._held_out}
        texts = {name: [f"{value:.6g}" for value in column.tolist()] for name, column in compared.items()}
        for name, slices in sides.items():
            texts[name] = [slices.rows[index]["id"] if index >= 0 else "" for index in compared[name].tolist()]
        self.results += [row | {name: column[i] for name, column in texts.items()} for i, row in enumerate(told)]

    def _same_patient(self, rows: list[dict[str, str]]) -> Tensor:
        """True (N, L) where a held-out slice would meet itself or, as far as known, another slice of its patient."""
        patient_of = {row["id"]: row["patient"] or row["id"] for row in self._held_out.rows}
        patients = [patient_of[row["id"]] for row in self._held_out.rows]
        return torch.tensor([[patient_of[row["image_of"]] == patient for patient in patients] for row in rows])
