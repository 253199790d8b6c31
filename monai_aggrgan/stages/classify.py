"""Stage `classify`: every classifier in every condition with every seed, by the bundle's own training configs."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from functools import cache, partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from torch import nn

from monai_aggrgan.data.labelled_images import CaseImages
from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.data.manifest import sha256_of, write_manifest
from monai_aggrgan.engines.classifier_trainer import class_probabilities
from monai_aggrgan.evaluation.conditions import ARMS, MINORITY, PATIENT, Condition
from monai_aggrgan.evaluation.utility_facts import Entry
from monai_aggrgan.evaluation.utility_plan import plan
from monai_aggrgan.exceptions import AggrganError, InputError, StorageFailed, said_by
from monai_aggrgan.stages.minority import kept_ids
from monai_aggrgan.stages.real_images import facts_of
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.synthetic_sets import read_synthetic
from monai_aggrgan.stages.task import Task, digest_of, write_json
from monai_aggrgan.stages.train import chosen_by_held_out
from monai_aggrgan.stages.training_count import TrainingCount
from monai_aggrgan.stages.utility_data import (
    UtilityData,
    base_count,
    conditions_of,
    minority_without_images,
    read_utility_data,
    sources_of,
    synthetic_facts,
)

__all__ = ["PREDICTIONS", "TRAINING", "folder_of", "refuse_bad_input", "tasks"]

logger = logging.getLogger(__name__)

PREDICTIONS = "predictions.csv"
TRAINING = "training.json"
REPORTING = {
    *("imports", "bundle_root", "dataset_dir", "output_dir", "device", "images", "classes", "initialize", "run"),
    *("finalize", "label", "steps_per_epoch", "log_interval", "writer", "progress", "checkpoint"),
    *("checkpoint_interval", "validation_batch_size"),
}
"""Settings of the configs that change where and what is reported, not what is trained."""


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for each classifier, condition and seed."""
    data = cache(partial(read_utility_data, settings))  # read when the first task needs it, once
    of_conditions = [
        (condition, sources_of(settings, condition), _images(settings, condition))
        for condition in conditions_of(settings)
    ]
    count = TrainingCount()
    for classifier, seed in product(settings.classifiers, range(settings.classifier_seeds)):
        deciding = _deciding(settings, classifier)
        for condition, sources, images in of_conditions:
            task = Task(
                name=f"classify by {classifier}: {_words(condition)}, seed {seed}",
                folder=folder_of(settings, classifier, condition, seed),
                settings={**deciding, **images, "condition": astuple(condition), "seed": _seed(settings, seed)},
                upstream=[settings.stage_dir("prepare"), *sources],
                work=partial(
                    _classify,
                    settings=settings,
                    classifier=classifier,
                    condition=condition,
                    seed=seed,
                    data=data,
                    count=count,
                ),
            )
            count.add(task)
            yield task


def _images(settings: StudySettings, condition: Condition) -> dict[str, Any]:
    """What decides a condition's images beside manifests and seed."""
    told: dict[str, Any] = {"classes": settings.prepared_classes()}
    if condition.protocol == MINORITY:
        return told | {"kept": sha256_of(repr(kept_ids(settings)).encode())}
    if condition.arm in ("synthetic", "mix") or "synthetic" in condition.tests:
        return told | {"base": base_count(settings)}
    return told


def _seed(settings: StudySettings, seed: int) -> int:
    """Of initial weights and the order of images."""
    return derived_seed(settings.seed, seed) % 2**31


def folder_of(settings: StudySettings, classifier: str, condition: Condition, seed: int) -> Path:
    """Folder of one training."""
    arm = f"{condition.arm}-{condition.count}" if condition.count else condition.arm
    return settings.stage_dir("classify", classifier, condition.protocol, arm, f"seed-{seed}")


