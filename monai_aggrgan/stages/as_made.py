"""Whether a study is finished, and made with the options given now, before it is asked what its images are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from pathlib import Path

from monai_aggrgan.evaluation.report_words import listed
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.export import METHOD
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import Task, is_finished, read_record

__all__ = ["refuse_other_options", "refuse_unfinished"]

AGGREGATE = "aggregate_ssim"
GIVEN = "give the options that it was made with"
FREE = ("configs", "precision", "style_precision")
"""What may differ: the configs of another version, and what another machine is quicker with."""


def refuse_unfinished(settings: StudySettings, stages: Mapping[str, Callable[[StudySettings], Iterable[Task]]]) -> None:
    """Refuse a folder without a study, or with one whose images of the final method are not there yet.

    Args:
        settings: of the study. A set of images from elsewhere needs prepared images alone.
        stages: name -> what gives a stage's tasks.

    Raises:
        InputError: naming the stages to run.
    """
    folder = settings.output_dir
    record = read_record(settings.stage_dir("prepare"))
    if record is None and not settings.stage_dir("prepare").is_dir():
        raise InputError(
            f"There is no study in {folder}: --output_dir must name the folder of a finished one; is it mistyped?"
        )
    if record is not None and not record["finished"]:
        raise InputError(f"The study in {folder} is not finished: run it, without a stage's name, to its end first.")
    left = [
        stage
        for stage, tasks in _tasks(settings, stages).items()
        if not all(is_finished(task.folder) for task in tasks)
    ]
    if left:
        raise InputError(
            f"The study in {folder} is not finished: run its {'stage' if len(left) == 1 else 'stages'}"
            f" {listed([f'`{stage}`' for stage in left])} first; or {GIVEN}, such as --generators and --classes."
        )


def refuse_other_options(
    settings: StudySettings, stages: Mapping[str, Callable[[StudySettings], Iterable[Task]]]
) -> None:
    """Refuse options with which generators would not be those of the study, or further images not like its own.

    Args:
        settings: of the study.
        stages: name -> what gives a stage's tasks.

    Raises:
        InputError: naming each option, and what it was.
    """
    prepared = read_record(settings.stage_dir("prepare"))
    size = prepared["settings"].get("size") if prepared else None
    others = {"image_size": f"image_size {size} before and {settings.image_size} now"}
    others = others if size not in (None, settings.image_size) else {}
    for tasks in _tasks(settings, stages).values():
        for task in tasks:
            others = task.other_settings() | others
    told = [words for key, words in others.items() if key not in FREE]
    if told:
        raise InputError(
            f"The study in {settings.output_dir} was made with other options ({', '.join(told)}): {GIVEN}."
        )


def _tasks(
    settings: StudySettings, stages: Mapping[str, Callable[[StudySettings], Iterable[Task]]]
) -> dict[str, list[Task]]:
    """Of each stage the tasks on which the images of the final method rest."""
    if settings.synthetic_dir is not None:
        return {}
    needed = _folders(settings)
    return {
        stage: [task for task in stages[stage](settings) if task.folder in folders] for stage, folders in needed.items()
    }


def _folders(settings: StudySettings) -> dict[str, list[Path]]:
    classes, place = settings.prepared_classes(), settings.stage_dir
    pools = [*product(classes, settings.generators)]
    return {
        "train": [place("train", *pool) for pool in pools],
        "generate": [place("generate", *pool) for pool in pools],
        "select": [place("select", name, "ssim", generator) for name, generator in pools],
        "aggregate": [place("aggregate", name, AGGREGATE) for name in classes],
        "stylise": [place("stylise", name, METHOD) for name in classes],
    }
