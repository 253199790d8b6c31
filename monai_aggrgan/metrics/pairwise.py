"""SSIM and PSNR of every judged image with every reference, and the best of a pool for each reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from monai.utils.module import look_up_option
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor

__all__ = ["best_matches", "pairwise_psnr", "pairwise_ssim"]

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2 for data range L = 1
POOL_CHUNK = 256

PairwiseMetric = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def pairwise_ssim(judged: Tensor, references: Tensor, *, memory_budget: int | None = None) -> Tensor:
    """Structural similarity of all pairs.

    Means and variances are computed once an image; only the covariance is computed for each pair. The valid Gaussian
    filter of an image x is A x B^T with banded A and B, so that a chunk of pairs is two matrix products. It runs in
    full float32 also under autocast or TF32: the variances are small differences of large moments.

    Args:
        judged: images (M, 1, H, W) in [0, 1], H and W at least 11.
        references: images (N, 1, H, W) in [0, 1] on the same device.
        memory_budget: bytes for the working arrays of a chunk; by default 2 MiB on a CPU (about a core's cache, where
            it is fastest) and 256 MiB elsewhere.

    Returns:
        SSIM (M, N): Gaussian window 11x11 of sigma 1.5, K1 = 0.01, K2 = 0.03, data range 1, population covariance, mean
        over the valid region.

    Raises:
        ValueError: when the shapes do not fit or the images are smaller than the window.

    Source: Mukherjee et al. 2022, eq. 1, with the window of Wang et al. 2004.
    """
    judged, references = _plain(judged, references)
    height, width = judged.shape[1:]
    if min(height, width) < WINDOW:
        raise ValueError(f"SSIM needs images of at least {WINDOW}x{WINDOW} pixels, got {height}x{width}")
    budget = memory_budget or (2 if judged.device.type == "cpu" else 256) * 2**20
    rows, columns = (_gaussian_band(size).to(judged) for size in (height, width))
    scores = judged.new_empty(len(judged), len(references))
    with _full_precision(judged.device.type):
        judged_moments, reference_moments = (_moments(images, rows, columns) for images in (judged, references))
        for i, j in _blocks(len(judged), len(references), pairs=budget // (16 * height * width)):
            cross = rows @ ((judged[i, None] * references[j]) @ columns.T)
            scores[i, j] = _ssim_of_moments(judged_moments[i, None], reference_moments[j], cross)
    return scores


@torch.no_grad()
def pairwise_psnr(judged: Tensor, references: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of all pairs, 20 log10(1 / sqrt(MSE)), infinite for identical images.

    Differences are taken pixel by pixel: the shorter x^2 - 2xy + y^2 loses the digits of near copies.

    Args:
        judged: images (M, 1, H, W) in [0, 1].
        references: images (N, 1, H, W) in [0, 1] on the same device.

    Returns:
        PSNR (M, N) in dB.

    Raises:
        ValueError: when the shapes do not fit.

    Source: Mukherjee et al. 2022, eq. 2-3, peak 1.
    """
    judged, references = (images.flatten(1) for images in _plain(judged, references))
    distance = torch.cdist(judged, references, compute_mode="donot_use_mm_for_euclid_dist")
    return -20 * torch.log10(distance / judged.shape[1] ** 0.5)


