"""A folder of finished images: each as 8-bit PNG to look at and float NIfTI to compute with, and a manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from monai_aggrgan.data.declared_size import refuse_declared_size
from monai_aggrgan.data.manifest import file_in, read_manifest, whole_file
from monai_aggrgan.exceptions import InputError, said_by

__all__ = ["read_image_folder", "read_nifti", "write_image_files", "write_png"]

AXES = np.diag([-1.0, -1.0, 1.0, 1.0])
"""First NIfTI axis to the patient's left, second to posterior, 1 mm pixels: viewers show what the PNG shows."""


def write_image_files(folder: Path | str, stem: str, image: Tensor) -> dict[str, str]:
    """Write one image (1, H, W) in [0, 1] as `stem.nii.gz` (float32) and `stem.png` (8-bit), whole or not at all.

    Returns:
        The manifest columns `file`, `preview` and `sha256` (of the float pixels).

    Raises:
        ValueError: when the image has another shape, such as a volume.
    """
    if image.ndim != 3 or image.shape[0] != 1:
        raise ValueError(f"an image must be (1, H, W) to be written as a picture, got shape {tuple(image.shape)}")
    folder = Path(folder)
    pixels = np.asarray(image.detach().cpu(), dtype=np.float32)[0].clip(0, 1)
    write_png(folder / f"{stem}.png", (pixels * 255).round().astype(np.uint8))
    with whole_file(folder / f"{stem}.nii.gz") as partial:
        nibabel.save(nibabel.Nifti1Image(pixels.T, AXES), partial)
    return {
        "file": f"{stem}.nii.gz",
        "preview": f"{stem}.png",
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }


def write_png(path: Path | str, picture: NDArray[np.uint8]) -> None:
    """Write an 8-bit picture, grey (H, W) or coloured (H, W, 3), as PNG, whole or not at all.

    Raises:
        ValueError: when the picture has another type or shape.
    """
    shaped = picture.ndim == 2 or picture.shape[2:] == (3,)
    if picture.dtype != np.uint8 or not shaped or picture.size == 0:
        raise ValueError(f"a picture must be uint8 (H, W) or (H, W, 3), got {picture.dtype} {picture.shape}")
    with whole_file(path) as partial:
        Image.fromarray(picture).save(partial, format="png")


def read_nifti(path: Path | str) -> Tensor:
    """One image (1, H, W) float32 in [0, 1] that `write_image_files` wrote.

    Raises:
        InputError: when the file is absent or damaged.
    """
    try:
        image = nibabel.nifti1.load(path)
        refuse_declared_size(image.shape, path, bytes_a_value=image.get_data_dtype().itemsize)
        pixels = np.asarray(image.dataobj, dtype=np.float32)
        if pixels.ndim != 2 or 0 in pixels.shape:
            raise ValueError(f"it has shape {pixels.shape}, no picture's")
    except Exception as error:  # nibabel and gzip raise many kinds
        raise InputError(
            f"{path} cannot be read ({said_by(error)}): delete its folder and run its stage again."
        ) from error
    return torch.from_numpy(np.ascontiguousarray(pixels.T))[None]


def read_image_folder(folder: Path | str) -> tuple[Tensor, list[dict[str, str]]]:
    """Images (N, 1, H, W) float32 in [0, 1] and manifest rows of a finished folder.

    Raises:
        InputError: when the manifest is absent or damaged, or a file is so, not in the folder, or of another size.
    """
    rows = read_manifest(folder, columns=["file"])
    images = [read_nifti(file_in(folder, row["file"])) for row in rows]
    if len(sizes := {image.shape for image in images}) != 1:
        told = f"images of {len(sizes)} sizes" if sizes else "no image"
        raise InputError(f"{folder} has {told} by its manifest: delete it and run its stage again.")
    return torch.stack(images), rows
