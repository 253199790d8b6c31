"""Prepared slices of one class as one tensor, and batches of it that depend on nothing but seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from monai.utils import look_up_option
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from monai_aggrgan.data.image_folder import AXES
from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.data.manifest import read_image_array, read_manifest
from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.exceptions import InputError

__all__ = ["IndexedBatches", "PreparedSlices", "ShuffledBatches", "shuffled_loader"]


class PreparedSlices(Dataset[dict[str, Tensor]]):
    """Slices of one class and one side of the split, as the stage `prepare` wrote them.

    An index gives `{"image": (1, H, W)}`, some indices a batch `{"image": (B, 1, H, W)}` in one operation. Either is a
    copy: MONAI's `CacheDataset` and `PersistentDataset` keep an item without the others, and transforms may change it.
    `PersistentDataset` needs `hash_func=hash_by_content`.

    Args:
        folder: the prepared data set, a folder with one folder per class.
        class_name: which class.
        section: `training` or `held_out`.

    Attributes:
        images: all of them, (N, 1, H, W) float32 in [0, 1].
        rows: their manifest rows.

    Raises:
        InputError: when the class was not prepared or has nothing on that side, or what is there are no slices.
    """

    def __init__(self, folder: Path | str, *, class_name: str, section: str = TRAINING) -> None:
        look_up_option(section, (TRAINING, HELD_OUT))
        read_manifest(Path(folder) / class_name, columns=["section"])
        images, rows = read_image_array(Path(folder) / class_name)
        if images.ndim != 4:
            raise InputError(
                f"{Path(folder) / class_name} must hold slices (N, 1, H, W), got {tuple(images.shape)}: a study is of"
                " slices; give signals and volumes to a trainer by a data set of your own."
            )
        kept = [index for index, row in enumerate(rows) if row["section"] == section]
        if not kept:
            raise InputError(f"Class '{class_name}' has no {section} images in {folder}: prepare it again.")
        self.images = images[kept]
        self.rows = [rows[index] for index in kept]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | Sequence[int] | Tensor) -> dict[str, Tensor]:
        return {"image": own_rows(self.images, index)}

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

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
            {"image": image.clone(), "image_meta_dict": {"filename_or_obj": row["id"], **place}}
            for image, row in zip(self.images, rows, strict=False)
        ]

    def to(self, device: torch.device | str) -> PreparedSlices:
        """Move the images to `device`, so that batches are made there."""
        self.images = self.images.to(device)
        return self


def own_rows(rows: Tensor, index: int | slice | Sequence[int] | Tensor) -> Tensor:
    """Rows in memory of their own: a view of one would be copied, hashed and saved with all the others."""
    chosen = rows[index]
    return chosen.clone() if chosen.untyped_storage().data_ptr() == rows.untyped_storage().data_ptr() else chosen


class ShuffledBatches(Sampler[Tensor]):
    """Whole batches of indices in an order that is a function of seed and epoch: a resumed training sees the same.

    What does not fill a batch at the end of an epoch is left out of that epoch, another part each time. A data set
    smaller than a batch is one batch. Of a training in several processes, each takes its part of every batch.

    Args:
        length: number of samples.
        batch_size: samples of a batch, of all processes together.
        seed: with the epoch, decides the order.
        rank: which process this is.
        world_size: how many there are.
        device: where the indices are wanted; they go there once an epoch.

    Raises:
        ValueError: when a number is too small, or a batch has no sample for each process.
    """

    def __init__(
        self,
        length: int,
        *,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        if length < 1 or batch_size < 1:
            raise ValueError(f"length and batch_size must be at least 1, got {length} and {batch_size}")
        self.share = min(batch_size, length) // world_size
        if not self.share:
            raise ValueError(f"{world_size} processes cannot share batches of {min(batch_size, length)}")
        self.length, self.batch_size, self.seed = length, self.share * world_size, seed
        self.rank, self.device, self.epoch = rank, device, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration, as with torch's DistributedSampler."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.batch_size

    def __iter__(self) -> Iterator[Tensor]:
        random = torch.Generator().manual_seed(derived_seed(self.seed, self.epoch))
        order = torch.randperm(self.length, generator=random).to(self.device)
        start = self.rank * self.share
        batches = order[: len(self) * self.batch_size].view(len(self), self.batch_size)
        return iter(batches[:, start : start + self.share])


class BatchGiver(Protocol):
    """A data set that gives a batch for a tensor of indices."""

    def __getitem__(self, index: Tensor, /) -> dict[str, Tensor]: ...


class IndexBatches(Protocol):
    """The indices of each batch, in their order."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Tensor]: ...


class IndexedBatches:
    """A loader of whole batches that a data set gives for a tensor of indices: no workers, no collation, no copies.

    Args:
        dataset: such as `PreparedSlices`, with all images in memory, best on the device.
        sampler: gives the indices of each batch; its `set_epoch`, where it has one, is called by the trainer.
    """

    def __init__(self, dataset: BatchGiver, sampler: IndexBatches) -> None:
        self.dataset, self.sampler = dataset, sampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for indices in self.sampler:
            yield self.dataset[indices]


def shuffled_loader(
    dataset: PreparedSlices, *, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1
) -> IndexedBatches:
    """Loader of `{"image": (B, 1, H, W)}` batches for a trainer, see `ShuffledBatches`, on the data set's device."""
    sampler = ShuffledBatches(
        len(dataset),
        batch_size=batch_size,
        seed=seed,
        rank=rank,
        world_size=world_size,
        device=getattr(dataset, "device", "cpu"),
    )
    return IndexedBatches(dataset, sampler)
