"""Flips, shifts and zooms of slices: the plain augmentation that synthetic images are compared with."""

from __future__ import annotations

import numpy as np
import torch
from monai.transforms import Affine, Flip, Transform
from monai.utils import convert_to_tensor, look_up_option
from torch import Tensor

__all__ = ["KINDS", "flip_shift_zoom"]

KINDS = ("flip", "shift", "zoom")

MOST = 0.1
LEAST_ZOOM = 0.02


def flip_shift_zoom(image: Tensor, kind: str, seed: int) -> Tensor:
    """Flip, shift or zoom one slice; a function of the image, the kind and the seed.

    `flip` exchanges left and right. `shift` moves by whole pixels, at most by 10 % of each side (of a small side by
    one), and never by none. `zoom` scales about the centre by 0.9 to 1.1, at least 2 % away from 1, and keeps the
    shape. What comes into the frame is 0.

    Args:
        image: (1, H, W) in [0, 1]; or a volume (1, D, H, W), whose last axis a flip exchanges.
        kind: one of `KINDS`.
        seed: decides how far, at least 0; a flip does not depend on it.

    Returns:
        Of the same shape, float32 in [0, 1] on the same device, a plain tensor.

    Raises:
        ValueError: when the image has another shape, a signal's (1, W) among them, or the kind is none of `KINDS`.
    """
    if image.ndim not in (3, 4) or image.shape[0] != 1:
        raise ValueError(f"image must be (1, H, W) or (1, D, H, W), got shape {tuple(image.shape)}")
    look_up_option(kind, KINDS)
    change = _transform(kind, image.shape[1:], np.random.default_rng(seed))
    plain: Tensor = convert_to_tensor(change(image.float()), track_meta=False)
    return plain.clamp(0, 1)


def _transform(kind: str, shape: torch.Size, random: np.random.Generator) -> Transform:
    if kind == "flip":
        return Flip(spatial_axis=len(shape) - 1)
    if kind == "shift":
        shift = _shift(shape, random)
        return Affine(translate_params=shift, mode="nearest", padding_mode="zeros", image_only=True)
    size = 1 + float(random.choice((-1, 1)) * random.uniform(LEAST_ZOOM, MOST))
    return Affine(scale_params=(1 / size,) * len(shape), mode="bilinear", padding_mode="zeros", image_only=True)


def _shift(shape: torch.Size, random: np.random.Generator) -> list[int]:
    """Whole pixels for each side, not all 0."""
    most = [max(1, int(MOST * side)) for side in shape]
    while True:
        shift = [int(random.integers(-far, far + 1)) for far in most]
        if any(shift):
            return shift
