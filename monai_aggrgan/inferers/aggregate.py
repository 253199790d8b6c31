"""Merging the best candidates pixel by pixel by the strength of their edges (Algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from monai.inferers import Inferer
from monai.networks.layers import GaussianFilter
from monai.utils import convert_to_tensor, look_up_option
from torch import Tensor

from monai_aggrgan.inferers.select import Selection, make_pool, select_candidates
from monai_aggrgan.networks.ensemble import GeneratorEnsemble

__all__ = ["AggregationInferer", "AggregationReport", "edge_weighted_mean", "sobel_magnitude"]


def sobel_magnitude(images: Tensor) -> Tensor:
    """Edge strength (N, 1, H, W) of images (N, 1, H, W): root of the squared Sobel gradients, border pixels repeated.

    The kernels sum to 1 over their positive half, so an upright step of height 1 has strength 1. Differences are taken
    before sums, so that flat areas have strength 0 and not a rounding error, which Algorithm 1 would take for an edge.
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    across = _smooth(padded[..., 2:] - padded[..., :-2], dim=-2)
    down = _smooth(padded[..., 2:, :] - padded[..., :-2, :], dim=-1)
    return (across.square() + down.square()).sqrt()


def _smooth(differences: Tensor, *, dim: int) -> Tensor:
    length = differences.shape[dim] - 2
    before, middle, after = (differences.narrow(dim, start, length) for start in range(3))
    return (before + 2 * middle + after) / 4


def edge_weighted_mean(candidates: Tensor, scores: Tensor, *, sigma: float = 1.0, gaussian: str = "filter") -> Tensor:
    """Merge candidates pixel by pixel, weighted by smoothed edge strength.

    w_i = g_i / sum_j g_j where every g_j is non-zero, else w_i = m_i / sum_j m_j; the result is sum_i w_i x_i.

    Args:
        candidates: images (B, K, 1, H, W) in [0, 1], K candidates for each of B references.
        scores: selection metric m of each candidate (B, K); weighs the pixels where a candidate has no edge. Negative
            values count as 0; where all are 0, candidates weigh the same.
        sigma: standard deviation, in pixels of the Gaussian filter, in intensity of the Gaussian function.
        gaussian: `filter` smooths the edge map e with a Gaussian filter, so that edges are preferred, as the paper's
            words have it; `function` is the literal reading, g = exp(-e^2 / (2 sigma^2)), which prefers smooth areas.

    Returns:
        Merged images (B, 1, H, W) in [0, 1], float32.

    Raises:
        ValueError: when `candidates` is not 5-dimensional, `scores` does not match it, or sigma is not positive.

    Source: Mukherjee et al. 2022, Algorithm 1. Differs from it in: K candidates instead of two.
    """
    if candidates.ndim != 5:
        raise ValueError(f"candidates must be (B, K, 1, H, W), got shape {tuple(candidates.shape)}")
    if scores.shape != candidates.shape[:2]:
        raise ValueError(f"scores must be {tuple(candidates.shape[:2])}, got shape {tuple(scores.shape)}")
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
    candidates = candidates.float()
    strength = _gaussian_of_edges(candidates.flatten(0, 1), sigma=sigma, gaussian=gaussian).view_as(candidates)
    smallest = torch.finfo(strength.dtype).tiny  # below it digits are lost: it counts as zero
    by_edge = strength / strength.sum(dim=1, keepdim=True).clamp(min=smallest)
    by_score = _score_weights(scores).to(candidates)[..., None, None, None]
    everywhere_edge = (strength >= smallest).all(dim=1, keepdim=True)
    merged = (torch.where(everywhere_edge, by_edge, by_score) * candidates).sum(dim=1)
    return merged.clamp(0, 1)  # the weights sum to 1 but for rounding


def _gaussian_of_edges(images: Tensor, *, sigma: float, gaussian: str) -> Tensor:
    look_up_option(gaussian, ("filter", "function"))
    edges = sobel_magnitude(images)
    if gaussian == "function":
        return torch.exp(-edges.square() / (2 * sigma**2))
    smoothing = GaussianFilter(2, sigma, truncated=4.0, approx="sampled").to(edges.device)
    with torch.autocast(edges.device.type, enabled=False):  # a convolution in half precision blurs the weights
        return smoothing(edges)


