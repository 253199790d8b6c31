"""Stage `stylise`: every aggregate, and every generator's own candidate, in the style of its reference."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from ignite.engine import State
from monai.engines import PrepareBatchExtraInput

from monai_aggrgan.data.image_folder import read_image_folder
from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.handlers.image_folder_saver import ImageFolderSaver
from monai_aggrgan.inferers.style_transfer import StyleTransferInferer
from monai_aggrgan.networks.vgg19 import VGG19Features
from monai_aggrgan.networks.vgg19_weights import load_vgg19
from monai_aggrgan.stages.aggregate import ids_of, run_evaluator
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.steps import STYLED
from monai_aggrgan.stages.task import Task, digest_of

__all__ = ["METHODS", "style_features", "style_settings", "tasks"]

logger = logging.getLogger(__name__)

METHODS = {"aggregate_ssim": "aggrgan_ssim", "aggregate_psnr": "aggrgan_psnr"}
"""What an aggregate is called once it has its style."""

BATCH = {"cpu": 32, "cuda": 2048}
"""Images between two writes to the folder, from where a killed run goes on: minutes of work."""


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for each class and method."""
    sources = METHODS | {name: f"{name}+style" for name in settings.generators}
    sources |= STYLED if settings.ablation else {}
    features = cache(partial(style_features, settings))  # loaded when the first task needs it, once
    for class_name in settings.prepared_classes():
        for source, method in sources.items():
            content = settings.stage_dir("aggregate", class_name, source)
            yield Task(
                name=f"stylise {method} for {class_name}",
                folder=settings.stage_dir("stylise", class_name, method),
                settings=style_settings(settings),
                upstream=[content, settings.stage_dir("prepare")],
                work=partial(_stylise, settings=settings, content_dir=content, method=method, features=features),
            )


def style_settings(settings: StudySettings) -> dict[str, Any]:
    """Options on which styled images depend."""
    weights = Path(settings.vgg_weights).expanduser()
    return {
        "style_iterations": settings.style_iterations,
        "style_tolerance": settings.style_tolerance,
        "style_precision": str(settings.style_dtype).removeprefix("torch."),
        "vgg_scale": settings.vgg_scale,
        "vgg_weights": digest_of(weights) if weights.is_file() else settings.vgg_weights,
        "seed": settings.seed if settings.vgg_weights == "random" else None,
    }


def style_features(settings: StudySettings) -> VGG19Features:
    """VGG-19 on the study's device and in its precision, judged at the scale that the loss weights presume."""
    network = load_vgg19(settings.vgg_weights, scale=settings.vgg_scale, seed=settings.seed)
    return network.to(settings.torch_device, settings.style_dtype)


def _stylise(
    folder: Path, *, settings: StudySettings, content_dir: Path, method: str, features: Callable[[], VGG19Features]
) -> None:
    contents, rows = read_image_folder(content_dir)
    class_name = rows[0]["class_name"]
    training = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name)
    style_of = dict(zip((row["id"] for row in training.rows), training.images, strict=True))
    row_of = {row["reference"]: row for row in rows}
    samples = [
        {"image": style_of[row["reference"]], "content": content, "id": row["reference"]}
        for content, row in zip(contents, rows, strict=True)
    ]
    inferer = StyleTransferInferer(
        max_iterations=settings.style_iterations, relative_tolerance=settings.style_tolerance, progress=True
    )

    def describe(state: State) -> list[dict[str, object]]:
        return [
            {
                "name": reference.partition("/")[2],
                "class_name": class_name,
                "method": method,
                "seed": row_of[reference]["seed"],
                "reference": reference,
                "style_image": reference,
                "generators": row_of[reference]["generators"],
                **vars(report),
            }
            for reference, report in zip(ids_of(state), inferer.reports, strict=True)
        ]

    saver = ImageFolderSaver(folder, describe=describe)
    prepare_batch = PrepareBatchExtraInput(extra_keys={"content": "content"})
    run_evaluator(
        samples,
        inferer,
        features(),
        saver,
        device=settings.torch_device,
        batch_size=BATCH.get(settings.torch_device.type, BATCH["cpu"]),
        label=f"{class_name} {method}",
        prepare_batch=prepare_batch,
    )
