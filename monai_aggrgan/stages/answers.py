"""Further answers: real images answered again from other pools, by the whole method in one inferer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ignite.engine import State
from torch import Tensor

from monai_aggrgan.handlers.image_folder_saver import ImageFolderSaver
from monai_aggrgan.inferers.aggregate import AggregationInferer
from monai_aggrgan.inferers.aggrgan import AGGrGANInferer
from monai_aggrgan.inferers.style_transfer import StyleTransferInferer
from monai_aggrgan.networks.ensemble import GeneratorEnsemble
from monai_aggrgan.networks.vgg19 import VGG19Features
from monai_aggrgan.stages.aggregate import ids_of, run_evaluator
from monai_aggrgan.stages.export import METHOD
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.stylise import BATCH, style_settings

__all__ = ["Round", "answer", "answer_settings", "rounds"]


@dataclass(frozen=True)
class Round:
    """One image more for each of the first `count` references, from the pools of seeds `number` * pool size on."""

    number: int
    count: int

    @property
    def folder(self) -> str:
        """What its folder is called."""
        return f"round_{self.number:03d}"


def rounds(wanted: int, *, references: int, first: int) -> Iterator[Round]:
    """Rounds, numbered from `first` on, that make `wanted` images from so many references."""
    for index, start in enumerate(range(0, wanted, references)):
        yield Round(first + index, min(references, wanted - start))


def answer_settings(settings: StudySettings) -> dict[str, Any]:
    """Options on which answers depend, beside the generators."""
    names = ("pool_size", "matching", "top_k", "merging", "sigma", "gaussian")
    return {name: getattr(settings, name) for name in names} | style_settings(settings)


def answer(
    folder: Path,
    *,
    settings: StudySettings,
    class_name: str,
    turn: Round,
    references: Tensor,
    ids: Sequence[str],
    network: GeneratorEnsemble,
    features: Callable[[], VGG19Features],
) -> None:
    """Fill a folder with the answers of a round, as AGGrGAN (SSIM); goes on where an interrupted run was.

    Args:
        folder: gets images and a manifest, see `ImageFolderSaver`.
        settings: of the study.
        class_name: of the images.
        turn: which round.
        references: real images (N, 1, H, W) in [0, 1]; the first `turn.count` are answered.
        ids: their ids.
        network: the class's generators.
        features: loads VGG-19.
    """
    references, ids = references[: turn.count], ids[: turn.count]
    inferer = AGGrGANInferer(
        AggregationInferer(
            references=references,
            pool_size=settings.pool_size,
            first_seed=turn.number * settings.pool_size,
            top_k=settings.top_k,
            matching=settings.matching,
            merging=settings.merging,
            sigma=settings.sigma,
            gaussian=settings.gaussian,
        ),
        StyleTransferInferer(
            max_iterations=settings.style_iterations, relative_tolerance=settings.style_tolerance, progress=True
        ),
        features(),
    )
    reference_of = {f"{name}-{turn.number}": name for name in ids}

    def describe(state: State) -> list[dict[str, object]]:
        return [
            _row(name, reference_of[name], class_name, report)
            for name, report in zip(ids_of(state), inferer.reports, strict=True)
        ]

    run_evaluator(
        [{"image": image, "id": name} for image, name in zip(references, reference_of, strict=True)],
        inferer,
        network,
        ImageFolderSaver(folder, describe=describe),
        device=settings.torch_device,
        batch_size=BATCH.get(settings.torch_device.type, BATCH["cpu"]),
        label=f"{class_name} {turn.folder}",
    )


def _row(name: str, reference: str, class_name: str, report: dict[str, Any]) -> dict[str, object]:
    made = {column: "+".join(map(str, report.pop(column))) for column in ("generators", "seeds")}
    scores = "+".join(f"{score:.5f}" for score in report.pop("scores"))
    return {
        "name": name.partition("/")[2],
        "class_name": class_name,
        "method": METHOD,
        "seed": made["seeds"],
        "reference": reference,
        "style_image": reference,
        "generators": made["generators"],
        "scores": scores,
        **report,
    }
