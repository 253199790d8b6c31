"""From the images of a case to 2-D slices of one size in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.transforms.anatomical_plane import PLANES, stack_of_slices
from monai_aggrgan.transforms.intensity import scale_to_unit, unit_range
from monai_aggrgan.transforms.slice_choice import across_foreground, across_label, every_nth, foreground_areas
from monai_aggrgan.transforms.square import resize_square

__all__ = ["CHOICES", "SCALINGS", "CutSlices", "Slice"]

CHOICES = ("auto", "label", "foreground", "every")
SCALINGS = ("volume", "slice")
MOST_OBLONG = 100
"""Longer side of a pixel to its shorter one; beyond it a header is wrong."""
LONGEST_SIDE = 2**14
"""Pixels; a square of them, in single precision, takes 1 GB."""
Placed = tuple[NDArray[Any], NDArray[np.float64] | None]
"""Pixels (X, Y[, Z]) in the file's units and their affine (4, 4), None for pictures."""


@dataclass(frozen=True)
class Slice:
    """A slice as it is trained on, and where it came from.

    Attributes:
        class_name: of its case's images.
        image: (1, size, size) float32 in [0, 1].
        index: among the slices of its volume, from 0, in the order of `stack_of_slices`; None for a picture.
        shape: rows and columns before resizing.
        spacing: millimetres from row to row and from column to column; None where not known.
        low: intensity that became 0, in the file's units.
        high: intensity that became 1.
    """

    class_name: str
    image: Tensor
    index: int | None
    shape: tuple[int, int]
    spacing: tuple[float, float] | None
    low: float
    high: float


