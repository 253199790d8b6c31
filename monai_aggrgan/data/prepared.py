"""Prepared slices of one class as one tensor, and batches of it that depend on nothing but seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.utils import look_up_option
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from monai_aggrgan.data.image_folder import AXES
from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.data.manifest import read_image_array
from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.exceptions import InputError

__all__ = ["PreparedSlices", "ShuffledBatches", "shuffled_loader"]


class PreparedSlices(Dataset[dict[str, Tensor]]):
    """Slices of one class and one side of the split, as the stage `prepare` wrote them.

    An index gives `{"image": (1, H, W)}`, a list of indices a whole batch `{"image": (B, 1, H, W)}` in one operation.

    Args:
        folder: the prepared data set, a folder with one folder per class.
        class_name: which class.
        section: `training` or `held_out`.

    Attributes:
        images: all of them, (N, 1, H, W) float32 in [0, 1].
        rows: their manifest rows.

    Raises:
        InputError: when the class was not prepared or has nothing on that side.
    """

    def __init__(self, folder: Path | str, *, class_name: str, section: str = TRAINING) -> None:
        look_up_option(section, (TRAINING, HELD_OUT))
        images, rows = read_image_array(Path(folder) / class_name)
        kept = [index for index, row in enumerate(rows) if row["section"] == section]
        if not kept:
            raise InputError(f"Class '{class_name}' has no {section} images in {folder}: prepare it again.")
        self.images = images[kept]
        self.rows = [rows[index] for index in kept]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | Sequence[int]) -> dict[str, Tensor]:
        return {"image": self.images[index]}

    def samples(self, count: int | None = None) -> list[dict[str, Any]]:
        """The first `count` slices, all by default, as MONAI's data sets take them: each with its id as metadata.

        Returns:
            One `{"image": (1, H, W), "image_meta_dict": {"filename_or_obj": id, ...}}` a slice. Its `affine` (4, 4) and
            `spatial_shape` are for an image whose axes are exchanged, (1, W, H): so saved, viewers show it upright.
        """
        height, width = self.images.shape[-2:]
        place = {"affine": torch.from_numpy(AXES), "spatial_shape": torch.tensor([width, height])}
        rows = self.rows if count is None else self.rows[:count]
        return [
            {"image": image, "image_meta_dict": {"filename_or_obj": row["id"], **place}}
            for image, row in zip(self.images, rows, strict=False)
        ]

    def to(self, device: torch.device | str) -> PreparedSlices:
        """Move the images to `device`, so that batches are made there."""
        self.images = self.images.to(device)
        return self


class ShuffledBatches(Sampler[list[int]]):
    """Whole batches of indices in an order that is a function of seed and epoch: a resumed training sees the same.

    What does not fill a batch at the end of an epoch is left out of that epoch, another part each time. A data set
    smaller than a batch is one batch.

    Args:
        length: number of samples.
        batch_size: samples of a batch.
        seed: with the epoch, decides the order.
    """

    def __init__(self, length: int, *, batch_size: int, seed: int = 0) -> None:
        if length < 1 or batch_size < 1:
            raise ValueError(f"length and batch_size must be at least 1, got {length} and {batch_size}")
        self.length, self.batch_size, self.seed = length, min(batch_size, length), seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration, as with torch's DistributedSampler."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        random = torch.Generator().manual_seed(derived_seed(self.seed, self.epoch))
        order = torch.randperm(self.length, generator=random).tolist()
        return iter([order[start : start + self.batch_size] for start in self._starts()])

    def _starts(self) -> range:
        return range(0, len(self) * self.batch_size, self.batch_size)


def shuffled_loader(dataset: PreparedSlices, *, batch_size: int, seed: int = 0) -> DataLoader[dict[str, Tensor]]:
    """Loader of `{"image": (B, 1, H, W)}` batches, each taken from the data set's tensor by index, for a trainer."""
    sampler = ShuffledBatches(len(dataset), batch_size=batch_size, seed=seed)
    own_seed = torch.Generator()  # the loader draws a number a pass; not from the global generator
    return DataLoader(dataset, sampler=sampler, batch_size=None, generator=own_seed)