@torch.no_grad()
def best_matches(
    judged_pool: Tensor, references: Tensor, *, metric: str | PairwiseMetric = "ssim", count: int = 1
) -> tuple[Tensor, Tensor]:
    """The `count` pool images with the highest metric against each reference; ties go to the lower index.

    The pool passes in chunks, each moved to the references' device, so neither the pool nor the matrix of all pairs
    need fit there. An undefined metric (NaN) loses against every other.

    Args:
        judged_pool: images (N, 1, H, W) in [0, 1].
        references: images (M, 1, H, W) in [0, 1].
        metric: "ssim", "psnr", or any function of (judged, references) that returns their matrix, higher is better.
        count: how many to keep, at most N.

    Returns:
        Pool indices (M, count), best first, and their metric (M, count).

    Raises:
        ValueError: when `metric` is unknown or `count` is not in 1..N.
    """
    if not 1 <= count <= len(judged_pool):
        raise ValueError(f"count must be 1 to {len(judged_pool)}, the size of the pool, got {count}")
    named: dict[str, PairwiseMetric] = {"ssim": pairwise_ssim, "psnr": pairwise_psnr}
    compare = named[look_up_option(metric, named.keys())] if isinstance(metric, str) else metric
    scores = torch.empty(len(references), 0, device=references.device)
    indices = torch.empty(len(references), 0, dtype=torch.long, device=references.device)
    for start in range(0, len(judged_pool), POOL_CHUNK):
        chunk = judged_pool[start : start + POOL_CHUNK].to(references.device)
        chunk_scores = compare(chunk, references).T.nan_to_num(-torch.inf, torch.inf, -torch.inf)
        chunk_indices = torch.arange(start, start + len(chunk), device=references.device).expand_as(chunk_scores)
        scores, order = torch.cat([scores, chunk_scores], 1).sort(dim=1, descending=True, stable=True)
        indices = torch.cat([indices, chunk_indices], 1).gather(1, order)[:, :count]
        scores = scores[:, :count]
    return indices, scores


def _plain(judged: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Both without channel and without MONAI's metadata, in float32."""
    for images in (judged, references):
        if images.ndim != 4 or images.shape[1:] != (1, *judged.shape[2:]) or not images.is_floating_point():
            raise ValueError(
                f"images must be floating-point (M, 1, H, W) and (N, 1, H, W), got {judged.dtype} "
                f"{tuple(judged.shape)} and {references.dtype} {tuple(references.shape)}"
            )
    first, second = (convert_to_tensor(x[:, 0], dtype=torch.float32, track_meta=False) for x in (judged, references))
    return first, second


def _gaussian_band(size: int) -> Tensor:
    """Matrix (size - 10, size) whose product with a column is its Gaussian filter, valid part."""
    window = torch.exp(-((torch.arange(WINDOW) - WINDOW // 2) / SIGMA).square() / 2)
    row = torch.nn.functional.pad(window / window.sum(), (0, size - WINDOW))
    return torch.stack([row.roll(shift) for shift in range(size - WINDOW + 1)])


def _moments(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Local mean, mean^2 + C1/2 and variance + C2/2 of each image, (N, 3, H - 10, W - 10)."""
    mean, mean_of_square = (rows @ (x @ columns.T) for x in (images, images.square()))
    variance = (mean_of_square - mean.square()).clamp_min(0)  # rounding can leave -1e-8 where an image is constant
    return torch.stack([mean, mean.square() + C1 / 2, variance + C2 / 2], dim=1)


def _ssim_of_moments(judged: Tensor, references: Tensor, cross: Tensor) -> Tensor:
    """Mean SSIM of a block of pairs; works in `cross`, the local mean of the product, to stay in the cache."""
    (mean, power, variance), (other_mean, other_power, other_variance) = judged.unbind(2), references.unbind(1)
    mean_product = mean * other_mean
    ssim = cross.sub_(mean_product).add_(C2 / 2).mul_(mean_product.add_(C1 / 2))
    ssim.div_(power + other_power).div_(variance + other_variance)
    return 4 * ssim.mean(dim=(-2, -1))  # 4: both factors of the numerator are halved


def _blocks(judged: int, references: int, *, pairs: int) -> Iterator[tuple[slice, slice]]:
    """Rectangles of about `pairs` pairs that tile the matrix (judged, references)."""
    wide = max(1, min(references, pairs))
    high = max(1, pairs // wide)
    for i in range(0, judged, high):
        for j in range(0, references, wide):
            yield slice(i, i + high), slice(j, j + wide)


@contextmanager
def _full_precision(device_type: str) -> Iterator[None]:
    matmul = torch.backends.cuda.matmul
    setting, full = ("fp32_precision", "ieee") if hasattr(matmul, "fp32_precision") else ("allow_tf32", False)
    before = getattr(matmul, setting)
    setattr(matmul, setting, full)
    try:
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        setattr(matmul, setting, before)
