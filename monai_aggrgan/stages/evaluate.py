"""Stage `evaluate`: every synthetic image against real ones in four pairings, one row an image in `results.csv`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from monai_aggrgan.data.image_folder import read_image_folder
from monai_aggrgan.data.manifest import MANIFEST, write_manifest
from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.data.splits import HELD_OUT
from monai_aggrgan.evaluation.similarity import compare_with_reals
from monai_aggrgan.stages import stylise
from monai_aggrgan.stages.aggregate import ABLATION
from monai_aggrgan.stages.select import REAL
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import Task

__all__ = ["RESULTS", "method_folders", "tasks"]

RESULTS = "results.csv"


def method_folders(settings: StudySettings) -> dict[tuple[str, str], Path]:
    """Folder of every class and method whose images are judged, in the order of the tables."""
    folders = {}
    for class_name in settings.prepared_classes():
        for generator in settings.generators:
            folders[class_name, generator] = settings.stage_dir("aggregate", class_name, generator)
            folders[class_name, f"{generator}+style"] = settings.stage_dir("stylise", class_name, f"{generator}+style")
        for aggregated, styled in stylise.METHODS.items():
            folders[class_name, aggregated] = settings.stage_dir("aggregate", class_name, aggregated)
            folders[class_name, styled] = settings.stage_dir("stylise", class_name, styled)
        for method in ABLATION if settings.ablation else ():
            folders[class_name, method] = settings.stage_dir("aggregate", class_name, method)
        folders[class_name, REAL] = settings.stage_dir("aggregate", class_name, REAL)
    return folders


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for the whole study."""
    folders = method_folders(settings)
    yield Task(
        name="evaluate",
        folder=settings.stage_dir("evaluate"),
        settings={"seed": settings.seed},
        inputs=[settings.stage_dir("prepare") / MANIFEST],
        upstream=list(folders.values()),
        work=partial(_evaluate, settings=settings, folders=folders),
    )


def _evaluate(folder: Path, *, settings: StudySettings, folders: dict[tuple[str, str], Path]) -> None:
    rows: list[dict[str, object]] = []
    for (class_name, method), source in tqdm(folders.items(), "evaluate", unit="method"):
        training = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name)
        held_out = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name, section=HELD_OUT)
        rows += _compare(source, method, training=training, held_out=held_out, settings=settings)
    write_manifest(folder, rows, name=RESULTS)


def _compare(
    source: Path, method: str, *, training: PreparedSlices, held_out: PreparedSlices, settings: StudySettings
) -> list[dict[str, object]]:
    images, rows = read_image_folder(source)
    place = {row["id"]: index for index, row in enumerate(training.rows)}
    columns = compare_with_reals(
        images,
        partners=training.images[[place[row["reference"]] for row in rows]],
        training=training.images,
        held_out=held_out.images,
        seed=settings.seed,
        exclude_held_out=_same_patient(rows, held_out) if method == REAL else None,
    )
    nearest = {
        "nearest_training": [training.rows[index]["id"] for index in columns.pop("nearest_training").tolist()],
        "nearest_held_out": [
            held_out.rows[index]["id"] if index >= 0 else "" for index in columns.pop("nearest_held_out").tolist()
        ],
    }
    numbers = {name: [f"{value:.6g}" for value in values.tolist()] for name, values in columns.items()}
    return [
        {
            "class_name": row["class_name"],
            "method": method,
            "file": (source / row["file"]).relative_to(settings.output_dir).as_posix(),
            "reference": row["reference"],
            "seed": row["seed"],
            **{name: values[index] for name, values in (numbers | nearest).items()},
        }
        for index, row in enumerate(rows)
    ]


def _same_patient(rows: list[dict[str, str]], held_out: PreparedSlices) -> Tensor:
    """True (N, L) where a real held-out slice would meet itself or, as far as known, another slice of its patient."""
    patient_of = {row["id"]: row["patient"] or row["id"] for row in held_out.rows}
    patients = [patient_of[row["id"]] for row in held_out.rows]
    return torch.tensor([[patient_of[row["image_of"]] == patient for patient in patients] for row in rows])
