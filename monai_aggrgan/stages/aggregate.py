"""Stage `aggregate`: for each reference the best image of every generator, and the best of those merged."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ignite.engine import State
from ignite.handlers import ProgressBar
from monai.data import DataLoader, Dataset
from monai.engines import PrepareBatch, SupervisedEvaluator, default_prepare_batch
from monai.inferers import Inferer
from torch import Tensor, nn

from monai_aggrgan.data.manifest import MANIFEST, read_image_array
from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.data.splits import HELD_OUT
from monai_aggrgan.handlers.image_folder_saver import ImageFolderSaver
from monai_aggrgan.inferers.aggregate import AggregationInferer
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import Task

__all__ = ["AGGREGATES", "REAL", "chosen_references", "tasks"]

AGGREGATES = {"aggregate_ssim": "ssim", "aggregate_psnr": "psnr"}
REAL = "real"
BATCH = 8


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for each class and method: every generator alone, both aggregates, and real held-out slices."""
    for class_name in settings.prepared_classes():
        pools = {name: settings.stage_dir("generate", class_name, name) for name in settings.generators}
        prepared = settings.stage_dir("prepare", class_name)
        for method in (*settings.generators, *AGGREGATES, REAL):
            sources = [pools[method]] if method in pools else [] if method == REAL else list(pools.values())
            yield Task(
                name=f"aggregate {method} for {class_name}",
                folder=settings.stage_dir("aggregate", class_name, method),
                settings=_relevant(settings, method),
                inputs=[prepared / MANIFEST],
                work=partial(_aggregate, settings=settings, class_name=class_name, method=method),
                upstream=sources,
            )


def _relevant(settings: StudySettings, method: str) -> dict[str, Any]:
    common = {"references": settings.references, "seed": settings.seed}
    if method not in AGGREGATES:
        return common
    return {**common, "top_k": settings.top_k, "sigma": settings.sigma, "gaussian": settings.gaussian}


def chosen_references(settings: StudySettings, class_name: str) -> tuple[Tensor, list[str]]:
    """Training images (N, 1, H, W) that are answered with synthetic ones, and their ids; drawn by the study's seed."""
    training = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name)
    draw = random.Random(f"{settings.seed} {class_name}")
    chosen = sorted(draw.sample(range(len(training)), min(settings.references, len(training))))
    return training.images[chosen], [training.rows[index]["id"] for index in chosen]


def _aggregate(folder: Path, *, settings: StudySettings, class_name: str, method: str) -> None:
    references, ids = chosen_references(settings, class_name)
    device = settings.torch_device
    pools, ids_of_real = _pools(settings, class_name, method)
    inferer = AggregationInferer(
        pools={name: pool.to(device) for name, pool in pools.items()},
        top_k=settings.top_k if method in AGGREGATES else 1,
        metric=AGGREGATES.get(method, "ssim"),
        sigma=settings.sigma,
        gaussian=settings.gaussian,
    )

    def describe(state: State) -> list[dict[str, object]]:
        return [
            {
                "name": reference.partition("/")[2],
                "class_name": class_name,
                "method": method,
                "seed": "+".join(map(str, report.seeds)) if method != REAL else "",
                "reference": reference,
                "generators": "+".join(report.generators),
                "scores": "+".join(f"{score:.5f}" for score in report.scores),
                "image_of": ids_of_real[report.seeds[0]] if method == REAL else "",
            }
            for reference, report in zip(ids_of(state), inferer.reports, strict=True)
        ]

    samples = [{"image": image, "id": name} for image, name in zip(references, ids, strict=True)]
    saver = ImageFolderSaver(folder, describe=describe)
    run_evaluator(
        samples, inferer, nn.Identity(), saver, device=device, batch_size=BATCH, label=f"{class_name} {method}"
    )


def ids_of(state: State) -> list[str]:
    """Reference ids of an evaluator's current batch."""
    batch: Any = state.batch
    return list(batch["id"])


def _pools(settings: StudySettings, class_name: str, method: str) -> tuple[Mapping[str, Tensor], list[str]]:
    if method == REAL:
        held_out = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name, section=HELD_OUT)
        return {REAL: held_out.images}, [row["id"] for row in held_out.rows]
    names = settings.generators if method in AGGREGATES else (method,)
    return {name: read_image_array(settings.stage_dir("generate", class_name, name))[0] for name in names}, []


def run_evaluator(
    samples: list[dict[str, Any]],
    inferer: Inferer,
    network: nn.Module,
    saver: ImageFolderSaver,
    *,
    device: torch.device,
    batch_size: int,
    label: str,
    prepare_batch: PrepareBatch | None = None,
) -> None:
    """Run MONAI's evaluator over those samples that `saver` does not have yet, and let it save what comes."""
    done = {str(row["name"]) for row in saver.rows}
    left = [sample for sample in samples if sample["id"].partition("/")[2] not in done]
    evaluator = SupervisedEvaluator(
        device=device,
        val_data_loader=DataLoader(Dataset(left), batch_size=batch_size),
        network=network,
        inferer=inferer,
        val_handlers=[saver],
        decollate=False,
        prepare_batch=prepare_batch or default_prepare_batch,
    )
    ProgressBar(desc=label, persist=True).attach(evaluator)
    if left:
        evaluator.run()
    else:
        saver.complete()
