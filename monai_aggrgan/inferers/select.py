"""Choosing, for each real reference, the pool image of a generator that is most like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor
from torch import Tensor, nn

from monai_aggrgan.data.latents import NormalLatents
from monai_aggrgan.metrics.pairwise import best_matches

__all__ = ["Selection", "SelectionInferer", "make_pool", "select_candidates"]


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
    """

    indices: Tensor
    scores: Tensor

    def top(self, count: int) -> Tensor:
        """Generators (B, count) by falling score; of equals the one that comes first."""
        return self.scores.argsort(dim=1, descending=True, stable=True)[:, :count]


def select_candidates(references: Tensor, pools: Mapping[str, Tensor], *, metric: str = "ssim") -> Selection:
    """The best pool image of each generator for each reference.

    Args:
        references: real images (B, 1, H, W) in [0, 1].
        pools: images (N, 1, H, W) of each generator, N may differ.
        metric: `ssim` or `psnr`; of equals the lower index (the lower seed) is taken.

    Raises:
        ValueError: when there is no pool, or images and references differ in size.
    """
    if not pools:
        raise ValueError("pools must hold the images of at least one generator, got none")
    found = [best_matches(pool, references, metric=metric, count=1) for pool in pools.values()]
    return Selection(
        indices=torch.cat([indices for indices, _ in found], dim=1),
        scores=torch.cat([scores for _, scores in found], dim=1),
    )


class SelectionInferer(Inferer):
    """Answers each real image with the best image of one generator's pool, made anew in each call.

    In an evaluator over held-out images it tells how near a generator that still learns comes to them.

    Args:
        pool_size: images of the pool, made from the seeds 0, 1, ...
        metric: `ssim` or `psnr`.
    """

    def __init__(self, *, pool_size: int = 256, metric: str = "ssim") -> None:
        super().__init__()
        self.pool_size, self.metric = pool_size, metric

    def __call__(self, inputs: Tensor, network: nn.Module) -> Tensor:  # type: ignore[override]
        """Images (B, 1, H, W) in [0, 1] of `network`, the best for each of `inputs` (B, 1, H, W)."""
        pool = make_pool(network, seeds=range(self.pool_size))
        references = convert_to_tensor(inputs, track_meta=False)
        return pool[select_candidates(references, {"generator": pool}, metric=self.metric).indices[:, 0]]
