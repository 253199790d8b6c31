"""Stage `select`: every generator's pool is searched for the image that answers each reference."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from monai_aggrgan.data.manifest import MANIFEST, map_image_array, read_manifest, write_manifest
from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.data.splits import HELD_OUT
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.inferers.matching import match
from monai_aggrgan.inferers.select import Selection
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import Task

__all__ = ["METRICS", "REAL", "chosen_references", "open_pool", "read_selection", "refuse_small_pools", "tasks"]

logger = logging.getLogger(__name__)

METRICS = ("ssim", "psnr")
REAL = "real"
"""What the held-out slices are called where they are searched as if a generator had made them."""


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for each class, metric and generator, and one a class for its real held-out slices."""
    for class_name in settings.prepared_classes():
        for metric in METRICS:
            for generator in (*settings.generators, *((*settings.baselines, REAL) if metric == "ssim" else ())):
                yield Task(
                    name=f"select by {metric.upper()} from {generator} for {class_name}",
                    folder=settings.stage_dir("select", class_name, metric, generator),
                    settings={
                        "references": settings.references,
                        "seed": settings.seed,
                        "matching": settings.matching,
                    },
                    inputs=[settings.stage_dir("prepare", class_name) / MANIFEST],
                    work=partial(_select, settings=settings, class_name=class_name, metric=metric, generator=generator),
                    upstream=[] if generator == REAL else [settings.stage_dir("generate", class_name, generator)],
                )


def chosen_references(settings: StudySettings, class_name: str) -> tuple[Tensor, list[str]]:
    """Training images (N, 1, H, W) that are answered with synthetic ones, and their ids; drawn by the study's seed."""
    training = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name)
    draw = random.Random(f"{settings.seed} {class_name}")
    chosen = sorted(draw.sample(range(len(training)), min(settings.references, len(training))))
    return training.images[chosen], [training.rows[index]["id"] for index in chosen]


def open_pool(settings: StudySettings, class_name: str, generator: str) -> tuple[Tensor, list[dict[str, str]]]:
    """Images (N, 1, H, W) that a generator made for a class, or the real held-out slices, and their manifest rows."""
    if generator == REAL:
        held_out = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name, section=HELD_OUT)
        return held_out.images, held_out.rows
    return map_image_array(settings.stage_dir("generate", class_name, generator))


def refuse_small_pools(settings: StudySettings) -> None:
    """Refuse pools that will be too small for a unique matching, before their generators are trained.

    Raises:
        InputError: naming the remedies.
    """
    for class_name in settings.prepared_classes():
        references, _ = chosen_references(settings, class_name)
        _check_pool(settings, pool_size=settings.pool_size, references=len(references))


def _check_pool(settings: StudySettings, *, pool_size: int, references: int) -> None:
    if settings.matching == "unique" and pool_size < references:
        raise InputError(
            f"--matching unique needs a pool of at least as many images as references, got {pool_size} for"
            f" {references}: enlarge --pool_size, answer fewer --references, or use --matching best."
        )


def matching_of(settings: StudySettings, generator: str, *, pool_size: int, references: int) -> str:
    """The study's matching; real slices that are too few to use each at most once are matched as `best`.

    Raises:
        InputError: when a generator's pool is too small.
    """
    if generator != REAL:
        _check_pool(settings, pool_size=pool_size, references=references)
    if settings.matching == "best" or pool_size >= references:
        return settings.matching
    logger.warning(
        "%d held-out slices are too few to answer %d references without repetition: the best are taken, repeatedly",
        pool_size,
        references,
    )
    return "best"


def _select(folder: Path, *, settings: StudySettings, class_name: str, metric: str, generator: str) -> None:
    references, ids = chosen_references(settings, class_name)
    pool, _ = open_pool(settings, class_name, generator)
    matching = matching_of(settings, generator, pool_size=len(pool), references=len(references))
    indices, scores = match(
        pool,
        references.to(settings.torch_device),
        metric=metric,
        matching=matching,
        progress=f"{class_name} {generator} {metric.upper()}",
    )
    rows = zip(ids, indices.tolist(), scores.tolist(), strict=True)
    write_manifest(
        folder,
        [
            {"index": index, "method": generator, "reference": name, "matching": matching, "score": repr(score)}
            for name, index, score in rows
        ],
    )


def read_selection(settings: StudySettings, class_name: str, metric: str, generators: Sequence[str]) -> Selection:
    """What the stage found in the pools of some generators, for the references of a class."""
    columns = [read_manifest(settings.stage_dir("select", class_name, metric, name)) for name in generators]
    return Selection(
        indices=torch.tensor([[int(row["index"]) for row in rows] for rows in columns]).T,
        scores=torch.tensor([[float(row["score"]) for row in rows] for rows in columns]).T,
        generators=tuple(generators),
    )
