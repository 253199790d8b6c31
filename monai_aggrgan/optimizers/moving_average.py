"""The moving average of a network in training, steadier than the network itself."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["ExponentialMovingAverage"]


class ExponentialMovingAverage(nn.Module):
    """A copy of a network whose weights follow those of the network smoothly.

    average <- network + decay (average - network), decay = 0.5^(images / min(half_life, ramp_up * images_seen))

    The first update makes both equal. Floating-point buffers, such as the statistics of BatchNorm, are averaged too;
    other buffers are copied. An update never waits for the device, and a CUDA graph can capture it.

    Differs from `torch.optim.swa_utils.AveragedModel` in: a decay that is told in images, so that it means the same for
    any batch, and that grows, so that the first images are soon forgotten; nothing read back to the host.

    Args:
        network: copied; of `DistributedDataParallel` the network inside.
        half_life: number of images after which the weights of today count half.
        ramp_up: longest half-life as a share of the images seen so far.

    Attributes:
        network: the average, in eval mode, without gradients.
        images_seen: scalar buffer of whole numbers.

    Raises:
        ValueError: when `half_life` or `ramp_up` is not above 0 and finite.

    Source: Karras et al. 2018 (progressive growing, arXiv 1710.10196), as in the code of StyleGAN2-ADA. Differs from it
    in: buffers are averaged, not copied.

    Example:
        >>> network = nn.Linear(1, 1)
        >>> average = ExponentialMovingAverage(network, half_life=100)
        >>> average.update(network, images=64)
        >>> torch.equal(average.network.weight, network.weight), int(average.images_seen)
        (True, 64)
    """

    images_seen: Tensor

    def __init__(self, network: nn.Module, *, half_life: float = 10_000, ramp_up: float = 0.05) -> None:
        super().__init__()
        for name, value in {"half_life": half_life, "ramp_up": ramp_up}.items():
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {value}")
        self.half_life, self.ramp_up = half_life, ramp_up
        self.network = deepcopy(_inner(network)).requires_grad_(False)
        device = next(chain(self.network.parameters(), self.network.buffers())).device
        self.register_buffer("images_seen", torch.zeros((), dtype=torch.int64, device=device))
        self.eval()

    def train(self, mode: bool = True) -> ExponentialMovingAverage:
        """Stays in eval mode whatever is asked."""
        return super().train(False)

    @torch.no_grad()
    def update(self, network: nn.Module, images: int) -> None:
        """Follow the network after a step.

        Args:
            network: the one that was copied, on the device of the copy.
            images: number of images since the last update.
        """
        half_life = (self.images_seen * self.ramp_up).clamp(max=self.half_life)
        share = -torch.expm1(-math.log(2) * images / half_life)  # 1 - decay; 1 in the first update
        for average, current in zip(_tensors(self.network), _tensors(_inner(network)), strict=True):
            if average.is_floating_point():
                average.lerp_(current, share.to(average.dtype))
            else:
                average.copy_(current)
        self.images_seen += images


def _inner(network: nn.Module) -> nn.Module:
    return network.module if isinstance(network, DistributedDataParallel) else network


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