def refuse_bad_input(settings: StudySettings) -> None:
    """Refuse, before hours are spent, classifiers that cannot be built and images that cannot be split.

    Raises:
        InputError: in one sentence.
    """
    settings.check_classifiers()
    refuse_chosen_by_test_patients(settings)
    if settings.synthetic_dir is not None:
        read_synthetic(settings, folder=settings.synthetic_dir)
    classes, real, synthetic = settings.prepared_classes(), facts_of(settings), synthetic_facts(settings)
    base, minority = base_count(settings), minority_without_images(settings)
    for condition, seed in product(conditions_of(settings), range(settings.classifier_seeds)):
        if condition.arm not in ARMS:
            plan(condition, real=real, synthetic=synthetic, minority=minority, classes=classes, base=base, seed=seed)
    for classifier in settings.classifiers:
        _build(settings, classifier, classes=len(classes))


def refuse_chosen_by_test_patients(settings: StudySettings) -> None:
    """Refuse generators whose checkpoints were chosen by their likeness to the patients that now test (InputError)."""
    for class_name, name in product(settings.prepared_classes(), settings.generators):
        if settings.synthetic_dir is None and chosen_by_held_out(settings, class_name, name):
            raise InputError(
                f"{name} of class '{class_name}' was chosen by its likeness to held-out patients (select_best), who can"
                " then no longer test a classifier: train without select_best in another --output_dir."
            )


def _deciding(settings: StudySettings, classifier: str) -> dict[str, Any]:
    """What decides a training, but for its images."""
    given = {"precision": settings.precision, **settings.classifier_settings}
    merged = {**settings.raw_classifier_config(classifier), **given}
    deciding = {name: value for name, value in merged.items() if name not in REPORTING and not name.startswith("_")}
    plain = {name: value for name, value in deciding.items() if not isinstance(value, (dict, list))}
    parts = {name: value for name, value in deciding.items() if name not in plain}
    weights = settings.pretrained.get(classifier)
    return {
        **plain,
        "image_size": settings.image_size,
        "weights": None if weights is None else digest_of(Path(weights).expanduser()),
        "configs": sha256_of(json.dumps(parts, sort_keys=True).encode()),
    }


def _words(condition: Condition) -> str:
    added = f" + {condition.count} {condition.arm}" if condition.count else f" {condition.arm}"
    return f"{condition.protocol}{added}"


def _overrides(settings: StudySettings, classifier: str) -> dict[str, Any]:
    weights = settings.pretrained.get(classifier)
    return {
        "classes": settings.prepared_classes(),
        "image_size": settings.image_size,
        "device": f"$torch.device('{settings.torch_device}')",
        "precision": settings.precision,
        **({} if weights is None else {"weights": str(Path(weights).expanduser())}),
        **settings.classifier_settings,
    }


def _build(settings: StudySettings, classifier: str, *, classes: int) -> nn.Module:
    """The network as its config makes it, to see that it can be made."""
    config = settings.raw_classifier_config(classifier) | _overrides(settings, classifier)
    try:
        parser = ConfigParser(config)
        rate = parser.get_parsed_content("learning_rate")
        if not isinstance(rate, (int, float)) or rate <= 0:
            raise InputError(f"classifier_{classifier}.yaml: learning_rate must be a number above 0, got {rate!r}.")
        network: nn.Module = parser.get_parsed_content("classifier")
        network.to(settings.torch_device).eval()
        side = settings.image_size
        with torch.no_grad():
            logits = network(torch.zeros(2, 1, side, side, device=settings.torch_device))
    except Exception as error:  # of whatever package a config names
        causes, package = [*_causes(error)], str(config["network_def"].get("_target_")).partition(".")[0]
        if package and find_spec(package) is None:
            raise InputError(
                f"classifier_{classifier}.yaml needs the package {package}, which is not installed: run pip install"
                f" {package}, or leave it out of --classifiers."
            ) from error
        if ours := next((cause for cause in causes if isinstance(cause, AggrganError)), None):
            raise ours from None
        raise InputError(
            f"The classifier of classifier_{classifier}.yaml cannot be used here ({said_by(causes[-1])}): install"
            " what it needs, correct its config, or leave it out of --classifiers."
        ) from error
    if logits.shape != (2, classes):
        raise InputError(
            f"The classifier of classifier_{classifier}.yaml gives {tuple(logits.shape)} for 2 images"
            f" and {classes} classes: it must be (2, {classes})."
        )
    return network


