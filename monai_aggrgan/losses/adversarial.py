"""Adversarial losses as pure functions of logits, one expectation each, so that every term can be logged."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softplus

__all__ = [
    "Critic",
    "certainty",
    "information_loss",
    "least_squares_fake_loss",
    "least_squares_generator_loss",
    "least_squares_real_loss",
    "logistic_fake_loss",
    "logistic_generator_loss",
    "logistic_real_loss",
    "mean_score",
    "r1_penalty",
    "wasserstein_divergence_penalty",
]

Critic = Callable[[Tensor], Tensor]


def logistic_real_loss(real_logits: Tensor) -> Tensor:
    """E[softplus(-D(x))] = -E[log sigmoid(D(x))], first term of eq. 8, for the discriminator to minimise.

    Example:
        >>> logistic_real_loss(torch.zeros(4, 1))  # log 2: the discriminator cannot tell
        tensor(0.6931)
    """
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


def least_squares_real_loss(real_logits: Tensor) -> Tensor:
    """1/2 E[(D(x) - b)^2] with b = 1, first term of eq. 9 of Mao et al. 2017, for the discriminator to minimise."""
    return (_full_precision(real_logits) - 1).square().mean() / 2


def least_squares_fake_loss(fake_logits: Tensor) -> Tensor:
    """1/2 E[(D(G(z)) - a)^2] with a = 0, second term of eq. 9 of Mao et al. 2017, for the discriminator to minimise."""
    return _full_precision(fake_logits).square().mean() / 2


def least_squares_generator_loss(fake_logits: Tensor) -> Tensor:
    """1/2 E[(D(G(z)) - c)^2] with c = 1, eq. 9 of Mao et al. 2017, for the generator to minimise.

    Example:
        >>> least_squares_generator_loss(torch.tensor([[1.0], [3.0]]))  # (0^2 + 2^2) / 2 / 2
        tensor(1.)
    """
    return (_full_precision(fake_logits) - 1).square().mean() / 2


def mean_score(logits: Tensor) -> Tensor:
    """E[f(x)], a term of eq. 10, in full precision."""
    return _full_precision(logits).mean()


def certainty(margins: Tensor) -> Tensor:
    """E[sign(margin)] in [-1, 1], r_t of Karras et al. 2020 (ADA), eq. 1: near 1 the critic overfits. No gradient.

    Args:
        margins: for each real image how far the critic is on the side of real, positive where it takes it for real.

    Example:
        >>> certainty(torch.tensor([0.5, 2.0, -0.1, 3.0]))
        tensor(0.5000)
    """
    return _full_precision(margins.detach()).sign().mean()


def information_loss(guess: Tensor, category: Tensor, continuous: Tensor) -> Tensor:
    """-E[log Q(c|x)], what a critic's guess of the codes behind generated images lacks (Chen et al. 2016, eq. 5).

    Less the entropy of the codes it is the bound on their mutual information with the images, with the sign turned. The
    distribution Q of a continuous code is Gaussian with unit variance, whose constant log(2 pi) / 2 is left out: what
    remains is a cross-entropy and half a squared error, 0 where every guess is certain and right.

    Args:
        guess: a logit for each category, then the mean of each continuous code (B, K + C).
        category: the true categories, one-hot (B, K).
        continuous: the true continuous codes (B, C).

    Raises:
        ValueError: when `guess` is not as wide as the codes.
    """
    widths = category.shape[1], continuous.shape[1]
    if guess.shape[1] != sum(widths):
        raise ValueError(f"guess must be {widths[0]} + {widths[1]} numbers an image, got shape {tuple(guess.shape)}")
    logits, means = _full_precision(guess).split(widths, dim=1)
    surprise = -(category * log_softmax(logits, dim=1)).sum(1)
    return (surprise + (continuous - means).square().sum(1) / 2).mean()


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
        real: real images (B, 1, H, W), or of any other number of dimensions.
        fake: generated images of the same shape; like the reals they are detached, only the critic learns here.
        mix: the share of fake in each image (B, 1, 1, 1), in [0, 1], with as many dimensions as the images.
        k: factor of the penalty.
        p: power of the norm.

    Returns:
        The penalty, a scalar that is differentiable in the critic's parameters.

    Raises:
        ValueError: when `fake` is not of the shape of `real`, or `mix` is not one number an image.
    """
    if fake.shape != real.shape:
        raise ValueError(f"fake must have the shape of real {tuple(real.shape)}, got {tuple(fake.shape)}")
    if mix.shape != (one_each := (len(real), *(1,) * (real.ndim - 1))):
        raise ValueError(f"mix must be one number an image {one_each}, got shape {tuple(mix.shape)}")
    real, fake = _full_precision(real), _full_precision(fake)
    norms: Tensor = torch.linalg.vector_norm(_gradients(critic, real + mix * (fake - real)), dim=1)
    return k * norms.pow(p).mean()


def r1_penalty(critic: Critic, real: Tensor, *, gamma: float) -> Tensor:
    """gamma / 2 E[||grad D(x)||^2] on real images, R1 of Mescheder et al. 2018, section 4.1; in full precision.

    Args:
        critic: images (B, 1, H, W) to logits (B, 1), each image on its own (no BatchNorm).
        real: real images (B, 1, H, W), or of any other number of dimensions.
        gamma: factor of the penalty. By images in [0, 1] gradients are twice those by images in [-1, 1].

    Returns:
        The penalty, a scalar that is differentiable in the critic's parameters.
    """
    return gamma / 2 * _gradients(critic, real).square().sum(1).mean()


def _gradients(critic: Critic, images: Tensor) -> Tensor:
    """grad D(x) (B, pixels) of each image, in full precision even under autocast, differentiable in the critic."""
    with torch.autocast(images.device.type, enabled=False):
        places = _full_precision(images.detach()).requires_grad_()
        (gradients,) = torch.autograd.grad(critic(places).sum(), places, create_graph=True)
    return gradients.flatten(1)


def _full_precision(tensor: Tensor) -> Tensor:
    """At least float32: the half precision of autocast is lifted, float64 stays."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
