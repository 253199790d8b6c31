"""The generators of one class as one file of weights, where MONAI's commands and its model zoo look for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from monai_aggrgan.data.manifest import whole_file
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.train import load_ensemble

__all__ = ["write"]


def write(
    file: Path | str, *, study_dir: Path | str, class_name: str, generators: Sequence[str], config_dir: Path | str
) -> Path:
    """Write the weights of `inference.yaml`'s `network_def`, such as to `models/model.pt` of the bundle.

    Args:
        file: where to.
        study_dir: folder of a study whose generators are trained.
        class_name: a class of the study.
        generators: names of trained generators.
        config_dir: the folder of their configs.

    Raises:
        InputError: when there is no such training.
    """
    trained = Path(study_dir, "train")
    if not (trained / class_name).is_dir():
        classes = ", ".join(sorted(path.name for path in trained.glob("*") if path.is_dir()))
        raise InputError(
            f"--class_name must be a class that the study {study_dir} has trained ({classes or 'none'}),"
            f" got '{class_name}'."
        )
    network = load_ensemble(study_dir, class_name=class_name, generators=generators, config_dir=config_dir)
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        torch.save(network.state_dict(), unfinished)
    return path
