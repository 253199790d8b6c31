"""Stage `train`: every generator for every class, by the bundle's own training configs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from torch import nn

from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.data.manifest import MANIFEST, sha256_of
from monai_aggrgan.exceptions import AggrganError, InputError, StorageFailed, said_by
from monai_aggrgan.handlers.training_checkpoint import checkpoint_epoch, latest_checkpoint
from monai_aggrgan.networks.ensemble import GeneratorEnsemble
from monai_aggrgan.stages.option_values import shown
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import Task, digest_of, read_record

__all__ = [
    "GENERATOR",
    "chosen_by_held_out",
    "deciding_config",
    "load_ensemble",
    "load_generator",
    "refuse_another_split",
    "tasks",
    "with_weights",
]

GENERATOR = "generator.pt"
IRRELEVANT = {
    *("imports", "bundle_root", "dataset_dir", "output_dir", "device", "initialize", "run", "finalize", "max_epochs"),
    *("log_interval", "image_interval", "val_interval", "validation_pool", "validation_images", "validate"),
    *("writer", "progress", "checkpoint", "checkpoint_interval", "export", "model_file", "projector_interval"),
}
"""Settings of the training configs that change where and what is reported, not what is trained."""


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task for each class and generator."""
    for class_name in settings.prepared_classes():
        for generator in settings.trained:
            yield _task(settings, class_name, generator)


def deciding_config(settings: StudySettings, class_name: str, generator: str) -> dict[str, Any]:
    """What of a training's config decides what is trained, but for the number of epochs."""
    merged: dict[str, Any] = {**settings.raw_config(generator), **_overrides(settings, class_name, generator)}
    merged["train"] = {key: value for key, value in merged["train"].items() if key != "handlers"}
    return {key: value for key, value in merged.items() if key not in IRRELEVANT}


def _task(settings: StudySettings, class_name: str, generator: str) -> Task:
    merged = {**settings.raw_config(generator), **_overrides(settings, class_name, generator)}
    deciding = deciding_config(settings, class_name, generator)
    plain = {key: value for key, value in deciding.items() if not isinstance(value, (dict, list))}
    parts = {key: value for key, value in deciding.items() if key not in plain}
    return Task(
        name=f"train {settings.labels[generator]} on {class_name}",
        folder=settings.stage_dir("train", class_name, generator),
        settings={
            **plain,
            "max_epochs": merged["max_epochs"],
            "configs": sha256_of(json.dumps(parts, sort_keys=True).encode()),
        },
        inputs=[settings.stage_dir("prepare", class_name) / MANIFEST],
        work=lambda folder: _train(folder, settings, class_name, generator),
        extendable=["max_epochs"] if merged["decay_from"] >= 1 else [],
        precious=True,
    )


def _overrides(settings: StudySettings, class_name: str, generator: str) -> dict[str, Any]:
    own = {
        "dataset_dir": str(settings.stage_dir("prepare")),
        "output_dir": str(settings.stage_dir("train", class_name, generator)),
        "class_name": class_name,
        "image_size": settings.image_size,
        "precision": settings.precision,
        "device": f"$torch.device('{settings.torch_device}')",
        "seed": derived_seed(settings.seed, crc32(class_name.encode()), crc32(generator.encode())) % 2**31,
    }
    epochs = {} if settings.max_epochs is None else {"max_epochs": settings.max_epochs}
    return {**own, **epochs, **settings.training}


def _workflow(settings: StudySettings, class_name: str, generator: str) -> ConfigWorkflow:
    return ConfigWorkflow(
        config_file=settings.config_files(generator),
        logging_file=False,
        workflow_type="train",
        **_overrides(settings, class_name, generator),
    )


def _train(folder: Path, settings: StudySettings, class_name: str, generator: str) -> None:
    workflow = _workflow(settings, class_name, generator)
    _refuse_fewer_epochs(folder, workflow)
    _initialize(workflow, settings, generator)
    try:
        workflow.trainer.run()
    except StorageFailed:
        raise
    except OSError as error:  # of TensorBoard or the log file
        raise StorageFailed(f"{folder} cannot be written ({said_by(error)}): make room, or see to it.") from error
    finally:
        workflow.finalize()
    for old in set(folder.glob("checkpoint_*.pt")) - {latest_checkpoint(folder)}:
        old.unlink()


def _initialize(workflow: ConfigWorkflow, settings: StudySettings, generator: str) -> None:
    """Build what is trained; where further settings were given, they are what cannot be built with."""
    try:
        workflow.initialize()
    except Exception as error:  # MONAI wraps whatever the parts of a config raise
        causes = [error]
        while isinstance(causes[-1].__cause__, Exception):
            causes.append(causes[-1].__cause__)
        if ours := next((cause for cause in causes if isinstance(cause, AggrganError)), None):
            raise ours from None
        if not settings.training:
            raise
        raise InputError(
            f"train_{generator}.yaml cannot be used with --training {shown(dict(settings.training))}"
            f" ({said_by(causes[-1])}): correct these settings."
        ) from error


