"""Where the noise comes from: batches for training, and one latent a seed for images that can be made again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["NormalLatents", "derived_seed"]


def derived_seed(*numbers: int) -> int:
    """A seed that is a function of some non-negative numbers, such as a study's seed and an epoch; well mixed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1


class NormalLatents:
    """Latents from the standard normal distribution N(0, 1)^size.

    Args:
        size: number of values of one latent.

    Example:
        >>> latents = NormalLatents(3)
        >>> latents.from_seeds([0, 7]).shape
        torch.Size([2, 3])
        >>> torch.equal(latents.from_seeds([7])[0], latents.from_seeds([0, 7])[1])
        True
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.size = size

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` fresh latents (count, size) on the device of `generator`."""
        return torch.randn(count, self.size, generator=generator, device=generator.device)

    def from_seeds(self, seeds: Sequence[int]) -> Tensor:
        """One latent a seed (len(seeds), size), the same whatever the other seeds are.

        A shorter latent of a seed is the beginning of a longer one, so generators of different latent sizes can share
        a batch (`GeneratorEnsemble`). NumPy's counter-based generator keeps that promise; torch's blocked one does not.
        """
        return torch.from_numpy(np.stack([self._from_seed(int(seed)) for seed in seeds]))

    def _from_seed(self, seed: int) -> np.ndarray:
        return np.random.Generator(np.random.Philox(seed)).standard_normal(self.size, dtype=np.float32)
