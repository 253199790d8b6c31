"""Images with class labels for a classifier, and batches of them: the same number of steps whatever the data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.data.prepared import IndexedBatches, own_rows

__all__ = ["CaseImages", "LabelledImages", "SteppedBatches", "ordered_loader", "stepped_loader"]


class LabelledImages(Dataset[dict[str, Tensor]]):
    """Images and their classes, in memory.

    An index gives `{"image": (1, H, W), "label": ()}`, some indices a batch `{"image": (B, 1, H, W), "label": (B,)}`.
    Either is a copy, see `PreparedSlices`.

    Args:
        images: images (N, 1, H, W) float in [0, 1].
        labels: their classes (N,), int64, from 0 on.

    Raises:
        ValueError: when they have other shapes or types, or there are none.
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != 1 or not images.is_floating_point() or not len(images):
            raise ValueError(f"images must be float (N, 1, H, W), N at least 1, got {_told(images)}")
        if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
            raise ValueError(f"labels must be int64 ({len(images)},), one an image, got {_told(labels)}")
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | Sequence[int] | Tensor) -> dict[str, Tensor]:
        return {"image": own_rows(self.images, index), "label": own_rows(self.labels, index)}

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    def to(self, device: torch.device | str) -> LabelledImages:
        """Move images and labels to `device`, so that batches are made there."""
        self.images, self.labels = self.images.to(device), self.labels.to(device)
        return self


class CaseImages(NamedTuple):
    """What one training of a classifier sees, and what it is tested on."""

    training: LabelledImages
    validation: LabelledImages
    tests: Mapping[str, LabelledImages]


class SteppedBatches(Sampler[Tensor]):
    """Batches of indices whose epochs all have the same number of steps, however many samples there are.

    The batches are cut from an endless row of shuffled passes over the data set, which is a function of `seed` alone.
    Epoch e, from 1 on, goes on where epoch e - 1 ended, so a resumed training sees what an uninterrupted one does, and
    after any number of steps no sample was seen twice more often than another.

    Args:
        length: number of samples.
        batch_size: samples of a batch; a smaller data set is one batch.
        steps: batches of an epoch.
        seed: decides the order.
        device: where the indices are wanted; they go there once an epoch.

    Raises:
        ValueError: when a number is less than 1.
    """

    def __init__(
        self, length: int, *, batch_size: int, steps: int, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        if min(length, batch_size, steps) < 1:
            told = f"{length}, {batch_size} and {steps}"
            raise ValueError(f"length, batch_size and steps must be at least 1, got {told}")
        self.length, self.batch_size, self.steps, self.seed = length, min(batch_size, length), steps, seed
        self.device, self.epoch = device, 1

    def set_epoch(self, epoch: int) -> None:
        """Choose the part of the next iteration; ValueError when `epoch` is less than 1."""
        if epoch < 1:
            raise ValueError(f"epoch must be at least 1, got {epoch}")
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Tensor]:
        samples = self.steps * self.batch_size
        start = (self.epoch - 1) * samples
        first, last = start // self.length, (start + samples - 1) // self.length
        row = torch.cat([self._pass(number) for number in range(first, last + 1)])
        part = row[start - first * self.length :][:samples]
        return iter(part.view(self.steps, self.batch_size).to(self.device))

    def _pass(self, number: int) -> Tensor:
        random = torch.Generator().manual_seed(derived_seed(self.seed, number))
        return torch.randperm(self.length, generator=random)


def stepped_loader(dataset: LabelledImages, *, batch_size: int, steps: int, seed: int = 0) -> IndexedBatches:
    """Loader of training batches, see `SteppedBatches`: `steps` of min(batch_size, N) images an epoch."""
    sampler = SteppedBatches(len(dataset), batch_size=batch_size, steps=steps, seed=seed, device=dataset.device)
    return IndexedBatches(dataset, sampler)


def ordered_loader(dataset: LabelledImages, *, batch_size: int) -> IndexedBatches:
    """Loader of all images in their order, each once; the last batch may be smaller."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    return IndexedBatches(dataset, torch.arange(len(dataset), device=dataset.device).split(batch_size))


def _told(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}"
