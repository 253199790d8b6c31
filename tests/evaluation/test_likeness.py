from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from monai_aggrgan.data import phantom_slice
from monai_aggrgan.evaluation import likeness as module
from monai_aggrgan.evaluation.likeness import likeness
from monai_aggrgan.evaluation.near_duplicates import structure
from monai_aggrgan.metrics.aligned_ssim import AlignedMatches, AlignedSSIM


def heads(seeds: range, *, size: int = 64) -> Tensor:
    return torch.from_numpy(np.stack([phantom_slice("ring", seed=seed, size=size) for seed in seeds]))[:, None]


TRAINING, OTHERS = heads(range(6)), heads(range(10, 16))


def test_copies_are_alike_whatever_was_done_to_them_and_others_are_not() -> None:
    search = AlignedSSIM(TRAINING)
    copies = (TRAINING.flip(-1).roll((1, -2), (2, 3)) * 0.8 + 0.02).clamp(0, 1)
    assert (likeness(copies, TRAINING, search(copies)) > 0.7).all()
    assert (likeness(OTHERS, TRAINING, search(OTHERS)) < 0.6).all()


def test_it_is_the_product_of_structures_of_what_lies_on_each_other(monkeypatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    match = AlignedMatches(
        torch.ones(6),
        torch.tensor([3, 0, 1, 2, 5, 4]),
        torch.tensor([True, False] * 3),
        torch.tensor([[0, 0], [2, 0], [0, -3], [-1, 1], [0, 0], [1, 2]]),
    )
    placed = []
    for index, mirrored, (down, right) in zip(match.nearest, match.mirrored, match.shift.tolist(), strict=True):
        image = TRAINING[index, 0].flip(-1) if mirrored else TRAINING[index, 0]
        moved = torch.zeros(64, 64)
        for row in range(64):
            for column in range(64):
                if 0 <= row - down < 64 and 0 <= column - right < 64:
                    moved[row, column] = image[row - down, column - right]
        placed.append(moved)
    expected = (structure(OTHERS) * structure(torch.stack(placed)[:, None])).sum(dim=1)
    np.testing.assert_allclose(likeness(OTHERS, TRAINING, match), expected, atol=1e-6)


def test_small_images_have_none() -> None:
    small = heads(range(3), size=32)
    assert likeness(small, small, AlignedSSIM(small)(small)) is None
