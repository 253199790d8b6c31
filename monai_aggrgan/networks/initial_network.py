"""A network at the beginning of its training: a function of a seed, and of weights where they are given."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.pretrained import load_pretrained

__all__ = ["initial_network"]

logger = logging.getLogger(__name__)


def initial_network(build: Callable[[], nn.Module], *, seed: int, weights: Path | str | None = None) -> nn.Module:
    """Build a network whose initial weights depend on `seed` alone, and load trained ones where they fit.

    Most networks draw their weights from torch's default generator; it is seeded for them, and left as it was.

    Args:
        build: gives the network, such as a bundle's component with `_mode_: callable`.
        seed: decides the initial weights, all or those that `weights` leaves.
        weights: file of a state dict, see `load_pretrained`.

    Raises:
        InputError: when `build` is a network that is built already, or the weights cannot be used.
    """
    if isinstance(build, nn.Module):
        raise InputError(
            f"The network_def of a classifier gives a {type(build).__name__} whose initial weights no seed decides: add"
            " `_mode_: callable` to it, so that it is built with the seed."
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = build()
    if weights is not None:
        left = load_pretrained(network, weights)
        logger.info("Weights from %s; %s", weights, f"left as they were: {', '.join(left)}" if left else "all fit")
    return network
