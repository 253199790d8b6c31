"""Stage `enlarge`: more synthetic images of each class than the study has, for the curve over their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

from monai_aggrgan.data.manifest import read_manifest
from monai_aggrgan.data.prepared import PreparedSlices
from monai_aggrgan.networks.ensemble import GeneratorEnsemble
from monai_aggrgan.networks.vgg19 import VGG19Features
from monai_aggrgan.stages.answers import Round, answer, answer_settings, rounds
from monai_aggrgan.stages.export import METHOD
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.stylise import style_features
from monai_aggrgan.stages.task import Task
from monai_aggrgan.stages.train import load_generator

__all__ = ["ENLARGED", "folders_of", "tasks"]

ENLARGED = "enlarged"


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for each class and round, none where there are images enough or a set from elsewhere is asked about."""
    features = cache(partial(style_features, settings))  # loaded when the first task needs it, once
    for class_name in settings.prepared_classes():
        for turn in _rounds(settings, class_name):
            yield Task(
                name=f"enlarge {class_name}, {turn.folder}",
                folder=settings.stage_dir(ENLARGED, class_name, turn.folder),
                settings={"count": turn.count, **answer_settings(settings)},
                upstream=[
                    settings.stage_dir("stylise", class_name, METHOD),
                    *(settings.stage_dir("generate", class_name, name) for name in settings.generators),
                ],
                work=partial(_enlarge, settings=settings, class_name=class_name, turn=turn, features=features),
            )


def folders_of(settings: StudySettings, class_name: str) -> list[Path]:
    """Folders of the further images of a class, in the order in which they are added."""
    return [settings.stage_dir(ENLARGED, class_name, turn.folder) for turn in _rounds(settings, class_name)]


def _rounds(settings: StudySettings, class_name: str) -> list[Round]:
    if settings.synthetic_dir is not None:
        return []
    own = len(read_manifest(settings.stage_dir("stylise", class_name, METHOD)))
    return [*rounds(max((0, *settings.synthetic_counts)) - own, references=own, first=1)]


def _enlarge(
    folder: Path, *, settings: StudySettings, class_name: str, turn: Round, features: Callable[[], VGG19Features]
) -> None:
    training = PreparedSlices(settings.stage_dir("prepare"), class_name=class_name)
    place = {row["id"]: index for index, row in enumerate(training.rows)}
    ids = [row["reference"] for row in read_manifest(settings.stage_dir("stylise", class_name, METHOD))]
    answer(
        folder,
        settings=settings,
        class_name=class_name,
        turn=turn,
        references=training.images[[place[name] for name in ids]],
        ids=ids,
        network=GeneratorEnsemble(
            {name: load_generator(settings, class_name, name) for name in settings.generators}
        ).to(settings.torch_device),
        features=features,
    )
