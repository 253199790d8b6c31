"""Stage `filter`: the synthetic data set without the images that the memorisation audit flagged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from monai_aggrgan.data.manifest import read_manifest
from monai_aggrgan.stages.evaluate import MEMORIZATION, read_evaluation
from monai_aggrgan.stages.export import METHOD, write_dataset
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import Task

__all__ = ["FILTERED", "tasks"]

logger = logging.getLogger(__name__)

FILTERED = "filtered"


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task: gather the images of AGGrGAN (SSIM) of every class, but for the flagged ones."""
    classes = settings.prepared_classes()
    yield Task(
        name="filter",
        folder=settings.stage_dir(FILTERED),
        settings={"method": METHOD},
        upstream=[
            *(settings.stage_dir("evaluate", name) for name in classes),
            *(settings.stage_dir("stylise", name, METHOD) for name in classes),
            settings.stage_dir("prepare"),
        ],
        work=lambda folder: _filter(folder, settings),
    )


def _filter(folder: Path, settings: StudySettings) -> None:
    kept: list[tuple[Path, dict[str, str]]] = []
    for class_name in settings.prepared_classes():
        source = settings.stage_dir("stylise", class_name, METHOD)
        audit = read_evaluation(settings, class_name, MEMORIZATION)
        flagged = {row["file"] for row in audit if row["method"] == METHOD and row["flagged"]}
        rows = read_manifest(source)
        passed = [
            row for row in rows if (source / row["file"]).relative_to(settings.output_dir).as_posix() not in flagged
        ]
        logger.log(
            logging.INFO if passed else logging.WARNING,
            "%s: %d of %d images are left after those that the audit flagged",
            class_name,
            len(passed),
            len(rows),
        )
        kept += [(source, row) for row in passed]
    write_dataset(folder, kept, settings)
