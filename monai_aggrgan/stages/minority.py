"""Stage `minority`: most training images of one class taken away, and synthetic ones made from what is left alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from torch import Tensor

from monai_aggrgan.data.manifest import (
    MANIFEST,
    read_image_array,
    read_manifest,
    sha256_of,
    write_image_array,
    write_manifest,
)
from monai_aggrgan.data.splits import TRAINING
from monai_aggrgan.evaluation.utility_facts import Indices
from monai_aggrgan.evaluation.utility_minority import minority_fill, minority_kept
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.ensemble import GeneratorEnsemble
from monai_aggrgan.stages import train
from monai_aggrgan.stages.answers import answer, answer_settings, rounds
from monai_aggrgan.stages.real_images import facts_of, real_rows
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.stylise import style_features
from monai_aggrgan.stages.task import Task

__all__ = ["KEPT", "MINORITY", "fill_of", "kept_ids", "kept_indices", "minority_class", "tasks"]

MINORITY = "minority"
KEPT = "kept.csv"
IMAGES = "images"


def minority_class(settings: StudySettings) -> str | None:
    """The class of which most images are taken away; None where there is no such experiment.

    Raises:
        InputError: when the option names no class of the study.
    """
    if settings.minority_class == "none" or settings.synthetic_dir is not None:
        return None
    classes = settings.prepared_classes()
    if settings.minority_class != "auto":
        if settings.minority_class not in classes:
            raise InputError(
                f"--minority_class must be auto, none or a class of the study ({', '.join(classes)}), got"
                f" '{settings.minority_class}'."
            )
        return settings.minority_class
    trained_on = [row["class_name"] for row in real_rows(settings) if row["section"] == TRAINING]
    return min(classes, key=trained_on.count)


def fill_of(settings: StudySettings) -> int | None:
    """Images that bring the class back to the number of the others; None where there is no such experiment."""
    name = minority_class(settings)
    if name is None:
        return None
    real, classes = facts_of(settings), settings.prepared_classes()
    kept = kept_indices(settings, name)
    return minority_fill(real, label=classes.index(name), kept=kept, classes=len(classes)) or None


def kept_ids(settings: StudySettings) -> list[str]:
    """Ids of the images of the class that are kept; none where there is no such experiment."""
    name, ids = minority_class(settings), facts_of(settings).ids
    return [] if name is None else [ids[index] for index in kept_indices(settings, name)]


def kept_indices(settings: StudySettings, class_name: str) -> Indices:
    """Places of the images of a class that are kept, among all real ones of the study."""
    label = settings.prepared_classes().index(class_name)
    return minority_kept(facts_of(settings), label=label, share=settings.minority_share, seed=settings.seed)


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task, of many that are each done once: trainings on what is kept, then rounds of answers."""
    class_name, fill = minority_class(settings), fill_of(settings)
    if class_name is None or fill is None:
        return
    trainings = [train.deciding_config(settings, class_name, name) for name in settings.generators]
    yield Task(
        name=f"minority {class_name}",
        folder=settings.stage_dir(MINORITY),
        settings={
            "class_name": class_name,
            "share": settings.minority_share,
            "fill": fill,
            "max_epochs": [settings.max_epochs or settings.raw_config(of)["max_epochs"] for of in settings.generators],
            "seed": settings.seed,
            "generators": list(settings.generators),
            "trainings": sha256_of(json.dumps(trainings, sort_keys=True).encode()),
            **answer_settings(settings),
        },
        upstream=[settings.stage_dir("prepare")],
        work=partial(_minority, settings=settings, class_name=class_name, fill=fill),
    )


def _minority(folder: Path, *, settings: StudySettings, class_name: str, fill: int) -> None:
    ids = kept_ids(settings)
    references = _keep(folder, settings, class_name, ids)
    own = replace(settings, output_dir=folder, classes=(class_name,), dataset_dir=None, datalist=None, baselines=())
    networks = {}
    for name in settings.generators:
        longer = _as_many_steps(own, settings, class_name, name)
        for task in train.tasks(longer):
            replace(task, name=f"minority: {task.name}").run()
        networks[name] = train.load_generator(longer, class_name, name)
    network = GeneratorEnsemble(networks).to(settings.torch_device)
    features = cache(partial(style_features, settings))
    rows: list[dict[str, str]] = []
    for turn in rounds(fill, references=len(ids), first=0):
        place = folder / IMAGES / turn.folder
        Task(
            name=f"minority: {class_name}, {turn.folder}",
            folder=place,
            settings={"count": turn.count},
            work=partial(
                answer,
                settings=settings,
                class_name=class_name,
                turn=turn,
                references=references,
                ids=ids,
                network=network,
                features=features,
            ),
        ).run()
        inside = f"{IMAGES}/{turn.folder}"
        rows += [
            {**row, **{name: f"{inside}/{row[name]}" for name in ("file", "preview")}} for row in read_manifest(place)
        ]
    write_manifest(folder, [{"id": name} for name in ids], name=KEPT)
    write_manifest(folder, rows)


def _keep(folder: Path, settings: StudySettings, class_name: str, ids: list[str]) -> Tensor:
    """Write the class as a prepared one with the kept images and, for the curves, the held-out ones; give the kept."""
    images, rows = read_image_array(settings.stage_dir("prepare", class_name))
    place = {row["id"]: index for index, row in enumerate(rows)}
    chosen = [place[name] for name in ids]
    told = [index for index, row in enumerate(rows) if row["section"] != TRAINING]
    prepared = folder / "prepare"
    (prepared / class_name).mkdir(parents=True, exist_ok=True)
    part = [{name: value for name, value in rows[index].items() if name != "index"} for index in chosen + told]
    if not (prepared / MANIFEST).is_file():
        write_image_array(prepared / class_name, images[chosen + told], part)
        write_manifest(prepared, part)
    return images[chosen]


def _as_many_steps(own: StudySettings, settings: StudySettings, class_name: str, generator: str) -> StudySettings:
    """Settings of the training with as many steps as that on the whole class, and as many reports on the way."""
    config = settings.raw_config(generator)
    told: dict[str, Any] = {**config, **settings.training}
    steps = [_steps(of, class_name, int(told["batch_size"])) for of in (settings, own)]
    factor = steps[0] / steps[1]
    every = {name: math.ceil(value * factor) for name, value in told.items() if _counts_epochs(name, value)}
    epochs = math.ceil((settings.max_epochs or int(config["max_epochs"])) * factor)
    return replace(own, generators=(generator,), max_epochs=epochs, training={**settings.training, **every})


def _counts_epochs(name: str, value: object) -> bool:
    return name.endswith("_interval") and name != "log_interval" and isinstance(value, int)


def _steps(settings: StudySettings, class_name: str, batch_size: int) -> int:
    """Of an epoch, see `ShuffledBatches`."""
    rows = read_manifest(settings.stage_dir("prepare", class_name))
    length = sum(row["section"] == TRAINING for row in rows)
    return length // min(batch_size, length)
