"""SSIM and PSNR of every judged image with every reference, and the best of a pool for each reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from monai.utils.module import look_up_option
from torch import Tensor
from tqdm import tqdm

from monai_aggrgan.metrics.all_pairs_psnr import AllPairsPSNR
from monai_aggrgan.metrics.all_pairs_ssim import AllPairsSSIM

__all__ = ["PairwiseMetric", "best_matches", "pairwise_psnr", "pairwise_ssim"]

CHUNK = {"cpu": 256, "cuda": 1024}  # images of a pool between two looks at the best so far
BYTES_A_PIXEL = 12  # that are kept of a reference
MEMORY_BUDGET = {"cpu": 2**30, "cuda": 2**32}

PairwiseMetric = Callable[[Tensor, Tensor], Tensor]
"""Gives the matrix (M, N) of M judged images with N references; higher is better."""


def pairwise_ssim(judged: Tensor, references: Tensor, *, memory_budget: int | None = None) -> Tensor:
    """Structural similarity of all pairs, see `AllPairsSSIM`.

    Args:
        judged: images (M, 1, H, W) in [0, 1], H and W at least 11; or signals (M, 1, W), or volumes (M, 1, D, H, W).
        references: images (N, 1, H, W) in [0, 1] on the same device.
        memory_budget: bytes for the judged images in work, see `AllPairsSSIM`.

    Returns:
        SSIM (M, N): Gaussian window of 11 pixels a side and sigma 1.5, K1 = 0.01, K2 = 0.03, data range 1, population
        covariance, mean over the valid region.

    Raises:
        ValueError: when the shapes do not fit or the images are smaller than the window.

    Source: Mukherjee et al. 2022, eq. 1, with the window of Wang et al. 2004.

    Example:
        >>> images = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> pairwise_ssim(images, images).diagonal().round(decimals=3)
        tensor([1., 1., 1.])
    """
    return AllPairsSSIM(references, memory_budget=memory_budget)(judged)


def pairwise_psnr(judged: Tensor, references: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of all pairs, see `AllPairsPSNR`.

    Args:
        judged: images (M, 1, H, W) in [0, 1], or signals (M, 1, W), or volumes (M, 1, D, H, W).
        references: images (N, 1, H, W) in [0, 1] on the same device.

    Returns:
        PSNR (M, N) in dB, infinite for identical images.

    Raises:
        ValueError: when the shapes do not fit.

    Source: Mukherjee et al. 2022, eq. 2-3, peak 1.

    Example:
        >>> pairwise_psnr(torch.full((1, 1, 4, 4), 0.1), torch.zeros(1, 1, 4, 4))  # 10 log10(1 / 0.1^2)
        tensor([[20.]])
    """
    return AllPairsPSNR(references)(judged)


@torch.no_grad()
def best_matches(
    judged_pool: Tensor,
    references: Tensor,
    *,
    metric: str | PairwiseMetric = "ssim",
    count: int = 1,
    memory_budget: int | None = None,
    progress: str | None = None,
) -> tuple[Tensor, Tensor]:
    """The `count` pool images with the highest metric against each reference; ties go to the lower index.

    The pool passes in chunks, each moved to the references' device as float32, so neither the pool (which may be
    half-precision, or a memory-mapped file) nor the matrix of all pairs need fit there. An undefined metric (NaN)
    loses against every other. What is found for a reference does not depend on the other references.

    Args:
        judged_pool: images (N, 1, H, W) in [0, 1], such as `torch.from_numpy(np.load("pool.npy", mmap_mode="c"))`; or
            signals, or volumes.
        references: images (M, 1, H, W) in [0, 1].
        metric: "ssim", "psnr", or any function of (judged, references) that returns their matrix, higher is better.
        count: how many to keep, at most N.
        memory_budget: bytes for what is kept of the references, by default 1 GiB on a CPU and 4 GiB on CUDA; when they
            are more than fit, they are searched for group by group.
        progress: label of a progress bar over the pool; no bar by default.

    Returns:
        Pool indices (M, count), best first, and their metric (M, count).

    Raises:
        ValueError: when `metric` is unknown, `count` is not in 1..N or there is no reference.

    Example:
        >>> pool = torch.linspace(0, 1, 11)[:, None, None, None].expand(11, 1, 4, 4)
        >>> best_matches(pool, torch.full((1, 1, 4, 4), 0.31), metric="psnr", count=2)[0]
        tensor([[3, 4]])
    """
    if not len(references):
        raise ValueError("references must hold at least one image, got none")
    if not 1 <= count <= len(judged_pool):
        raise ValueError(f"count must be 1 to {len(judged_pool)}, the size of the pool, got {count}")
    budget = memory_budget or MEMORY_BUDGET.get(references.device.type, MEMORY_BUDGET["cuda"])
    groups = references.split(max(1, budget // (BYTES_A_PIXEL * references[0].numel())))
    with tqdm(total=len(judged_pool) * len(groups), desc=progress, unit="image", disable=progress is None) as bar:
        found = [_search(judged_pool, group, _comparison(metric, group), count=count, bar=bar) for group in groups]
    indices, scores = zip(*found, strict=True)
    return torch.cat(indices), torch.cat(scores)


def _comparison(metric: str | PairwiseMetric, references: Tensor) -> Callable[[Tensor], Tensor]:
    """Gives the matrix of judged images with the references; what concerns these alone is computed here, once."""
    if not isinstance(metric, str):
        return partial(lambda judged, compare: compare(judged, references), compare=metric)
    return {"ssim": AllPairsSSIM, "psnr": AllPairsPSNR}[look_up_option(metric, ("ssim", "psnr"))](references)


def _search(
    pool: Tensor, references: Tensor, compare: Callable[[Tensor], Tensor], *, count: int, bar: tqdm[None]
) -> tuple[Tensor, Tensor]:
    """Best indices and scores (M, count): after each chunk the best of those before and of the chunk go on."""
    device = references.device
    chunk_size = max(CHUNK.get(device.type, CHUNK["cuda"]), count)
    scores = torch.empty(len(references), 0, device=device)
    indices = torch.empty(len(references), 0, dtype=torch.long, device=device)
    for start in range(0, len(pool), chunk_size):
        chunk = pool[start : start + chunk_size].to(device, torch.float32)
        chunk_scores = compare(chunk).T.nan_to_num(-torch.inf, torch.inf, -torch.inf)
        chunk_indices = torch.arange(start, start + len(chunk), device=device).expand_as(chunk_scores)
        scores, order = torch.cat([scores, chunk_scores], 1).sort(dim=1, descending=True, stable=True)
        indices = torch.cat([indices, chunk_indices], 1).gather(1, order)[:, :count]
        scores = scores[:, :count]
        bar.update(len(chunk))
    return indices, scores