def _refuse_fewer_epochs(folder: Path, workflow: ConfigWorkflow) -> None:
    trained, wanted = checkpoint_epoch(latest_checkpoint(folder)), workflow.parser["max_epochs"]
    if trained > wanted:
        raise InputError(f"{folder} is trained for {trained} epochs already, more than the {wanted} asked for.")


def refuse_another_split(settings: StudySettings) -> None:
    """Refuse to judge networks by images of another split than they were trained on: held-out ones may be among them.

    Raises:
        InputError: when the prepared images of a class have changed since a training on it began.
    """
    for class_name, generator in product(settings.prepared_classes(), settings.trained):
        folder = settings.stage_dir("train", class_name, generator)
        record = read_record(folder)
        manifest = settings.stage_dir("prepare", class_name) / MANIFEST
        if record and record["settings"]["inputs"] != {MANIFEST: digest_of(manifest)}:
            raise InputError(
                f"{folder} was trained on other images or another split than {manifest.parent} now holds: prepare"
                " them as they were, or delete that folder to train anew."
            )


def chosen_by_held_out(settings: StudySettings, class_name: str, generator: str) -> bool:
    """Whether a generator was chosen among its checkpoints by its likeness to held-out images (`select_best`)."""
    record = read_record(settings.stage_dir("train", class_name, generator)) or {"settings": {}}
    return bool(record["settings"].get("select_best"))


def load_generator(settings: StudySettings, class_name: str, generator: str) -> nn.Module:
    """A trained generator, in eval mode on the study's device.

    Raises:
        InputError: when its weights are absent or do not fit the config.
    """
    path = settings.stage_dir("train", class_name, generator) / GENERATOR
    workflow = _workflow(settings, class_name, generator)
    workflow.parser.parse(reset=True)
    network = with_weights(workflow.parser.get_parsed_content("network_def"), path)
    return network.to(settings.torch_device).eval()


def with_weights(network: nn.Module, path: Path) -> nn.Module:
    """The network with the weights of a file.

    Raises:
        InputError: when the file cannot be read, or its weights do not fit.
    """
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch.load raises whatever the bytes provoke
        raise InputError(f"{path} cannot be used ({_first_line(error)}): train it with these settings.") from error
    return network


def load_ensemble(
    study_dir: Path | str, *, class_name: str, generators: Sequence[str], config_dir: Path | str
) -> GeneratorEnsemble:
    """The generators that a study trained for a class, as one network in eval mode on the CPU.

    Each is built by its config with the settings that its folder tells it was trained with. Where there is no study
    they are untrained, as the configs define them: for MONAI's commands that look at networks or load weights.

    Args:
        study_dir: the study's folder.
        class_name: which class.
        generators: names of `train_<name>.yaml` configs.
        config_dir: the folder of these configs.

    Raises:
        InputError: when one was not trained there, or its weights do not fit its config.
    """
    trainings, configs = Path(study_dir, "train"), Path(config_dir)
    if not trainings.is_dir():
        return GeneratorEnsemble({name: _built(configs, name, {}) for name in generators}).eval()
    trained = {name: _trained(trainings / class_name / name, configs, name) for name in generators}
    return GeneratorEnsemble(trained).eval()


def _trained(folder: Path, config_dir: Path, generator: str) -> nn.Module:
    record = read_record(folder)
    if record is None or not (folder / GENERATOR).is_file():
        raise InputError(f"{folder} holds no trained generator: run the study's stage `train` to its end first.")
    return with_weights(_built(config_dir, generator, record["settings"]), folder / GENERATOR)


def _built(config_dir: Path, generator: str, settings: Mapping[str, Any]) -> nn.Module:
    files = [str(config_dir / name) for name in ("train.yaml", f"train_{generator}.yaml")]
    config: dict[str, Any] = ConfigParser.load_config_files(files)
    _refuse_expressions(config, settings)
    parser = ConfigParser(config | {name: value for name, value in settings.items() if name in config})
    network: nn.Module = parser.get_parsed_content("network_def")
    return network


def _refuse_expressions(config: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """What a record says is data, and may be another's: only the config's own expressions are evaluated."""
    for name, value in settings.items():
        own = config.get(name)
        if name in config and value != own and not isinstance(value, bool | int | float | None):
            plain = isinstance(value, str) and not value.startswith(("$", "@", "%")) and "#" not in value
            if not plain:
                raise InputError(
                    f"The training's record has {name} {value!r}, which the config would evaluate: write it into"
                    " the config itself if you trust it."
                )


def _first_line(error: Exception) -> str:
    return said_by(ValueError((str(error) or type(error).__name__).splitlines()[0]))
