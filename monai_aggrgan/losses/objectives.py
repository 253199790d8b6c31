"""What a GAN is to the trainer: two methods that return named scalars, whose sums it minimises."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from monai_aggrgan.losses.adversarial import (
    Critic,
    logistic_fake_loss,
    logistic_generator_loss,
    logistic_real_loss,
    mean_score,
    wasserstein_divergence_penalty,
)

__all__ = ["AdversarialObjective", "LogisticObjective", "WassersteinDivergenceObjective"]


@runtime_checkable
class AdversarialObjective(Protocol):
    """The two sides of a GAN; the trainer minimises the sum of the terms of each and logs every term by its name.

    Images are (B, 1, H, W) in [0, 1], logits (B, 1). The critic's terms do not reach the generator: fakes are detached.
    The generator's terms do reach the critic, whose gradients the trainer discards. Terms that are only for the eye are
    detached: a constant in the sum changes no gradient. The critic sees real and fake in two calls, not in one batch,
    so that BatchNorm takes separate statistics, as the authors of DCGAN do.
    """

    def discriminator_terms(self, critic: Critic, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Terms that the critic minimises, from real and generated images."""
        ...

    def generator_terms(self, critic: Critic, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Terms that the generator minimises, from its images and the latents (B, latent_size) behind them."""
        ...


class LogisticObjective:
    """The GAN of eq. 8 on logits that are high on real, with the non-saturating generator.

    Terms of the discriminator: "real" = E[softplus(-D(x))], "fake" = E[softplus(D(G(z)))]; for the eye "score_real" and
    "score_fake", the mean logits. Term of the generator: "adversarial" = E[softplus(-D(G(z)))].
    """

    def discriminator_terms(self, critic: Critic, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Terms "real", "fake", and the detached "score_real", "score_fake"."""
        real_logits, fake_logits = critic(real), critic(fake.detach())
        return {
            "real": logistic_real_loss(real_logits),
            "fake": logistic_fake_loss(fake_logits),
            "score_real": mean_score(real_logits.detach()),
            "score_fake": mean_score(fake_logits.detach()),
        }

    def generator_terms(self, critic: Critic, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Term "adversarial"; the latents are not needed."""
        return {"adversarial": logistic_generator_loss(critic(fake))}


class WassersteinDivergenceObjective:
    """WGAN-div, eq. 10-11: a critic that is low on real, and a generator that seeks low scores.

    Terms of the critic: "real" = E[f(x)], "fake" = -E[f(G(z))], "penalty" = k E[||grad f||^p] between them; for the eye
    "score_real" and "score_fake", the mean scores. Term of the generator: "adversarial" = E[f(G(z))]. The signs are
    those of the code of Wu et al. 2018.

    The places of the penalty, one U(0, 1) an image, come from torch's default generator on the images' device. That is
    an exception to "seeds go in": the trainer forks and seeds that generator around its run, as dropout needs it too.

    Args:
        k: factor of the penalty.
        p: power of the gradient's norm.
    """

    def __init__(self, *, k: float = 2.0, p: float = 6.0) -> None:
        self.k, self.p = k, p

    def discriminator_terms(self, critic: Critic, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Terms "real", "fake", "penalty", and the detached "score_real", "score_fake"."""
        mix = torch.rand(len(real), 1, 1, 1, device=real.device)
        score_real, score_fake = mean_score(critic(real)), mean_score(critic(fake.detach()))
        return {
            "real": score_real,
            "fake": -score_fake,
            "penalty": wasserstein_divergence_penalty(critic, real, fake, mix=mix, k=self.k, p=self.p),
            "score_real": score_real.detach(),
            "score_fake": score_fake.detach(),
        }

    def generator_terms(self, critic: Critic, fake: Tensor, latent: Tensor) -> dict[str, Tensor]:
        """Term "adversarial"; the latents are not needed."""
        return {"adversarial": mean_score(critic(fake))}
