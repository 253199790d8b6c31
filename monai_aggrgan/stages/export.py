"""Stage `export`: the finished synthetic images as a data set of their own, with a Decathlon datalist."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from monai_aggrgan.data.manifest import read_manifest, whole_file, write_manifest
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import Task

__all__ = ["DATALIST", "METHOD", "tasks", "write_dataset"]

DATALIST = "datalist.json"
METHOD = "aggrgan_ssim"
COLUMNS = ("class_name", "method", "generators", "seed", "reference", "style_image", "sha256")


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task: gather the images that AGGrGAN (SSIM) made for every class."""
    sources = [settings.stage_dir("stylise", name, METHOD) for name in settings.prepared_classes()]
    yield Task(
        name="export",
        folder=settings.stage_dir("synthetic"),
        settings={"method": METHOD},
        upstream=[source.parent / source.name for source in sources],
        work=lambda folder: write_dataset(
            folder,
            [(source, row) for source in sources for row in read_manifest(source)],
            classes=settings.prepared_classes(),
        ),
    )


def write_dataset(folder: Path, images: Sequence[tuple[Path, dict[str, str]]], *, classes: Sequence[str]) -> None:
    """Copy images into a folder a class, with `manifest.csv` and `datalist.json`.

    Args:
        folder: an existing folder.
        images: of each the folder it lies in and its manifest row there.
        classes: of the study, in the order of their labels, also such as have no image.
    """
    manifest = []
    for source, row in images:
        target = Path(row["class_name"]) / row["file"]
        (folder / target).parent.mkdir(exist_ok=True)
        for name in (row["file"], row["preview"]):
            with whole_file(folder / target.parent / name) as partial:
                shutil.copyfile(source / name, partial)
        manifest.append({"file": target.as_posix(), **{column: row[column] for column in COLUMNS}})
    write_manifest(folder, manifest)
    with whole_file(folder / DATALIST) as partial:
        partial.write_text(json.dumps(_datalist(manifest, classes), indent=1), encoding="utf-8")


def _datalist(manifest: list[dict[str, str]], classes: Sequence[str]) -> dict[str, object]:
    labels = {name: label for label, name in enumerate(classes)}
    return {
        "name": "Synthetic images",
        "description": "Made by AGGrGAN (selection, aggregation, style transfer); the audit says if any is a copy.",
        "modality": {"0": "synthetic"},
        "labels": {str(label): name for name, label in labels.items()},
        "numTraining": len(manifest),
        "training": [
            # no class name: MONAI makes a path of any text that names a folder beside the list
            {"image": row["file"], "label": labels[row["class_name"]]}
            for row in manifest
        ],
    }
