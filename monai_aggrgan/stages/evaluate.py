"""Stage `evaluate`: every synthetic image of a class against real ones, and every set of them, into four CSV files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from monai_aggrgan.data.image_folder import read_nifti
from monai_aggrgan.data.manifest import MANIFEST, read_manifest, write_manifest
from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.data.splits import HELD_OUT
from monai_aggrgan.evaluation.audit import Audit, RealImages
from monai_aggrgan.evaluation.distribution import Distribution, ImageSet
from monai_aggrgan.evaluation.similarity import RealPairings
from monai_aggrgan.networks.feature_space import FeatureSpace
from monai_aggrgan.stages import stylise
from monai_aggrgan.stages.aggregate import ABLATION
from monai_aggrgan.stages.feature_spaces import feature_spaces, identity_of_spaces
from monai_aggrgan.stages.measured import Measured
from monai_aggrgan.stages.select import REAL
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.steps import BY_TURNS, MERGED_UNSELECTED, SINGLE_UNSELECTED, STYLED, by_turns
from monai_aggrgan.stages.task import Task

__all__ = ["AUDIT", "DISTRIBUTION", "MEMORIZATION", "RESULTS", "images_of", "method_folders", "tasks"]

RESULTS = "results.csv"
DISTRIBUTION = "distribution.csv"
MEMORIZATION = "memorization.csv"
AUDIT = "audit.csv"
AUDITED = ("class_name", "method", "file", "reference", "patient")

Images = list[tuple[Path, dict[str, str]]]
"""Folder and manifest row of each image of a method."""


def method_folders(settings: StudySettings, class_name: str) -> dict[str, Path]:
    """Folder of every method of a class that has one of its own, in the order of the tables."""
    aggregate, style = (partial(settings.stage_dir, stage, class_name) for stage in ("aggregate", "stylise"))
    folders: dict[str, Path] = {}
    for generator in settings.generators:
        folders |= {generator: aggregate(generator), f"{generator}+style": style(f"{generator}+style")}
    for aggregated, styled in stylise.METHODS.items():
        folders |= {aggregated: aggregate(aggregated), styled: style(styled)}
    folders |= {baseline: aggregate(baseline) for baseline in settings.baselines}
    if settings.ablation:
        folders |= {method: aggregate(method) for method in (*ABLATION, SINGLE_UNSELECTED, MERGED_UNSELECTED)}
        folders |= {method: style(method) for method in STYLED.values()}
    return folders | {REAL: aggregate(REAL)}


def images_of(settings: StudySettings, class_name: str) -> dict[str, Images]:
    """The images of every method that is judged; those of `steps.BY_TURNS` lie in the folders of other methods."""
    folders = method_folders(settings, class_name)
    images = {method: [(folder, row) for row in read_manifest(folder)] for method, folder in folders.items()}
    real = {REAL: images.pop(REAL)}
    turns = BY_TURNS if settings.ablation else ()
    return images | {method: by_turns(settings, class_name, method) for method in turns} | real


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task a class."""
    spaces = cache(partial(feature_spaces, settings))  # loaded when the first task needs them, once
    for class_name in settings.prepared_classes():
        yield Task(
            name=f"evaluate {class_name}",
            folder=settings.stage_dir("evaluate", class_name),
            settings={"seed": settings.seed, **identity_of_spaces(settings)},
            inputs=[settings.stage_dir("prepare", class_name) / MANIFEST],
            upstream=[*method_folders(settings, class_name).values()],
            work=partial(_evaluate, settings=settings, class_name=class_name, spaces=spaces),
        )


