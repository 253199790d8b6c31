"""Reading one grey 2-D image of any common kind, upright and scaled to [0, 1]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import ImageReader, MetaTensor, NibabelReader, NumpyReader, PILReader
from monai.transforms import Orientation, Transform
from torch import Tensor

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.transforms.intensity import scale_to_unit

__all__ = ["LoadGreySlice", "resize_square"]


class LoadGreySlice(Transform):
    """Load a PNG, JPEG, BMP, TIFF, NPY or 2-D NIfTI file through MONAI's readers.

    NIfTI slices are turned so that rows run from anterior to posterior and columns from the patient's right to left, as
    PNG exports show them; other formats are taken as they are.

    """

    def __call__(self, path: Path | str) -> Tensor:
        """Image (1, H, W) float32 in [0, 1], scaled by `scale_to_unit`.

        Raises:
            InputError: when the file cannot be read, is not grey, not 2-D, or has pixels that are not numbers.
        """
        pixels = _upright(*self._read(path), path=path)
        if not np.isfinite(pixels).all():
            raise InputError(f"{path} has pixels that are NaN or infinite: replace them before training.")
        return scale_to_unit(pixels)[None]

    def _read(self, path: Path | str) -> tuple[np.ndarray, dict[str, Any]]:
        reader = _reader_for(str(path))
        try:
            image = reader.read(path)
            pixels, metadata = reader.get_data(image)
        except Exception as error:  # readers raise whatever their library raises
            raise InputError(f"{path} cannot be read as an image ({error}): replace the file or remove it.") from error
        if metadata.get("mode") in ("RGB", "RGBA", "CMYK", "YCbCr", "P", "PA", "LA", "La"):
            raise InputError(
                f"{path} is a colour image (mode {metadata['mode']}); grey is wanted: convert it to grey first."
            )
        if (pages := getattr(image, "n_frames", 1)) > 1:
            raise InputError(f"{path} has {pages} pages; a 2-D grey slice is wanted: save single slices of it first.")
        if pixels.dtype.kind not in "buif":
            raise InputError(f"{path} has pixels of type {pixels.dtype}; real numbers are wanted: save it as such.")
        return pixels, metadata


def _reader_for(path: str) -> ImageReader:
    name = path.lower()
    if name.endswith((".nii", ".nii.gz")):
        return NibabelReader()
    return NumpyReader() if name.endswith(".npy") else PILReader(reverse_indexing=False)


def _upright(pixels: np.ndarray, metadata: dict[str, Any], *, path: Path | str) -> np.ndarray:
    while pixels.ndim > 2 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2 or min(pixels.shape) < 2:
        shape = "x".join(map(str, pixels.shape))
        raise InputError(f"{path} has shape {shape}; a 2-D grey slice is wanted: save single slices of it first.")
    affine = metadata.get("affine")
    if affine is None or np.linalg.det(affine[:2, :2]) == 0:
        return pixels
    image = MetaTensor(pixels[None].astype(np.float64), affine=torch.as_tensor(affine))
    turned = Orientation(axcodes="LP", labels=(("L", "R"), ("P", "A")))(image)
    return np.asarray(turned)[0].T.astype(pixels.dtype)


def resize_square(image: Tensor, *, size: int) -> Tensor:
    """Bring (1, H, W) to (1, size, size) undistorted: pad the shorter side with 0, then resize with antialiasing."""
    height, width = image.shape[-2:]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = F.pad(image, (left, side - width - left, top, side - height - top))
    if side == size:
        return square
    return F.interpolate(square[None], size=(size, size), mode="bilinear", antialias=True)[0].clamp(0, 1)
