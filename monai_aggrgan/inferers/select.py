"""Choosing, for each real reference, the pool image of a generator that is most like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor
from torch import Tensor, nn

from monai_aggrgan.data.latents import NormalLatents
from monai_aggrgan.inferers.matching import match
from monai_aggrgan.metrics.pairwise import PairwiseMetric

__all__ = ["GeneratorUsage", "Selection", "SelectionInferer", "make_pool", "select_candidates"]


def make_pool(network: nn.Module, *, seeds: range, batch_size: int = 128) -> Tensor:
    """Images that a network makes from seeds: seed i makes image i whatever the batch.

    Args:
        network: has an int `latent_size` and maps latents (B, latent_size) to images (B, ...) in [0, 1]: a generator
            or a `GeneratorEnsemble`. It is run in eval mode and put back.
        seeds: one image each.
        batch_size: images made at once.

    Returns:
        float32 images (len(seeds), ...) on the network's device.
    """
    latents = NormalLatents(cast(int, network.latent_size)).from_seeds(seeds)
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    with torch.no_grad():
        pool = torch.cat([network(batch.to(device)).float() for batch in latents.split(batch_size)])
    network.train(was_training)
    return pool


@dataclass(frozen=True)
class Selection:
    """Which pool image of each of G generators suits each of B references best.

    Attributes:
        indices: position in the generator's pool (B, G).
        scores: the selection metric of (pool image, reference) (B, G).
        generators: names of the G generators.
    """

    indices: Tensor
    scores: Tensor
    generators: tuple[str, ...]

    def top(self, count: int) -> Tensor:
        """Generators (B, count) by falling score, at most all; of equals the one that comes first."""
        return self.scores.argsort(dim=1, descending=True, stable=True)[:, :count]

    def of_references(self, rows: Sequence[int]) -> Selection:
        """The selection for some of the references."""
        return replace(self, indices=self.indices[rows], scores=self.scores[rows])

    def usage(self, count: int) -> list[GeneratorUsage]:
        """How each generator's pool is used when the `count` best candidates of each reference go on."""
        chosen = torch.zeros_like(self.scores, dtype=torch.bool).scatter_(1, self.top(count), True)
        return [
            GeneratorUsage(
                generator=name,
                different_candidates=len(self.indices[:, column].unique()),
                different_chosen=len(self.indices[chosen[:, column], column].unique()),
                share=chosen[:, column].sum().item() / chosen.sum().item(),
                mean_score=self.scores[:, column].mean().item(),
            )
            for column, name in enumerate(self.generators)
        ]


@dataclass(frozen=True)
class GeneratorUsage:
    """How much of one generator's pool is in a selection for B references.

    Attributes:
        generator: its name.
        different_candidates: different pool images among its B candidates; few mean that the same ones suit everybody.
        different_chosen: different pool images among those of its candidates that go on to be merged.
        share: its part of all candidates that go on, in [0, 1].
        mean_score: mean selection metric of its B candidates.
    """

    generator: str
    different_candidates: int
    different_chosen: int
    share: float
    mean_score: float


def select_candidates(
    references: Tensor,
    pools: Mapping[str, Tensor],
    *,
    metric: str | PairwiseMetric = "ssim",
    matching: str = "best",
    progress: str | None = None,
) -> Selection:
    """The pool image of each generator for each reference.

    Args:
        references: real images (B, 1, H, W) in [0, 1], or signals (B, 1, W), or volumes (B, 1, D, H, W).
        pools: images (N, 1, H, W) in [0, 1] of each generator, N may differ; see `best_matches` for what they may be.
        metric: `ssim`, `psnr`, or a function of (judged, references) that returns their matrix, higher is better.
        matching: `best`, where a pool image may answer several references, or `unique`, where it answers at most one,
            see `match`.
        progress: label of a progress bar for each generator; no bar by default.

    Raises:
        ValueError: when there is no pool, an option is unknown, images and references differ in size, or a pool is too
            small for a unique matching.
    """
    if not pools:
        raise ValueError("pools must hold the images of at least one generator, got none")
    found = [
        match(pool, references, metric=metric, matching=matching, progress=progress and f"{progress} {name}")
        for name, pool in pools.items()
    ]
    indices, scores = zip(*found, strict=True)
    return Selection(torch.stack(indices, dim=1), torch.stack(scores, dim=1), tuple(pools))


class SelectionInferer(Inferer):
    """Answers each real image with the best image of one generator's pool, made anew in each call.

    In an evaluator over held-out images it tells how near a generator that still learns comes to them. Signals and
    volumes are answered as images are.

    Args:
        pool_size: images of the pool, made from the seeds 0, 1, ...
        metric: `ssim`, `psnr` or a function, see `select_candidates`.
    """

    def __init__(self, *, pool_size: int = 256, metric: str | PairwiseMetric = "ssim") -> None:
        super().__init__()
        self.pool_size, self.metric = pool_size, metric

    def __call__(self, inputs: Tensor, network: nn.Module) -> Tensor:  # type: ignore[override]
        """Images (B, 1, H, W) in [0, 1] of `network`, the best for each of `inputs` (B, 1, H, W)."""
        pool = make_pool(network, seeds=range(self.pool_size))
        references = convert_to_tensor(inputs, track_meta=False)
        return pool[select_candidates(references, {"generator": pool}, metric=self.metric).indices[:, 0]]