def _score_weights(scores: Tensor) -> Tensor:
    positive = scores.float().clamp(min=0)
    if torch.isinf(positive).any():  # PSNR of an identical image
        positive = torch.where(torch.isinf(positive).any(dim=1, keepdim=True), torch.isinf(positive).float(), positive)
    total = positive.sum(dim=1, keepdim=True)
    return torch.where(total > 0, positive / total.clamp(min=1e-30), torch.full_like(positive, 1 / scores.shape[1]))


@dataclass(frozen=True)
class AggregationReport:
    """What one merged image was made of: generators by falling score, their seeds and scores."""

    generators: tuple[str, ...]
    seeds: tuple[int, ...]
    scores: tuple[float, ...]


class AggregationInferer(Inferer):
    """Answers each real image with a merge of the best candidates of several generators.

    Each generator's pool is made once, from the seeds `first_seed`, `first_seed + 1`, ..., when a network is first
    seen, and kept; `reset` forgets it. The result for an image does not depend on the others in its batch.

    Args:
        pool_size: images a generator makes.
        first_seed: seed of the pools' first images.
        top_k: candidates that are merged, the paper's 2; at most the number of generators are.
        metric: selection metric, `ssim` or `psnr`.
        sigma: see `edge_weighted_mean`.
        gaussian: see `edge_weighted_mean`.
        pools: ready pools (N, 1, H, W) by generator, image i of seed `first_seed + i`; the network is then not run.

    Attributes:
        reports: an `AggregationReport` for each image of the last call.

    Example:
        >>> from monai_aggrgan.networks import DCGAN2Generator, GeneratorEnsemble
        >>> ensemble = GeneratorEnsemble({n: DCGAN2Generator(image_size=16, base_width=4, seed=n == "b") for n in "ab"})
        >>> AggregationInferer(pool_size=8)(torch.rand(3, 1, 16, 16), ensemble).shape
        torch.Size([3, 1, 16, 16])
    """

    def __init__(
        self,
        *,
        pool_size: int = 1024,
        first_seed: int = 0,
        top_k: int = 2,
        metric: str = "ssim",
        sigma: float = 1.0,
        gaussian: str = "filter",
        pools: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        self.pool_size, self.first_seed, self.top_k = pool_size, first_seed, top_k
        self.metric = look_up_option(metric, ("ssim", "psnr"))
        self.sigma, self.gaussian = sigma, gaussian
        self._given = pools is not None
        self._pools = dict(pools or {})
        self._network: GeneratorEnsemble | None = None
        self.reports: list[AggregationReport] = []

    def __call__(self, inputs: Tensor, network: GeneratorEnsemble) -> Tensor:  # type: ignore[override]
        """Merged images (B, 1, H, W) in [0, 1] for the real images `inputs` (B, 1, H, W) in [0, 1]."""
        references = convert_to_tensor(inputs, track_meta=False)
        pools = self._pools_of(network)
        selection = select_candidates(references, pools, metric=self.metric)
        order = selection.top(min(self.top_k, len(pools)))
        self.reports = self._describe(selection, order, list(pools))
        candidates = _gather(selection, pools).gather(
            1, order[..., None, None, None].expand(-1, -1, *references.shape[1:])
        )
        scores = selection.scores.gather(1, order)
        return edge_weighted_mean(candidates, scores, sigma=self.sigma, gaussian=self.gaussian)

    def reset(self) -> None:
        """Forget the pools that were made, after a network has been trained further."""
        self._network = None

    def _pools_of(self, network: GeneratorEnsemble) -> Mapping[str, Tensor]:
        if not self._given and network is not self._network:
            images = make_pool(network, seeds=range(self.first_seed, self.first_seed + self.pool_size))
            self._pools, self._network = dict(zip(network.names, images.unbind(dim=1), strict=True)), network
        return self._pools

    def _describe(self, selection: Selection, order: Tensor, names: list[str]) -> list[AggregationReport]:
        seeds = selection.indices.gather(1, order).add(self.first_seed).tolist()
        scores = selection.scores.gather(1, order).tolist()
        generators = [tuple(names[index] for index in row) for row in order.tolist()]
        return [
            AggregationReport(generators=name, seeds=tuple(seed), scores=tuple(score))
            for name, seed, score in zip(generators, seeds, scores, strict=True)
        ]


def _gather(selection: Selection, pools: Mapping[str, Tensor]) -> Tensor:
    chosen = [pool[indices] for pool, indices in zip(pools.values(), selection.indices.unbind(dim=1), strict=True)]
    return torch.stack(chosen, dim=1)