class CutSlices(Transform):
    """Turn volumes upright, choose slices, scale them to [0, 1] and bring them to one size with square pixels.

    Args:
        size: side of the slices in pixels.
        plane: `axial`, `coronal`, `sagittal` or `stored`, see `stack_of_slices`.
        slices: `label`, the three slices of `across_label`; `foreground`, those at `slice_positions` of what is not
            background; `every`, every `slice_step`-th with foreground; `auto`, by label where there is one that is not
            empty, else by foreground.
        slice_positions: shares of the foreground's extent, from 0 to 1.
        slice_step: from 1 on.
        intensity: 0 and 1 are the percentiles of the whole `volume`, or of each `slice`, or a pair of intensities in
            the file's units (a CT's window). 8-bit images are divided by 255, unless a pair is given.
        percentiles: lower and upper, from 0 to 100.

    Raises:
        InputError: when an argument has a value that cannot be used.

    Example:
        >>> slices = CutSlices(size=32)(torch.rand(1, 40, 40, 20))
        >>> slices.shape
        torch.Size([3, 1, 32, 32])
    """

    def __init__(
        self,
        *,
        size: int = 128,
        plane: str = "axial",
        slices: str = "auto",
        slice_positions: Sequence[float] = (0.4, 0.5, 0.6),
        slice_step: int = 1,
        intensity: str | Sequence[float] = "volume",
        percentiles: Sequence[float] = (0.5, 99.5),
    ) -> None:
        self.size, self.plane, self.slices, self.slice_step = size, plane, slices, slice_step
        self.slice_positions = tuple(slice_positions)
        self.intensity = intensity if isinstance(intensity, str) else tuple(intensity)
        self.percentiles = tuple(percentiles)
        self._check()

    def _check(self) -> None:
        for name, allowed in {"plane": PLANES, "slices": CHOICES}.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"--{name} must be one of {', '.join(allowed)}, got '{getattr(self, name)}'.")
        if isinstance(self.intensity, str) and self.intensity not in SCALINGS:
            raise InputError(
                f"--intensity must be one of {', '.join(SCALINGS)}, or two intensities, got '{self.intensity}'."
            )
        if not isinstance(self.intensity, str) and not _rising(self.intensity, -math.inf, math.inf):
            raise InputError(f"--intensity must be two rising intensities such as [-160, 240], got {self.intensity}.")
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise InputError(f"--image_size must be a whole number of at least 1, got {self.size!r}.")
        if not _rising(self.percentiles, 0, 100):
            raise InputError(f"--percentiles must be two rising numbers from 0 to 100, got {self.percentiles}.")
        if isinstance(self.slice_step, bool) or not isinstance(self.slice_step, int) or self.slice_step < 1:
            raise InputError(f"--slice_step must be a whole number of at least 1, got {self.slice_step!r}.")
        if not self.slice_positions or not all(_number(share) and 0 <= share <= 1 for share in self.slice_positions):
            raise InputError(f"--slice_positions must be numbers from 0 to 1, got {self.slice_positions}.")

    def __call__(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Slices (N, 1, size, size) float32 in [0, 1] of one volume.

        Args:
            image: (1, X, Y, Z), a MetaTensor for its affine to count; a plain tensor is taken as lying along R, A, S.
                MONAI's `LoadImage` makes float32 of 8-bit volumes, so that percentiles count, unless told `dtype=None`.
            label: segmentation on the same grid, same shape.

        Raises:
            InputError: as `cut` does, and for another shape.
        """
        for tensor in (image, label):
            if tensor is not None and (tensor.ndim != 4 or len(tensor) != 1):
                raise InputError(f"CutSlices takes volumes (1, X, Y, Z), got shape {tuple(tensor.shape)}.")
        affine = np.asarray(image.affine) if isinstance(image, MetaTensor) else np.eye(4)
        placed = None if label is None else (np.asarray(label)[0], affine)
        cut = self.cut({"": (np.asarray(image)[0], affine)}, label=placed)
        return torch.stack([slice_.image for slice_ in cut])

    def cut(self, images: Mapping[str, Placed], *, label: Placed | None = None) -> list[Slice]:
        """The same slices of every image of a case: those of the first image's foreground, if not of the label.

        Args:
            images: class -> pixels and affine, all on one grid.
            label: segmentation on the same grid.

        Raises:
            InputError: when slices by label are wanted and there is none, a chosen slice is constant, or the spacing
                cannot be.
        """
        stacks = {name: stack_of_slices(*placed, plane=self.plane) for name, placed in images.items()}
        ranges = {name: self._range(pixels) for name, (pixels, _) in images.items()}
        first = next(iter(stacks))
        label_stack = None if label is None else stack_of_slices(*label, plane=self.plane)[0]
        indices = self._choose(stacks[first][0], ranges[first], label_stack)
        return [slice_ for name in images for slice_ in self._slices(name, *stacks[name], indices, ranges[name])]

    def _range(self, pixels: NDArray[Any]) -> tuple[float, float]:
        if not isinstance(self.intensity, str):
            return float(self.intensity[0]), float(self.intensity[1])
        lower, upper = self.percentiles
        return unit_range(pixels, lower=lower, upper=upper)

    def _choose(self, stack: NDArray[Any], range_: tuple[float, float], label: NDArray[Any] | None) -> list[int]:
        if len(stack) == 1:
            return [0]
        if self.slices == "label" and label is None:
            raise InputError("There is no segmentation to choose slices by: add one, or choose others with --slices.")
        if self.slices in ("label", "auto") and label is not None and (chosen := across_label(label)):
            return chosen
        if self.slices == "label":
            raise InputError("The segmentation is empty: leave the case out, or choose other slices with --slices.")
        areas = foreground_areas(stack, low=range_[0], high=range_[1])
        if not areas.any():
            raise InputError(
                "No pixel is brighter than a tenth of the range of intensities: leave it out, or change --intensity."
            )
        if self.slices == "every":
            return every_nth(areas, step=self.slice_step)
        return across_foreground(areas, positions=self.slice_positions)

    def _slices(
        self,
        class_name: str,
        stack: NDArray[Any],
        spacing: tuple[float, float] | None,
        indices: list[int],
        range_: tuple[float, float],
    ) -> list[Slice]:
        if spacing is not None and not max(spacing) <= MOST_OBLONG * min(spacing):
            raise InputError(f"Pixels of {spacing[0]:g}x{spacing[1]:g} mm cannot be: correct the header of the image.")
        sides = [length * step for length, step in zip(stack.shape[1:], spacing or (1.0, 1.0), strict=True)]
        if max(sides) / min(spacing or (1.0,)) > LONGEST_SIDE:
            raise InputError(
                f"Slices of {stack.shape[1]}x{stack.shape[2]} pixels would have more than {LONGEST_SIDE} a side as"
                " squares: correct the header of the image, or leave it out."
            )
        made = []
        for index in indices:
            low, high = self._range(stack[index]) if self.intensity == "slice" else range_
            image = scale_to_unit(stack[index], low=low, high=high)
            darkest, brightest = torch.aminmax(image)
            if not darkest < brightest:
                raise InputError(
                    f"Slice {index} is constant between what becomes 0 and 1: leave it out, or change --intensity."
                )
            resized = resize_square(image[None], size=self.size, spacing=spacing)
            shape = (stack.shape[1], stack.shape[2])
            made.append(Slice(class_name, resized, index if len(stack) > 1 else None, shape, spacing, low, high))
        return made


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _rising(pair: Sequence[object], least: float, most: float) -> bool:
    return len(pair) == 2 and all(_number(value) for value in pair) and least <= pair[0] < pair[1] <= most  # type: ignore[operator]
