"""What a GAN is to the trainer: two methods that return named scalars, whose sums it minimises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from monai_aggrgan.losses.adversarial import (
    Critic,
    certainty,
    information_loss,
    least_squares_fake_loss,
    least_squares_generator_loss,
    least_squares_real_loss,
    logistic_fake_loss,
    logistic_generator_loss,
    logistic_real_loss,
    mean_score,
    r1_penalty,
    wasserstein_divergence_penalty,
)

__all__ = [
    "AdversarialObjective",
    "InformationObjective",
    "LeastSquaresObjective",
    "LogisticObjective",
    "R1Objective",
    "WassersteinDivergenceObjective",
]


@runtime_checkable
class AdversarialObjective(Protocol):
    """The two sides of a GAN; the trainer minimises the sum of the terms of each and logs every term by its name.

    Images are (B, 1, H, W) in [0, 1], logits (B, 1); the objectives here take signals (B, 1, W) and volumes
    (B, 1, D, H, W) as well. The critic's terms do not reach the generator: fakes are detached.
    The generator's terms do reach the critic, whose gradients the trainer discards. Terms that are only for the eye are
    detached: a constant in the sum changes no gradient. The critic sees real and fake in two calls, not in one batch,
    so that BatchNorm takes separate statistics, as the authors of DCGAN do.

    The discriminator's terms for the eye are "score_real" and "score_fake", the mean logits, and "certainty", the mean
    over the batch of +1 for a real image that the critic takes for real and -1 for another: it drives the adaptive
    augmentation.
    """

    def discriminator_terms(self, critic: Critic, real: Tensor, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Terms that the critic minimises, from real images, generated ones and the latents (B, latent_size) behind."""
        ...

    def generator_terms(self, critic: Critic, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Terms that the generator minimises, from its images and the latents (B, latent_size) behind them."""
        ...


class LogisticObjective:
    """The GAN of eq. 8 on logits that are high on real, with the non-saturating generator.

    Terms of the discriminator: "real" = E[softplus(-D(x))], "fake" = E[softplus(D(G(z)))]; for the eye "certainty" =
    E[sign(D(x))]. Term of the generator: "adversarial" = E[softplus(-D(G(z)))].
    """

    def discriminator_terms(self, critic: Critic, real: Tensor, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Terms "real", "fake", and those for the eye; the latents are not needed."""
        return _logistic_terms(critic(real), critic(fake.detach()))

    def generator_terms(self, critic: Critic, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Term "adversarial"; the latents are not needed."""
        return {"adversarial": logistic_generator_loss(critic(fake))}


class LeastSquaresObjective:
    """LSGAN on linear logits that are to be 1 on real and 0 on fake (a = 0, b = c = 1).

    Terms of the discriminator: "real" = E[(D(x) - 1)^2] / 2, "fake" = E[D(G(z))^2] / 2; for the eye "certainty" =
    E[sign(D(x) - 1/2)]. Term of the generator: "adversarial" = E[(D(G(z)) - 1)^2] / 2.

    Source: Mao et al. 2017 (arXiv 1611.04076), eq. 9.
    """

    def discriminator_terms(self, critic: Critic, real: Tensor, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Terms "real", "fake", and those for the eye; the latents are not needed."""
        real_logits, fake_logits = critic(real), critic(fake.detach())
        return {
            "real": least_squares_real_loss(real_logits),
            "fake": least_squares_fake_loss(fake_logits),
            **_for_the_eye(real_logits, fake_logits, margins=real_logits - 0.5),
        }

    def generator_terms(self, critic: Critic, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Term "adversarial"; the latents are not needed."""
        return {"adversarial": least_squares_generator_loss(critic(fake))}


class WassersteinDivergenceObjective:
    """WGAN-div, eq. 10-11: a critic that is low on real, and a generator that seeks low scores.

    Terms of the critic: "real" = E[f(x)], "fake" = -E[f(G(z))], "penalty" = k E[||grad f||^p] between them; for the eye
    "certainty" = E[sign(m - f(x))], m being the middle between the mean scores of real and fake, as no score is the
    border between them. Term of the generator: "adversarial" = E[f(G(z))]. The signs are those of the code of Wu et
    al. 2018.

    The places of the penalty, one U(0, 1) an image, come from torch's default generator on the images' device. That is
    an exception to "seeds go in": the trainer forks and seeds that generator around its run, as dropout needs it too.

    Args:
        k: factor of the penalty.
        p: power of the gradient's norm.
    """

    def __init__(self, *, k: float = 2.0, p: float = 6.0) -> None:
        self.k, self.p = k, p

    def discriminator_terms(self, critic: Critic, real: Tensor, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Terms "real", "fake", "penalty", and those for the eye; the latents are not needed."""
        mix = torch.rand(len(real), *(1,) * (real.ndim - 1), device=real.device)
        real_logits, fake_logits = critic(real), critic(fake.detach())
        score_real, score_fake = mean_score(real_logits), mean_score(fake_logits)
        return {
            "real": score_real,
            "fake": -score_fake,
            "penalty": wasserstein_divergence_penalty(critic, real, fake, mix=mix, k=self.k, p=self.p),
            **_for_the_eye(real_logits, fake_logits, margins=(score_real + score_fake) / 2 - real_logits),
        }

    def generator_terms(self, critic: Critic, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Term "adversarial"; the latents are not needed."""
        return {"adversarial": mean_score(critic(fake))}


class InformationObjective:
    """InfoGAN: the logistic GAN, and a bound on the information that generated images hold about their codes.

    The bound is subtracted from both losses: the terms are those of `LogisticObjective`, and on either side
    "information" = -weight E[log Q(c|G(z))] but for a constant. It teaches Q, and the trunk that Q shares with the
    discriminator, to read the codes, and the generator to show them. Real images have no codes and play no part.

    The critic must take `critic(images, with_codes=True)` and give the logits and Q's guess, as `InfoGANCritic` does.

    Args:
        codes: the true codes of latents (B, latent_size): categories one-hot (B, K) and continuous (B, C), as
            `InfoGANGenerator.codes` tells them.
        weight: lambda, the factor of the bound.

    Raises:
        ValueError: when `weight` is negative: the codes would be hidden.

    Source: Chen et al. 2016 (arXiv 1606.03657), eq. 5-6.
    """

    def __init__(self, codes: Callable[[Tensor], tuple[Tensor, Tensor]], *, weight: float = 1.0) -> None:
        if weight < 0:
            raise ValueError(f"weight must not be negative, got {weight}")
        self.codes, self.weight = codes, weight

    def discriminator_terms(self, critic: Critic, real: Tensor, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Terms "real", "fake", "information", and those for the eye."""
        real_logits = critic(real)
        fake_logits, information = self._judge(critic, fake.detach(), latent)
        return _logistic_terms(real_logits, fake_logits) | {"information": information}

    def generator_terms(self, critic: Critic, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Terms "adversarial" and "information"."""
        fake_logits, information = self._judge(critic, fake, latent)
        return {"adversarial": logistic_generator_loss(fake_logits), "information": information}

    def _judge(self, critic: Any, fake: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the term "information" of generated images."""
        fake_logits, guess = critic(fake, with_codes=True)
        return fake_logits, self.weight * information_loss(guess, *self.codes(latent))


class R1Objective:
    """Another objective whose discriminator also keeps its gradient small on real images.

    Adds "r1" = gamma / 2 E[||grad D(x)||^2] to the terms of the discriminator; those of the generator stay. With a
    critic that has BatchNorm the gradient of an image passes through the whole batch: take `normalization` "layer" or
    "none".

    Args:
        objective: the objective to add to.
        gamma: factor of the penalty. Ours is the authors' 10 on images in [-1, 1], where gradients are half as long.

    Raises:
        ValueError: when `gamma` is negative.

    Source: Mescheder et al. 2018 (arXiv 1801.04406), section 4.1.
    """

    def __init__(self, objective: AdversarialObjective, *, gamma: float = 2.5) -> None:
        if gamma < 0:
            raise ValueError(f"gamma must not be negative, got {gamma}")
        self.objective, self.gamma = objective, gamma

    def discriminator_terms(self, critic: Critic, real: Tensor, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """The terms of `objective`, and "r1"."""
        terms = self.objective.discriminator_terms(critic, real, fake, latent)
        return terms | {"r1": r1_penalty(critic, real, gamma=self.gamma)}

    def generator_terms(self, critic: Critic, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """The terms of `objective`."""
        return self.objective.generator_terms(critic, fake, latent)


def _logistic_terms(real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
    return {
        "real": logistic_real_loss(real_logits),
        "fake": logistic_fake_loss(fake_logits),
        **_for_the_eye(real_logits, fake_logits, margins=real_logits),
    }


def _for_the_eye(real_logits: Tensor, fake_logits: Tensor, *, margins: Tensor) -> dict[str, Tensor]:
    """The detached terms; `margins` (B, 1) tell how far the critic is on the side of real with each real image."""
    return {
        "score_real": mean_score(real_logits.detach()),
        "score_fake": mean_score(fake_logits.detach()),
        "certainty": certainty(margins),
    }
