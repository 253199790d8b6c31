"""What is computed of an image once, however many methods show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["Measured"]


class Measured:
    """Remembers the measures of images by the hashes of their pixels.

    Many methods of a study show the same images: a pool's image that answers several references, a candidate that is
    best single and best of its GAN.

    Args:
        measure: gives of images (N, 1, H, W) any number of columns, tensors (N, ...).
    """

    def __init__(self, measure: Callable[[Tensor], Mapping[str, Tensor]]) -> None:
        self._measure = measure
        self._place: dict[str, int] = {}
        self._columns: dict[str, Tensor] = {}

    def __call__(self, images: Tensor, hashes: Sequence[str]) -> dict[str, Tensor]:
        """Columns (N, ...) of images (N, 1, H, W), of which only those not met before are measured.

        Args:
            images: on any device.
            hashes: one an image; images of one hash are the same.
        """
        new = {name: index for index, name in reversed([*enumerate(hashes)]) if name not in self._place}
        if new:
            first = sorted(new.values())
            self._place |= {hashes[index]: len(self._place) + place for place, index in enumerate(first)}
            columns = self._measure(images[first])
            self._columns = {
                name: torch.cat([self._columns[name], column]) if name in self._columns else column
                for name, column in columns.items()
            }
        places = [self._place[name] for name in hashes]
        return {name: column[places] for name, column in self._columns.items()}
