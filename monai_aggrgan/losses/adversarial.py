"""Adversarial losses as pure functions of logits, one expectation each, so that every term can be logged."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import softplus

__all__ = [
    "Critic",
    "logistic_fake_loss",
    "logistic_generator_loss",
    "logistic_real_loss",
    "mean_score",
    "wasserstein_divergence_penalty",
]

Critic = Callable[[Tensor], Tensor]


def logistic_real_loss(real_logits: Tensor) -> Tensor:
    """E[softplus(-D(x))] = -E[log sigmoid(D(x))], first term of eq. 8, for the discriminator to minimise."""
    return softplus(-_full_precision(real_logits)).mean()


def logistic_fake_loss(fake_logits: Tensor) -> Tensor:
    """E[softplus(D(G(z)))] = -E[log(1 - sigmoid(D(G(z))))], second term of eq. 8, for the discriminator to minimise."""
    return softplus(_full_precision(fake_logits)).mean()


def logistic_generator_loss(fake_logits: Tensor) -> Tensor:
    """E[softplus(-D(G(z)))] = -E[log sigmoid(D(G(z)))], for the generator to minimise.

    Differs from eq. 8, which has E[log(1 - D(G(z)))] here: that saturates while the discriminator wins
    (Goodfellow et al. 2014, section 3).
    """
    return softplus(-_full_precision(fake_logits)).mean()


def mean_score(logits: Tensor) -> Tensor:
    """E[f(x)], a term of eq. 10, in full precision."""
    return _full_precision(logits).mean()


def wasserstein_divergence_penalty(
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    *,
    mix: Tensor,
    k: float = 2.0,
    p: float = 6.0,
) -> Tensor:
    """k E[||grad f(x)||^p] at x = real + mix (fake - real), third term of eq. 10 (Wu et al. 2018).

    The norm is Euclidean, over all pixels of an image; then the power; then the mean over images. It is centred at
    zero and computed in full precision even under autocast, where a sixth power would overflow.

    Args:
        critic: images (B, 1, H, W) to logits (B, 1), each image on its own (no BatchNorm).
        real: real images (B, 1, H, W).
        fake: generated images (B, 1, H, W); like the reals they are detached, only the critic learns here.
        mix: the share of fake in each image (B, 1, 1, 1), in [0, 1].
        k: factor of the penalty.
        p: power of the norm.

    Returns:
        The penalty, a scalar that is differentiable in the critic's parameters.

    Raises:
        ValueError: when `fake` is not of the shape of `real`, or `mix` is not one number an image.
    """
    if fake.shape != real.shape:
        raise ValueError(f"fake must have the shape of real {tuple(real.shape)}, got {tuple(fake.shape)}")
    if mix.shape != (len(real), 1, 1, 1):
        raise ValueError(f"mix must be one number an image ({len(real)}, 1, 1, 1), got shape {tuple(mix.shape)}")
    real, fake = _full_precision(real.detach()), _full_precision(fake.detach())
    with torch.autocast(real.device.type, enabled=False):
        between = (real + mix * (fake - real)).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return k * norms.pow(p).mean()


def _full_precision(tensor: Tensor) -> Tensor:
    """At least float32: the half precision of autocast is lifted, float64 stays."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
