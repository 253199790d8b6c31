"""Adversarial and style losses as pure functions, and objectives around them."""

from __future__ import annotations

from monai_aggrgan.losses.adversarial import (
    Critic,
    logistic_fake_loss,
    logistic_generator_loss,
    logistic_real_loss,
    mean_score,
    wasserstein_divergence_penalty,
)
from monai_aggrgan.losses.objectives import AdversarialObjective, LogisticObjective, WassersteinDivergenceObjective
from monai_aggrgan.losses.style import content_loss, gram_matrix, style_loss, total_variation

__all__ = [
    "AdversarialObjective",
    "Critic",
    "LogisticObjective",
    "WassersteinDivergenceObjective",
    "content_loss",
    "gram_matrix",
    "logistic_fake_loss",
    "logistic_generator_loss",
    "logistic_real_loss",
    "mean_score",
    "style_loss",
    "total_variation",
    "wasserstein_divergence_penalty",
]
