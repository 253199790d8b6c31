"""Merging candidates pixel by pixel: by the strength of their edges (Algorithm 1), and what that is compared with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from monai.networks.layers import gaussian_1d
from monai.utils import look_up_option
from torch import Tensor

from monai_aggrgan.networks.spatial_dims import check_spatial_dims

__all__ = [
    "GAUSSIANS",
    "MERGINGS",
    "edge_weighted_mean",
    "gaussian_of_edges",
    "merging_weights",
    "sobel_magnitude",
    "weighted_sum",
]

GAUSSIANS = ("filter", "function")
MERGINGS = ("edge-weighted", "metric-weighted", "mean", "best-single")
BLOCK = 32  # columns of a filtered map that are made in one product
PIXELS = {"cpu": 2**19, "cuda": 2**26}  # of candidates in work at once: their maps stay in a CPU's cache, fill a GPU
TRUNCATED = 4.0  # standard deviations at which the Gaussian filter ends, as SciPy's does


def edge_weighted_mean(candidates: Tensor, scores: Tensor, *, sigma: float = 1.0, gaussian: str = "filter") -> Tensor:
    """Merge candidates pixel by pixel, weighted by smoothed edge strength.

    w_i = g_i / sum_j g_j where every g_j is non-zero, else w_i = m_i / sum_j m_j; the result is sum_i w_i x_i.

    Args:
        candidates: images (B, K, 1, H, W) in [0, 1], K candidates for each of B references; or signals (B, K, 1, W), or
            volumes (B, K, 1, D, H, W).
        scores: selection metric m of each candidate (B, K); weighs the pixels where a candidate has no edge. Negative
            values count as 0; where all are 0, candidates weigh the same.
        sigma: standard deviation, in pixels of the Gaussian filter, in intensity of the Gaussian function.
        gaussian: `filter` smooths the edge map e with a Gaussian filter, so that edges are preferred, as the paper's
            words have it; `function` is the literal reading, g = exp(-e^2 / (2 sigma^2)), which prefers smooth areas.

    Returns:
        Merged images (B, 1, H, W) in [0, 1], float32.

    Raises:
        ValueError: when `candidates` has another shape, `scores` does not match it, or sigma is not positive.

    Source: Mukherjee et al. 2022, Algorithm 1. Differs from it in: K candidates instead of two.

    Example:
        >>> flat, step = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
        >>> step[..., 4:] = 1
        >>> candidates = torch.stack([flat, step])[None]  # one reference, two candidates
        >>> merged = edge_weighted_mean(candidates, torch.tensor([[0.5, 0.5]]))
        >>> merged.shape, merged[0, 0, 4, 7].item()  # no edge in the flat one: the scores decide
        (torch.Size([1, 1, 8, 8]), 0.5)
    """
    return weighted_sum(candidates, merging_weights(candidates, scores, sigma=sigma, gaussian=gaussian))


def merging_weights(
    candidates: Tensor, scores: Tensor, *, merging: str = "edge-weighted", sigma: float = 1.0, gaussian: str = "filter"
) -> Tensor:
    """Share of each candidate in each pixel of the merged image, by any of four rules.

    `edge-weighted` is Algorithm 1; the others show what it is good for: `metric-weighted` is its second branch in every
    pixel, `mean` weighs all the same, and `best-single` is the candidate of highest score alone (of equals the first).

    Args:
        candidates: images (B, K, 1, H, W) in [0, 1], or signals, or volumes.
        scores: selection metric of each candidate (B, K).
        merging: one of `MERGINGS`.
        sigma: see `edge_weighted_mean`.
        gaussian: see `edge_weighted_mean`.

    Returns:
        Weights (B, K, 1, H, W), float32; over K they sum to 1.

    Raises:
        ValueError: as `edge_weighted_mean`, and when `merging` is unknown.
    """
    if not 4 <= candidates.ndim <= 6 or candidates.shape[2] != 1:
        came = tuple(candidates.shape)
        raise ValueError(f"candidates must be (B, K, 1, H, W), or (B, K, 1, W) or (B, K, 1, D, H, W), got shape {came}")
    if scores.shape != candidates.shape[:2]:
        raise ValueError(f"scores must be {tuple(candidates.shape[:2])}, got shape {tuple(scores.shape)}")
    look_up_option(merging, MERGINGS)
    shares = _shares(scores, merging=merging).to(candidates.device)
    shares = shares.view(*shares.shape, *(1,) * (candidates.ndim - 2))
    if merging != "edge-weighted":
        return shares.expand_as(candidates)
    at_once = max(1, PIXELS.get(candidates.device.type, PIXELS["cuda"]) // candidates.shape[1:].numel())
    weights = torch.empty(candidates.shape, dtype=torch.float32, device=candidates.device)
    for part, images, share in zip(*(of.split(at_once) for of in (weights, candidates, shares)), strict=True):
        part.copy_(_edge_weights(images, share, sigma=sigma, gaussian=gaussian))
    return weights


def _edge_weights(candidates: Tensor, shares: Tensor, *, sigma: float, gaussian: str) -> Tensor:
    """Weights (B, K, 1, H, W) by edges where all candidates have some, else by shares (B, K, 1, 1, 1)."""
    spatial_dims = candidates.ndim - 3
    edges = sobel_magnitude(candidates.float(), spatial_dims=spatial_dims)
    strength = gaussian_of_edges(edges, sigma=sigma, gaussian=gaussian, spatial_dims=spatial_dims)
    smallest = torch.finfo(strength.dtype).tiny  # below it digits are lost: it counts as zero
    everywhere_edge = strength.amin(dim=1, keepdim=True) >= smallest
    weights = torch.where(everywhere_edge, strength, shares)
    return weights.div_(weights.sum(dim=1, keepdim=True))


def weighted_sum(candidates: Tensor, weights: Tensor) -> Tensor:
    """Images (B, 1, H, W) in [0, 1] from candidates and weights (B, K, 1, H, W), or signals, or volumes."""
    merged = torch.zeros_like(weights[:, 0])
    for images, shares in zip(candidates.float().unbind(1), weights.unbind(1), strict=True):
        merged.addcmul_(images, shares)
    return merged.clamp_(0, 1)  # the weights sum to 1 but for rounding


def sobel_magnitude(images: Tensor, *, spatial_dims: int = 2) -> Tensor:
    """Edge strength of images (..., H, W), of the same shape: root of the squared Sobel gradients, borders repeated.

    The kernels sum to 1 over their positive half, so an upright step of height 1 has strength 1. Differences are taken
    before sums, so that flat areas have strength 0 and not a rounding error, which Algorithm 1 would take for an edge.

    Args:
        images: of floating point; the last `spatial_dims` axes are those of an image.
        spatial_dims: 2 for images; 1 for signals (..., W), 3 for volumes (..., D, H, W).

    Raises:
        ValueError: when `spatial_dims` is not 1, 2 or 3, or images have fewer axes.
    """
    _check_axes(images, spatial_dims)
    padded = F.pad(images.reshape(-1, *images.shape[-spatial_dims:]), (1, 1) * spatial_dims, mode="replicate")
    last, *others = (_gradient(padded, axis, spatial_dims) for axis in range(-1, -spatial_dims - 1, -1))
    squares = last.square_()
    for gradient in others:
        squares.addcmul_(gradient, gradient)
    return squares.sqrt_().view_as(images)


def _check_axes(images: Tensor, spatial_dims: int) -> None:
    if images.ndim < check_spatial_dims(spatial_dims):
        raise ValueError(f"images of {spatial_dims} spatial dimensions need as many axes, got {tuple(images.shape)}")


def _gradient(padded: Tensor, axis: int, spatial_dims: int) -> Tensor:
    """Difference of both neighbours along one axis, smoothed along the others, of maps padded by one."""
    inner = padded.shape[axis] - 2
    difference = padded.narrow(axis, 2, inner) - padded.narrow(axis, 0, inner)
    for other in range(-spatial_dims, 0):
        if other != axis:
            difference = _smooth(difference, dim=other)
    return difference


def _smooth(differences: Tensor, *, dim: int) -> Tensor:
    """Means (1, 2, 1) / 4 of three neighbours."""
    length = differences.shape[dim] - 2
    before, middle, after = (differences.narrow(dim, start, length) for start in range(3))
    return torch.add(before, middle, alpha=2).add_(after).div_(4)


def gaussian_of_edges(edges: Tensor, *, sigma: float = 1.0, gaussian: str = "filter", spatial_dims: int = 2) -> Tensor:
    """The g of Algorithm 1 from edge maps (..., H, W), of the same shape; see `edge_weighted_mean`.

    The filter sees no edges beyond the image and ends at four standard deviations. It is a product with a banded matrix
    in each direction, of which there are `spatial_dims`, as for `sobel_magnitude`.
    """
    _check_axes(edges, spatial_dims)
    look_up_option(gaussian, GAUSSIANS)
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
    if gaussian == "function":
        return torch.exp(edges.square() / (-2 * sigma**2))
    with torch.autocast(edges.device.type, enabled=False):  # half precision blurs the weights
        for axis in range(-spatial_dims, -1):
            edges = _filtered(edges.transpose(axis, -1), sigma=sigma).transpose(axis, -1)
        return _filtered(edges, sigma=sigma)


def _filtered(maps: Tensor, *, sigma: float) -> Tensor:
    """Gaussian filter along the last axis, block by block: a block of the result sees little beyond its own place."""
    band, reach = _gaussian_band(maps.shape[-1], sigma=sigma)
    band = band.to(maps)
    blocks = [(slice(max(0, start - reach), start + BLOCK + reach), start) for start in range(0, len(band), BLOCK)]
    return torch.cat([maps[..., seen] @ band[seen, start : start + BLOCK] for seen, start in blocks], dim=-1)


def _gaussian_band(size: int, *, sigma: float) -> tuple[Tensor, int]:
    """Symmetric matrix (size, size) that filters a row of a map, zeros beyond its ends, and half its band."""
    window = gaussian_1d(torch.tensor(float(sigma)), truncated=TRUNCATED, approx="sampled", normalize=True)
    reach = len(window) // 2
    distance = (torch.arange(size)[:, None] - torch.arange(size)).abs()
    return torch.where(distance <= reach, window[(reach - distance).clamp(min=0)], 0.0), reach


def _shares(scores: Tensor, *, merging: str) -> Tensor:
    """Share (B, K) of each candidate where edges do not decide, from their scores."""
    if merging == "mean":
        return torch.full(scores.shape, 1 / scores.shape[1])
    if merging == "best-single":
        best = scores.argsort(dim=1, descending=True, stable=True)[:, 0]
        return F.one_hot(best, scores.shape[1]).float()
    positive = scores.float().clamp(min=0)
    if torch.isinf(positive).any():  # PSNR of an identical image
        positive = torch.where(torch.isinf(positive).any(dim=1, keepdim=True), torch.isinf(positive).float(), positive)
    total = positive.sum(dim=1, keepdim=True)
    return torch.where(total > 0, positive / total.masked_fill(total == 0, 1), 1 / scores.shape[1])
