"""SSIM of many images with many references: moments once an image, only the covariance for each pair."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from monai.utils.module import look_up_option
from torch import Tensor

from monai_aggrgan.metrics.grey_images import plain_images
from monai_aggrgan.metrics.local_means import (
    C1,
    C2,
    FILTERS,
    Filtering,
    check_window_fits,
    fastest_filtering,
    full_precision,
)

__all__ = ["AllPairsSSIM"]

MAPS = 7  # float32 maps in work for each image of a block
LANES = 32  # a block holds a multiple of them: torch sums what is over in another order, and twins would differ
FAST_BYTES = {"cpu": 16 * 2**20, "cuda": 512 * 2**20}  # of a block: what a CPU's last cache holds, what fills a GPU


class _Moments(NamedTuple):
    """Images (H, W, C) and their local means and variances (H', W', C), or signals (W, C), or volumes (D, H, W, C)."""

    images: Tensor
    mean: Tensor
    variance: Tensor


class AllPairsSSIM:
    """Structural similarity of judged images with fixed references, whose moments are computed once.

    Judged images pass in blocks laid out pixel by pixel, (H, W, C): beside them a reference is one number a pixel, and
    a pair costs one local mean and ten passes over it. A reference meets the same blocks whatever the other references
    are, so on a CPU a pair's value does not depend on them, to the last bit. All is float32 also under autocast or
    TF32: variances are small differences of large moments.

    Args:
        references: images (N, 1, H, W) in [0, 1], H and W at least 11; 3 floats a pixel are kept of them. Or signals
            (N, 1, W), whose window is 11 long, or volumes (N, 1, D, H, W), whose window is 11x11x11.
        memory_budget: bytes for a block in work, by default 16 MiB on a CPU and 512 MiB on CUDA; at least 32 images.
        filtering: how local means are taken, "depthwise" by separable convolutions (0.6 MFLOP for a pair of 128x128)
            or "matrix" by products with banded matrices (7.4 MFLOP, at the speed of matrix products); by default
            "depthwise" on a CPU with oneDNN, "matrix" elsewhere.
        stride: the mean is taken over every stride-th place of the window in each direction. 1 is SSIM; 2 takes half
            the time and differs little, since neighbouring windows see nearly the same: on 57,600 pairs of glioma
            slices of 128x128 by 0.002 in the mean and 0.006 at most.

    Raises:
        ValueError: when the references are not such images, or `stride` is not positive.

    Source: Mukherjee et al. 2022, eq. 1, with the window of Wang et al. 2004.
    """

    @torch.no_grad()
    def __init__(
        self,
        references: Tensor,
        *,
        memory_budget: int | None = None,
        filtering: Filtering | None = None,
        stride: int = 1,
    ) -> None:
        images = plain_images(references)
        check_window_fits(images.shape[1:])
        if stride < 1:
            raise ValueError(f"stride must be at least 1, got {stride}")
        self._local_mean = FILTERS[look_up_option(filtering or fastest_filtering(images), FILTERS.keys())](
            images, stride
        )
        budget = memory_budget or FAST_BYTES.get(images.device.type, FAST_BYTES["cuda"])
        self.block_size = max(1, budget // (MAPS * 4 * math.prod(images.shape[1:]) * LANES)) * LANES
        blocks = [self._moments(block) for block in images.split(self.block_size)]
        self._references = _Moments(*(_one_by_one(maps)[: len(images)] for maps in zip(*blocks, strict=True)))

    @torch.no_grad()
    def __call__(self, judged: Tensor) -> Tensor:
        """SSIM (M, N) of images (M, 1, H, W) in [0, 1], on the references' device, with each reference."""
        images = plain_images(judged, like=self._references.images)
        scores = [self._compare(self._moments(block)) for block in images.split(self.block_size)]
        return torch.cat(scores)[: len(images)]

    def _moments(self, images: Tensor) -> _Moments:
        """Of images (C, H, W), filled up to whole lanes."""
        untouched = (0, 0) * (images.ndim - 1)
        pixels = F.pad(images, (*untouched, 0, -len(images) % LANES)).movedim(0, -1).contiguous()
        with full_precision(images.device.type):
            mean, mean_of_square = self._local_mean(pixels, 0.0), self._local_mean(pixels.square(), 0.0)
        # rounding can leave -1e-8 where an image is constant
        return _Moments(pixels, mean, mean_of_square.addcmul_(mean, mean, value=-1).clamp_min_(0))

    def _compare(self, block: _Moments) -> Tensor:
        """Mean SSIM (C, N) of a block with every reference: the mean of

        (2 m m' + C1) (2 (E[x x'] - m m') + C2) / ((m^2 + m'^2 + C1) (v + v' + C2)).
        """
        scores = block.images.new_empty(len(self._references.images), block.images.shape[-1])
        product, means = torch.empty_like(block.images), torch.empty_like(block.mean)
        places = tuple(range(block.images.ndim - 1))
        total = product.view(-1)[: means.numel()].view_as(means)  # the product is used up by then
        with full_precision(scores.device.type):
            for score, image, mean, variance in zip(scores, *self._references, strict=True):
                torch.mul(block.images, image[..., None], out=product)
                ssim = self._local_mean(product, C2 / 2)
                torch.mul(block.mean, mean[..., None], out=means)
                ssim.sub_(means).mul_(means.add_(C1 / 2))
                ssim.div_(torch.addcmul(mean.square().add_(C1)[..., None], block.mean, block.mean, out=total))
                ssim.div_(torch.add(block.variance, variance.add(C2)[..., None], out=total))
                torch.sum(ssim, dim=places, out=score)
        return scores.T * (4 / block.mean[..., 0].numel())  # 4: both factors of the numerator were halved


def _one_by_one(blocks: tuple[Tensor, ...]) -> Tensor:
    """Maps of blocks (H, W, C) as maps of images (N, H, W)."""
    return torch.cat([block.movedim(-1, 0).contiguous() for block in blocks])
