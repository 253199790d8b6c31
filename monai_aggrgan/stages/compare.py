"""Stage `compare`: what all trainings of classifiers come to: tables, figures, and a sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from monai_aggrgan.data.image_folder import write_png
from monai_aggrgan.data.manifest import MANIFEST, read_manifest, sha256_of, write_manifest
from monai_aggrgan.data.splits import TRAINING as TRAINED
from monai_aggrgan.evaluation.classification import Predictions
from monai_aggrgan.evaluation.conditions import PATIENT, Condition
from monai_aggrgan.evaluation.in_short_utility import beside_audit
from monai_aggrgan.evaluation.report_utility import UTILITY_PICTURES
from monai_aggrgan.evaluation.utility import Run, write_utility
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages import evaluate
from monai_aggrgan.stages.classify import PREDICTIONS, TRAINING, folder_of
from monai_aggrgan.stages.minority import KEPT, MINORITY, fill_of, minority_class
from monai_aggrgan.stages.real_images import facts_of, real_rows
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import RECORD, Task, digest_of, read_json, read_record, write_json
from monai_aggrgan.stages.utility_data import base_count, conditions_of, sources_of
from monai_aggrgan.stages.utility_notes import notes_of
from monai_aggrgan.visualize.utility_figures import cases_figure, curve_figure, minority_figure

__all__ = ["FACTS", "SOURCES", "UTILITY", "answers", "is_current", "is_there", "notes", "tasks"]

UTILITY = "utility"
FACTS = "utility.json"
SOURCES = "sources.json"
TABLE = "utility.csv"
VERDICTS = "verdicts.csv"


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for all trainings of the study's classifiers."""
    trainings = _trainings(settings)
    yield Task(
        name="compare",
        folder=settings.stage_dir(UTILITY),
        settings={
            "classifiers": {name: _label(settings, name) for name in settings.classifiers},
            "classes": settings.prepared_classes(),
            "counts": list(settings.synthetic_counts),
            "synthetic": _synthetic(settings),
            "base": base_count(settings),
            "seed": settings.seed,
            "notes": notes_of(settings),
        },
        upstream=[folder for _, _, _, folder in trainings],
        work=lambda folder: _compare(folder, settings),
    )


def is_there(settings: StudySettings) -> bool:
    """Whether the stage was run to its end."""
    record = read_record(settings.stage_dir(UTILITY))
    return record is not None and record["finished"]


def is_current(settings: StudySettings) -> bool:
    """Whether the images that were compared are those that the study has now, whatever options are given."""
    told = read_json(settings.stage_dir(UTILITY) / SOURCES) or {}
    folders = {name: settings.output_dir / name for name in told}
    there = {name: folder / MANIFEST for name, folder in folders.items() if (folder / MANIFEST).is_file()}
    return bool(told) and {name: digest_of(path) for name, path in there.items()} == told


def _sources(settings: StudySettings) -> dict[str, str]:
    """Folders of images that were compared, and the hashes of their manifests."""
    found = [settings.stage_dir("prepare")]
    found += [folder for condition in conditions_of(settings) for folder in sources_of(settings, condition)]
    root = settings.output_dir.resolve()
    return {os.path.relpath(folder.resolve(), root): digest_of(folder / MANIFEST) for folder in dict.fromkeys(found)}


def _synthetic(settings: StudySettings) -> str:
    """Which synthetic images."""
    if settings.synthetic_dir is None:
        return "the study's AGGrGAN (SSIM) images"
    folder, root = settings.synthetic_dir.resolve(), settings.output_dir.resolve()
    return folder.relative_to(root).as_posix() if root in folder.parents else f"{folder.parent.name}/{folder.name}"


def answers(settings: StudySettings) -> list[str]:
    """The sentence on each classifier, and that the audit for copies fails where images help all the same."""
    rows = read_manifest(settings.stage_dir(UTILITY), name=VERDICTS)
    of_classes = (
        [evaluate.read_evaluation(settings, name, evaluate.AUDIT) for name in settings.prepared_classes()]
        if evaluate.is_there(settings)
        else []
    )
    beside = beside_audit(rows, [row for audit in of_classes for row in audit])
    return [*(row["sentence"] for row in rows), *([beside] if beside else [])]


def notes(settings: StudySettings) -> list[str]:
    """What could not be done as asked."""
    told: list[str] = (read_json(settings.stage_dir(UTILITY) / FACTS) or {}).get("notes", [])
    return told


