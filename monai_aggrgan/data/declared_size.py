"""What a file declares to hold, held against what any image is and what the file can hold, before it is read."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from monai_aggrgan.exceptions import InputError

__all__ = ["MOST_VALUES", "refuse_declared_size"]

MOST_VALUES = 2**30
"""Pixels of a slice or volume at the most: 1024 slices of 1024x1024."""
MOST_INFLATED = 1100
"""Bytes that a byte of a file may become: deflate, which gzip, zip and HDF5 use, makes 1032 of one."""


def refuse_declared_size(shape: Sequence[int], path: Path | str, *, bytes_a_value: int = 0) -> None:
    """Refuse an image by its header: libraries take memory for all that it declares, also where nothing follows.

    Args:
        shape: as the header tells it.
        path: of the file.
        bytes_a_value: of the values that the file itself holds, compressed or not; 0 where others hold them.

    Raises:
        InputError: when it declares more than `MOST_VALUES` values, or more than the file can hold.
    """
    count = math.prod(int(length) for length in shape)
    if count > MOST_VALUES or min(shape, default=0) < 0:
        raise InputError(
            f"{path} declares {'x'.join(str(length) for length in shape)} pixels, more than the {MOST_VALUES} that an"
            " image may have: replace or remove it."
        )
    if count * bytes_a_value > os.path.getsize(path) * MOST_INFLATED:
        raise InputError(f"{path} declares {count} pixels, more than it can hold: it is damaged, replace or remove it.")
