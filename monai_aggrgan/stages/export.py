"""Stage `export`: the finished synthetic images as a data set of their own, with a Decathlon datalist."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from monai_aggrgan.data.manifest import file_in, read_manifest, whole_file, write_manifest
from monai_aggrgan.data.splits import TRAINING
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import Task
from monai_aggrgan.stages.train import chosen_by_held_out

__all__ = ["DATALIST", "METHOD", "TRAINED_ON", "seen_in_training", "tasks", "write_dataset", "write_lists"]

DATALIST = "datalist.json"
METHOD = "aggrgan_ssim"
TRAINED_ON = "trained_on.csv"
"""Which real images the generators saw, by id and content, so that whoever trains on the set can leave them out of a
test."""

AUDITED = "Made by AGGrGAN (selection, aggregation, style transfer); the audit says if any is a copy."
COLUMNS = ("class_name", "method", "generators", "seed", "reference", "style_image", "sha256")


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task: gather the images that AGGrGAN (SSIM) made for every class."""
    sources = [settings.stage_dir("stylise", name, METHOD) for name in settings.prepared_classes()]
    yield Task(
        name="export",
        folder=settings.stage_dir("synthetic"),
        settings={"method": METHOD},
        upstream=[*sources, settings.stage_dir("prepare")],
        work=lambda folder: write_dataset(
            folder, [(source, row) for source in sources for row in read_manifest(source)], settings
        ),
    )


def write_dataset(folder: Path, images: Sequence[tuple[Path, dict[str, str]]], settings: StudySettings) -> None:
    """Copy images into a folder a class, with `manifest.csv`, `datalist.json` and `trained_on.csv`.

    Args:
        folder: an existing folder.
        images: of each the folder it lies in and its manifest row there.
        settings: of the study that made them; its classes get labels also where they have no image.
    """
    manifest = []
    for source, row in images:
        file_in(source, row["file"])
        target = file_in(Path(), row["class_name"]) / row["file"]
        (folder / target).parent.mkdir(exist_ok=True)
        for name in (row["file"], row["preview"]):
            with whole_file(folder / target.parent / name) as partial:
                shutil.copyfile(file_in(source, name), partial)
        manifest.append({"file": target.as_posix(), **{column: row[column] for column in COLUMNS}})
    classes = settings.prepared_classes()
    chosen = {name for name in classes if any(chosen_by_held_out(settings, name, of) for of in settings.generators)}
    rows = [row for name in classes for row in read_manifest(settings.stage_dir("prepare", name))]
    write_lists(
        folder,
        manifest,
        classes=classes,
        trained_on=seen_in_training(rows, chosen=chosen),
    )


def write_lists(
    folder: Path,
    manifest: Sequence[Mapping[str, object]],
    *,
    classes: Sequence[str],
    trained_on: Sequence[Mapping[str, str]],
    description: str = AUDITED,
) -> None:
    """Write `trained_on.csv`, `datalist.json` and, last, `manifest.csv` of a folder of images.

    Args:
        folder: which holds the images.
        manifest: a row for each, with `file` and `class_name`.
        classes: of the study, in the order of their labels.
        trained_on: see `seen_in_training`.
        description: what the datalist says of the images.
    """
    write_manifest(folder, trained_on, name=TRAINED_ON)
    with whole_file(folder / DATALIST) as partial:
        partial.write_text(json.dumps(_datalist(manifest, classes, description), indent=1), encoding="utf-8")
    write_manifest(folder, manifest)


def seen_in_training(rows: Iterable[Mapping[str, str]], *, chosen: Collection[str]) -> list[dict[str, str]]:
    """Which prepared images the generators saw, without patients and file names.

    Those who get a synthetic set may not be those who may know them.

    Args:
        rows: of the prepared images' manifest.
        chosen: classes with a generator that was chosen among its checkpoints by held-out images (`select_best`): they
            count, too.
    """
    return [
        {"id": row["id"], "class_name": row["class_name"], "sha256": row.get("sha256", "")}
        for row in rows
        if row["section"] == TRAINING or row["class_name"] in chosen
    ]


def _datalist(
    manifest: Sequence[Mapping[str, object]], classes: Sequence[str], description: str = AUDITED
) -> dict[str, object]:
    labels: dict[object, int] = {name: label for label, name in enumerate(classes)}
    return {
        "name": "Synthetic images",
        "description": description,
        "modality": {"0": "synthetic"},
        "labels": {str(label): name for name, label in labels.items()},
        "numTraining": len(manifest),
        "training": [
            # no class name: MONAI makes a path of any text that names a folder beside the list
            {"image": row["file"], "label": labels[row["class_name"]]}
            for row in manifest
        ],
    }
