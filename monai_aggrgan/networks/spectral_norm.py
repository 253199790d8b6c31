"""Spectral normalisation: every layer's weight divided by its largest singular value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["normalise_spectrally"]


def normalise_spectrally(network: nn.Module, *, seed: int) -> None:
    """Divide the weight of every convolution and linear layer by its largest singular value, in place.

    One power iteration at each forward in training mode estimates the singular vectors; in evaluation mode they stay.
    They start from `seed` alone. In the state dict a layer's `weight` becomes `parametrizations.weight.*`.

    Args:
        network: its layers have their initial weights, on the CPU.
        seed: decides the first singular vectors.

    Source: Miyato et al. 2018 (arXiv 1802.05957), section 2.1.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed the GPUs'
        for layer in list(network.modules()):
            if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
                parametrizations: Any = spectral_norm(layer).get_submodule("parametrizations.weight")
                parametrizations[0] = _FullPrecision(parametrizations[0])


class _FullPrecision(nn.Module):
    """A parametrization without autocast, which is coarse here and on GPUs can lose gradients (pytorch issue 158232).

    The cast of a weight that autocast caches in the power iteration, without gradient, would serve the norm as well.
    """

    def __init__(self, parametrization: nn.Module) -> None:
        super().__init__()
        self.parametrization = parametrization

    def forward(self, weight: Tensor) -> Tensor:
        """The parametrized weight, of the shape and precision of `weight`."""
        with torch.autocast(weight.device.type, enabled=False):
            parametrized: Tensor = self.parametrization(weight)
        return parametrized