def _causes(error: BaseException | None) -> Iterator[Exception]:
    """An error and what it came from, as MONAI wraps what happens while it builds a network."""
    while isinstance(error, Exception):
        yield error
        error = error.__cause__


def _classify(
    folder: Path,
    *,
    settings: StudySettings,
    classifier: str,
    condition: Condition,
    seed: int,
    data: Callable[[], UtilityData],
    count: TrainingCount,
) -> None:
    start = time.monotonic()
    images = data()
    planned = images.plan(condition, seed=seed)
    overrides = _overrides(settings, classifier)
    config = settings.raw_classifier_config(classifier) | overrides
    real_alone = images.plan(Condition(PATIENT, "real"), seed=seed).training
    workflow = ConfigWorkflow(
        config_file=settings.classifier_files(classifier),
        logging_file=False,
        workflow_type="train",
        images=images.images(planned, condition),
        output_dir=str(folder),
        seed=_seed(settings, seed),
        steps_per_epoch=math.ceil(len(real_alone) / int(config["batch_size"])),
        **{"progress#desc": f"{config['label']}, {count.words(folder)}"},
        **overrides,
    )
    workflow.initialize()
    try:
        workflow.trainer.run()
    except StorageFailed:
        raise
    except OSError as error:  # of TensorBoard or the log file
        raise StorageFailed(f"{folder} cannot be written ({said_by(error)}): make room, or see to it.") from error
    finally:
        workflow.finalize()
    rows = [
        row for name in planned.tests for row in _predictions(workflow, name, planned.tests[name], images, condition)
    ]
    write_manifest(folder, rows, name=PREDICTIONS)
    sizes = {name: _sizes(entries, images, condition) for name, entries in planned.tests.items()}
    write_json(
        folder / TRAINING,
        {
            "steps": workflow.trainer.state.iteration,
            "epochs": workflow.trainer.state.epoch,
            "best_epoch": workflow.parser.get_parsed_content("best").epoch,
            "seconds": round(time.monotonic() - start, 2),
            "training": _by_source(planned.training, images, condition),
            "validation": _sizes(planned.validation, images, condition),
            "tests": sizes,
        },
    )
    for path in folder.glob("*.pt"):  # predictions are what is kept: a hundred networks would fill a disk
        path.unlink()
    write_manifest(folder, [{"file": PREDICTIONS, "sha256": sha256_of((folder / PREDICTIONS).read_bytes())}])


def _predictions(
    workflow: Any, test: str, entries: Sequence[Entry], images: UtilityData, condition: Condition
) -> list[dict[str, str]]:
    parser = workflow.parser
    case: CaseImages = parser.get_parsed_content("images")
    probabilities = class_probabilities(
        parser.get_parsed_content("classifier"), case.tests[test], device=parser.get_parsed_content("device")
    )
    rows = []
    for entry, shares in zip(entries, probabilities.tolist(), strict=True):
        name, patient, label = images.told(entry, condition)
        told = {f"p {of}": f"{share:.7f}" for of, share in zip(images.classes, shares, strict=True)}
        rows.append({"test": test, "id": name, "patient": patient, "label": label, **told})
    return rows


def _sizes(entries: Sequence[Entry], images: UtilityData, condition: Condition) -> dict[str, int]:
    counted = Counter(images.told(entry, condition)[2] for entry in entries)
    return {name: counted[name] for name in images.classes}


def _by_source(entries: Sequence[Entry], images: UtilityData, condition: Condition) -> dict[str, dict[str, int]]:
    sources = dict.fromkeys(entry.source for entry in entries)
    return {
        source: _sizes([entry for entry in entries if entry.source == source], images, condition) for source in sources
    }