def _label(settings: StudySettings, classifier: str) -> str:
    return str(settings.raw_classifier_config(classifier).get("label", classifier))


def _trainings(settings: StudySettings) -> list[tuple[str, Condition, int, Path]]:
    """Classifier, condition, seed and folder of each training."""
    return [
        (classifier, condition, seed, folder_of(settings, classifier, condition, seed))
        for classifier in settings.classifiers
        for condition in conditions_of(settings)
        for seed in range(settings.classifier_seeds)
    ]


def _compare(folder: Path, settings: StudySettings) -> None:
    trainings, classes = _trainings(settings), settings.prepared_classes()
    runs = [
        run
        for classifier, condition, seed, place in tqdm(trainings, "compare", unit="training")
        for run in _runs(classifier, condition, seed, place, classes)
    ]
    facts = _facts(settings, trainings)
    minority = facts["minority"]["class"] if facts["minority"] else None
    write_utility(
        folder,
        runs,
        classes=classes,
        labels=facts["classifiers"],
        base=facts["base"],
        minority_class=minority,
        seed=settings.seed,
        notes=facts["notes"],
    )
    write_json(folder / FACTS, facts)
    write_json(folder / SOURCES, _sources(settings))
    rows = read_manifest(folder, name=TABLE)
    drawn = (cases_figure(rows), curve_figure(rows), minority_figure(rows, minority=minority))
    for name, picture in zip(UTILITY_PICTURES, drawn, strict=True):
        if picture is not None:
            write_png(folder / name, picture)
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in (RECORD, MANIFEST))
    write_manifest(folder, [{"file": path.name, "sha256": sha256_of(path.read_bytes())} for path in files])


def _runs(classifier: str, condition: Condition, seed: int, folder: Path, classes: Sequence[str]) -> Iterator[Run]:
    """What a training's classifier said of each of its tests."""
    rows = read_manifest(folder, name=PREDICTIONS)
    hashes = {row["file"]: row["sha256"] for row in read_manifest(folder)}
    if sha256_of((folder / PREDICTIONS).read_bytes()) != hashes.get(PREDICTIONS):
        raise InputError(
            f"{folder / PREDICTIONS} is damaged or was changed since the stage `classify` wrote it: delete {folder} and"
            " run that stage again."
        )
    for test in dict.fromkeys(row["test"] for row in rows):
        mine = [row for row in rows if row["test"] == test]
        predictions = Predictions(
            labels=np.array([classes.index(row["label"]) for row in mine], dtype=np.int64),
            probabilities=np.array([[float(row[f"p {name}"]) for name in classes] for row in mine]),
            patients=tuple(row["patient"] for row in mine),
            ids=tuple(row["id"] for row in mine),
        )
        yield Run(classifier, condition, seed, test, predictions)


def _facts(settings: StudySettings, trainings: Sequence[tuple[str, Condition, int, Path]]) -> dict[str, Any]:
    """What the tables do not say of the trainings."""
    classes, found = settings.prepared_classes(), conditions_of(settings)
    by_classifier = {
        name: [read_json(folder / TRAINING) or {} for classifier, _, _, folder in trainings if classifier == name]
        for name in settings.classifiers
    }
    real = facts_of(settings)
    return {
        "base": base_count(settings),
        "counts": sorted({condition.count for condition in found if condition.protocol == PATIENT} - {0}),
        "seeds": settings.classifier_seeds,
        "classes": classes,
        "minority": _minority(settings),
        "classifiers": {name: _label(settings, name) for name in settings.classifiers},
        "synthetic": _synthetic(settings),
        "patients_known": all(real.patients),
        "notes": notes_of(settings),
        "training": {
            name: {
                "steps": [min(facts["steps"] for facts in mine), max(facts["steps"] for facts in mine)],
                "seconds": round(sum(facts["seconds"] for facts in mine), 1),
            }
            for name, mine in by_classifier.items()
        },
    }


def _minority(settings: StudySettings) -> dict[str, Any] | None:
    name, fill = minority_class(settings), fill_of(settings)
    if name is None or fill is None:
        return None
    whole = [row for row in real_rows(settings) if (row["class_name"], row["section"]) == (name, TRAINED)]
    kept = read_manifest(settings.stage_dir(MINORITY), name=KEPT)
    return {"class": name, "kept": len(kept), "of": len(whole), "fill": fill}
