"""Finished images of a study, class by class."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from monai_aggrgan.data.image_folder import read_image_folder
from monai_aggrgan.data.manifest import read_manifest

__all__ = ["read_images_by_class"]


def read_images_by_class(folder: Path | str) -> dict[str, Tensor]:
    """Images (N, 1, H, W) float32 in [0, 1] of each class, from a study's `filtered/` or `synthetic/` folder.

    They are what `monai_aggrgan.transforms.RandSyntheticSliced` takes as sources, when labels are class names;
    `[images[name] for name in classes]` is for labels 0, 1, ... in the order of `classes`. A class whose images were
    all filtered out is not there.

    Raises:
        InputError: when the folder has no manifest, or a file is absent or damaged.
    """
    read_manifest(folder, columns=["file", "class_name"])
    images, rows = read_image_folder(folder)
    places: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        places.setdefault(row["class_name"], []).append(index)
    return {name: images[torch.tensor(indices)] for name, indices in places.items()}
