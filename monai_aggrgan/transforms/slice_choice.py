"""Which slices of a volume are taken: by its segmentation, by what is not background, or every n-th."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["across_foreground", "across_label", "every_nth", "foreground_areas"]

LEAST_SHARE = 0.01
"""Of the largest area: a slice with less of the foreground is not counted to its extent (specks of noise)."""


def foreground_areas(stack: NDArray[Any], *, low: float, high: float) -> NDArray[np.int64]:
    """Pixels of each slice of (D, H, W) that lie above a tenth of the range from `low` to `high`."""
    areas: NDArray[np.int64] = np.count_nonzero(stack > low + 0.1 * (high - low), axis=(1, 2))
    return areas


def _extent(areas: NDArray[np.int64], least: float) -> tuple[int, int]:
    inside = np.flatnonzero((areas > 0) & (areas >= least * areas.max()))
    return int(inside[0]), int(inside[-1])


def across_label(label: NDArray[Any]) -> list[int]:
    """Three slices of a segmentation (D, H, W): the largest area and the quartiles of the extent, in slice order.

    Where these coincide, the nearest slice with label that is not yet taken steps in; a label on fewer than three
    slices gives as many, an empty one none.

    Source: the paper has three slices a case and does not say which; largest, first and third quartile are ours.
    """
    areas = np.count_nonzero(label, axis=(1, 2))
    if not areas.any():
        return []
    first, last = _extent(areas, 0)
    wanted = [int(areas.argmax()), *(round(first + share * (last - first)) for share in (0.25, 0.75))]
    free = set(np.flatnonzero(areas).tolist())
    taken: list[int] = []
    for index in wanted[: len(free)]:
        taken.append(min(free, key=lambda slice_: (abs(slice_ - index), slice_)))
        free.remove(taken[-1])
    return sorted(taken)


def across_foreground(areas: NDArray[np.int64], *, positions: Sequence[float] = (0.4, 0.5, 0.6)) -> list[int]:
    """Slices at shares of the foreground's extent, from 0 (its first slice) to 1, without repetition.

    Args:
        areas: foreground of each slice (D,), see `foreground_areas`; at least one above 0.
        positions: the default are the middle and a tenth to either side.
    """
    first, last = _extent(areas, LEAST_SHARE)
    return sorted({round(first + position * (last - first)) for position in positions})


def every_nth(areas: NDArray[np.int64], *, step: int) -> list[int]:
    """Every `step`-th slice of the foreground's extent, from its first; those without any foreground are left out."""
    first, last = _extent(areas, LEAST_SHARE)
    return [index for index in range(first, last + 1, step) if areas[index]]