class _Reals:
    """A class's real images with what is computed of them once.

    Attributes:
        training: its prepared slices of the training side, on the study's device.
        held_out: of the other side.
    """

    def __init__(self, settings: StudySettings, class_name: str, spaces: list[FeatureSpace]) -> None:
        prepared, device = settings.stage_dir("prepare"), settings.torch_device
        self.training = PreparedSlices(prepared, class_name=class_name).to(device)
        self.held_out = PreparedSlices(prepared, class_name=class_name, section=HELD_OUT).to(device)
        self.pairs = RealPairings(self.training.images, self.held_out.images)
        self.spaces = spaces
        self.sets = {
            side: ImageSet(slices.images, self.features(slices.images), [row["patient"] for row in slices.rows])
            for side, slices in (("training", self.training), ("held_out", self.held_out))
        }

    def audit(self, *, seed: int) -> Audit:
        """What finds copies of the training images."""
        training, held_out = self.sets["training"], self.sets["held_out"]
        return Audit(
            RealImages(training.images, [row["id"] for row in self.training.rows], training.patients),
            RealImages(held_out.images, [row["id"] for row in self.held_out.rows], held_out.patients),
            {space.name: (training.features[space.name], held_out.features[space.name]) for space in self.spaces},
            ssim=self.pairs.ssim(held_out.images)[0],
            seed=seed,
        )

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Features (N, D) of images (N, 1, H, W) in each space."""
        return {space.name: space(images) for space in self.spaces}

    def measure(self, images: Tensor) -> dict[str, Tensor]:
        """What is computed of an image whatever the method."""
        to_training, to_held_out = self.pairs.ssim(images)
        return {"to training": to_training, "to held-out": to_held_out, **self.features(images)}


def _evaluate(
    folder: Path, *, settings: StudySettings, class_name: str, spaces: Callable[[], list[FeatureSpace]]
) -> None:
    reals = _Reals(settings, class_name, spaces())
    measured = Measured(reals.measure)
    listed = images_of(settings, class_name)
    patients = {row["id"]: row["patient"] for row in (*reals.training.rows, *reals.held_out.rows)}
    count = min(len(reals.training), *(len(images) for method, images in listed.items() if method != REAL))
    distribution = Distribution(class_name, **reals.sets, count=count, spaces=reals.spaces, seed=settings.seed)
    copying = reals.audit(seed=settings.seed)
    results: list[dict[str, object]] = []
    sets: list[dict[str, str]] = []
    copies: list[dict[str, object]] = []
    verdicts: list[dict[str, str]] = []
    for method, images in tqdm(listed.items(), f"{class_name} evaluate", unit="method"):
        judged = torch.stack([read_nifti(source / row["file"]) for source, row in images]).to(settings.torch_device)
        columns = measured(judged, [row["sha256"] for _, row in images])
        rows = _told(images, method, patients=patients, settings=settings)
        results += _compare(judged, columns, rows, [row for _, row in images], reals=reals, settings=settings)
        if method != REAL:
            patients_of = [str(row["patient"]) for row in rows]
            features = {space.name: columns[space.name] for space in reals.spaces}
            sets += distribution.judge(method, ImageSet(judged, features, patients_of))
            audited = copying.judge(judged, features, patients=patients_of, ssim=columns["to training"])
            copies += [
                {name: row[name] for name in AUDITED} | found for row, found in zip(rows, audited.images, strict=True)
            ]
            verdicts += [{"class_name": class_name, "method": method, **measure} for measure in audited.measures]
    sets += distribution.judge_real()
    control = copying.judge_held_out()
    copies += [
        {
            "class_name": class_name,
            "method": REAL,
            "file": row["id"],
            "reference": "",
            "patient": row["patient"],
            **found,
        }
        for row, found in zip(reals.held_out.rows, control.images, strict=True)
    ]
    verdicts += [{"class_name": class_name, "method": REAL, **measure} for measure in control.measures]
    write_manifest(folder, results, name=RESULTS)
    write_manifest(folder, sets, name=DISTRIBUTION)
    write_manifest(folder, copies, name=MEMORIZATION)
    write_manifest(folder, verdicts, name=AUDIT)


def _told(images: Images, method: str, *, patients: dict[str, str], settings: StudySettings) -> list[dict[str, object]]:
    """The columns that say what each image is."""
    return [
        {
            "class_name": row["class_name"],
            "method": method,
            "file": (source / row["file"]).relative_to(settings.output_dir).as_posix(),
            "reference": row["reference"],
            "patient": patients[row["image_of"] if method == REAL else row["reference"]],
            "seed": row["seed"],
        }
        for source, row in images
    ]


def _compare(
    judged: Tensor,
    columns: dict[str, Tensor],
    told: list[dict[str, object]],
    rows: list[dict[str, str]],
    *,
    reals: _Reals,
    settings: StudySettings,
) -> list[dict[str, object]]:
    """Rows of results.csv."""
    place = {row["id"]: index for index, row in enumerate(reals.training.rows)}
    is_real = told[0]["method"] == REAL
    compared = reals.pairs.compare(
        judged,
        partners=torch.tensor([place[row["reference"]] for row in rows]),
        seed=settings.seed,
        exclude_held_out=_same_patient(rows, reals.held_out) if is_real else None,
        ssim=(columns["to training"], columns["to held-out"]),
    )
    nearest = {
        name: [slices.rows[index]["id"] if index >= 0 else "" for index in compared.pop(name).tolist()]
        for name, slices in (("nearest_training", reals.training), ("nearest_held_out", reals.held_out))
    }
    texts = {name: [f"{value:.6g}" for value in values.tolist()] for name, values in compared.items()} | nearest
    return [row | {name: values[index] for name, values in texts.items()} for index, row in enumerate(told)]


def _same_patient(rows: list[dict[str, str]], held_out: PreparedSlices) -> Tensor:
    """True (N, L) where a real held-out slice would meet itself or, as far as known, another slice of its patient."""
    patient_of = {row["id"]: row["patient"] or row["id"] for row in held_out.rows}
    patients = [patient_of[row["id"]] for row in held_out.rows]
    return torch.tensor([[patient_of[row["image_of"]] == patient for patient in patients] for row in rows])
