"""Stage `generate`: each trained generator's pool of images, image i from seed i."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from monai_aggrgan.data.image_folder import write_png
from monai_aggrgan.data.manifest import sha256_of, write_image_array
from monai_aggrgan.inferers.select import make_pool
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import Task
from monai_aggrgan.stages.train import GENERATOR, load_generator
from monai_aggrgan.visualize.figures import contact_sheet

__all__ = ["tasks"]

BATCH = 128
SHEET = 64


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for each class and generator."""
    for class_name in settings.prepared_classes():
        for generator in settings.trained:
            yield Task(
                name=f"generate {settings.labels[generator]} for {class_name}",
                folder=settings.stage_dir("generate", class_name, generator),
                settings={"pool_size": settings.pool_size, "image_size": settings.image_size},
                inputs=[settings.stage_dir("train", class_name, generator) / GENERATOR],
                work=partial(_generate, settings=settings, class_name=class_name, generator=generator),
            )


def _generate(folder: Path, *, settings: StudySettings, class_name: str, generator: str) -> None:
    network = load_generator(settings, class_name, generator)
    label = f"{class_name} {settings.labels[generator]} pool"
    starts = tqdm(range(0, settings.pool_size, BATCH), label, unit="batch")
    pool = torch.cat(
        [make_pool(network, seeds=range(start, min(start + BATCH, settings.pool_size))) for start in starts]
    )
    rows = [
        {"class_name": class_name, "method": generator, "seed": seed, "sha256": sha256_of(image.numpy().tobytes())}
        for seed, image in enumerate(pool.cpu())
    ]
    write_png(folder / "samples.png", contact_sheet(pool[:SHEET].cpu(), title=label))
    write_image_array(folder, pool, rows)
