"""Measures that are remembered."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_aggrgan.stages.measured import Measured


def test_each_image_is_measured_once_and_answered_in_order() -> None:
    met: list[int] = []

    def measure(images: Tensor) -> dict[str, Tensor]:
        met.append(len(images))
        return {"mean": images.mean(dim=(1, 2, 3)), "rows": images[:, 0, 0]}

    images = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    measured = Measured(measure)
    first = measured(images[[2, 0, 2]], ["c", "a", "c"])
    second = measured(images, list("abcde"))
    third = measured(images[[4, 1]], ["e", "b"])
    assert met == [2, 3]
    for columns, chosen in ((first, [2, 0, 2]), (second, [0, 1, 2, 3, 4]), (third, [4, 1])):
        torch.testing.assert_close(columns["mean"], images[chosen].mean(dim=(1, 2, 3)))
        torch.testing.assert_close(columns["rows"], images[chosen][:, 0, 0])
