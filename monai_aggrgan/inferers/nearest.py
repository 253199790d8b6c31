"""Answering each image with the nearest of some that are given, real or synthetic."""

from __future__ import annotations

from typing import Any

from monai.inferers import Inferer
from monai.utils import convert_to_tensor
from torch import Tensor

from monai_aggrgan.inferers.select import select_candidates
from monai_aggrgan.metrics.pairwise import PairwiseMetric

__all__ = ["NearestInferer"]


class NearestInferer(Inferer):
    """Answers each real image with the most similar of given images; the network plays no part.

    In an evaluator over held-out images, training images in place of a generator's pool tell how near real images of
    other patients come: the level with which synthetic images are to be compared.

    Args:
        images: among which is chosen, (N, 1, H, W) in [0, 1].
        metric: `ssim`, `psnr` or a function, see `select_candidates`.
    """

    def __init__(self, images: Tensor, *, metric: str | PairwiseMetric = "ssim") -> None:
        super().__init__()
        self.images, self.metric = images, metric

    def __call__(self, inputs: Tensor, network: Any = None) -> Tensor:
        """The given image (B, 1, H, W) in [0, 1] that is nearest to each of `inputs` (B, 1, H, W)."""
        references = convert_to_tensor(inputs, track_meta=False)
        return self.images[select_candidates(references, {"given": self.images}, metric=self.metric).indices[:, 0]]
