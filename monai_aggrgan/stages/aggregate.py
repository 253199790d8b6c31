"""Stage `aggregate`: the candidates of all generators merged, each generator's own, and what to compare them with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ignite.engine import State
from ignite.handlers import ProgressBar
from monai.data import DataLoader, Dataset
from monai.engines import PrepareBatch, SupervisedEvaluator, default_prepare_batch
from monai.inferers import Inferer
from torch import nn

from monai_aggrgan.data.manifest import MANIFEST
from monai_aggrgan.handlers.image_folder_saver import ImageFolderSaver
from monai_aggrgan.handlers.picture import PictureHandler
from monai_aggrgan.inferers.aggregate import AggregationInferer
from monai_aggrgan.stages.select import REAL, chosen_references, open_pool, read_selection
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.steps import MERGED_UNSELECTED, SINGLE_UNSELECTED, unselected
from monai_aggrgan.stages.task import Task

__all__ = ["ABLATION", "AGGREGATES", "Merging", "ids_of", "merging_of", "run_evaluator", "tasks"]

AGGREGATES = {"aggregate_ssim": "ssim", "aggregate_psnr": "psnr"}
ABLATION = {
    "ablation_best_single": ("best-single", "filter"),
    "ablation_mean": ("mean", "filter"),
    "ablation_metric_weighted": ("metric-weighted", "filter"),
    "ablation_edge_weighted": ("edge-weighted", "filter"),
    "ablation_edge_function": ("edge-weighted", "function"),
}
"""The same candidates, selected by SSIM, merged in other ways (merging, gaussian): what is merging by edges worth?"""

BATCH = 64
PICTURES = 4


@dataclass(frozen=True)
class Merging:
    """How a method makes an image for a reference.

    Attributes:
        generators: whose candidates compete.
        metric: by which they were selected.
        options: `top_k`, `merging`, `sigma` and `gaussian` of `AggregationInferer`.
        selected: whether the candidates are the best of their pools, or drawn, see `steps.unselected`.
    """

    generators: tuple[str, ...]
    metric: str
    options: Mapping[str, Any]
    selected: bool = True


def merging_of(settings: StudySettings, method: str) -> Merging:
    """What a method of this stage does."""
    single = {"top_k": 1, "merging": "best-single"}
    if method == SINGLE_UNSELECTED:
        return Merging(settings.generators, "ssim", single, selected=False)
    if method not in (*AGGREGATES, *ABLATION, MERGED_UNSELECTED):
        return Merging((method,), "ssim", single)
    merging, gaussian = ABLATION.get(method, (settings.merging, settings.gaussian))
    options = {"top_k": settings.top_k, "merging": merging, "sigma": settings.sigma, "gaussian": gaussian}
    return Merging(settings.generators, AGGREGATES.get(method, "ssim"), options, selected=method != MERGED_UNSELECTED)


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for each class and method: generators alone, both aggregates, the ablations, real held-out slices."""
    ablation = (*ABLATION, SINGLE_UNSELECTED, MERGED_UNSELECTED) if settings.ablation else ()
    methods = (*settings.trained, *AGGREGATES, *ablation, REAL)
    for class_name in settings.prepared_classes():
        for method in methods:
            merging = merging_of(settings, method)
            selections = settings.stage_dir("select", class_name, merging.metric)
            made = [settings.stage_dir("generate", class_name, name) for name in merging.generators if name != REAL]
            yield Task(
                name=f"aggregate {method} for {class_name}",
                folder=settings.stage_dir("aggregate", class_name, method),
                settings=dict(merging.options) | ({} if merging.selected else {"seed": settings.seed}),
                inputs=[settings.stage_dir("prepare", class_name) / MANIFEST],
                work=partial(_aggregate, settings=settings, class_name=class_name, method=method),
                upstream=[*(selections / name for name in merging.generators), *made],
            )


def _aggregate(folder: Path, *, settings: StudySettings, class_name: str, method: str) -> None:
    merging = merging_of(settings, method)
    references, ids = chosen_references(settings, class_name)
    pools = {name: open_pool(settings, class_name, name) for name in merging.generators}
    images = {name: pool for name, (pool, _) in pools.items()}
    if merging.selected:
        selection = read_selection(settings, class_name, merging.metric, merging.generators)
    else:
        selection = unselected(settings, references, images, count=int(merging.options["top_k"]))
    inferer = AggregationInferer(
        references=references,
        pools=images,
        selection=selection,
        metric=merging.metric,
        matching=settings.matching,
        **merging.options,
    )
    ids_of_real = [row["id"] for row in pools[REAL][1]] if method == REAL else []

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

    saver = ImageFolderSaver(folder, describe=describe)
    pictures = None
    if method in AGGREGATES:
        pictures = PictureHandler(inferer.pictures, count=PICTURES, tag=f"{class_name}/{method}", log_dir=str(folder))
    run_evaluator(
        [{"image": image, "id": name} for image, name in zip(references, ids, strict=True)],
        inferer,
        nn.Identity(),
        saver,
        device=settings.torch_device,
        batch_size=BATCH,
        label=f"{class_name} {method}",
        handlers=[pictures] if pictures else [],
    )
    if pictures:
        pictures.close()


def ids_of(state: State) -> list[str]:
    """Reference ids of an evaluator's current batch."""
    batch: Any = state.batch
    return list(batch["id"])


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
    handlers: Sequence[Any] = (),
) -> None:
    """Run MONAI's evaluator over those samples that `saver` does not have yet, and let it save what comes."""
    done = {str(row["name"]) for row in saver.rows}
    left = [sample for sample in samples if sample["id"].partition("/")[2] not in done]
    evaluator = SupervisedEvaluator(
        device=device,
        val_data_loader=DataLoader(Dataset(left), batch_size=batch_size),
        network=network,
        inferer=inferer,
        val_handlers=[saver, *handlers],
        decollate=False,
        prepare_batch=prepare_batch or default_prepare_batch,
    )
    ProgressBar(desc=label, persist=True).attach(evaluator)
    if left:
        evaluator.run()
    else:
        saver.complete()
