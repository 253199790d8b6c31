"""Adversarial and style losses as pure functions, and objectives around them."""

from __future__ import annotations

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
from monai_aggrgan.losses.objectives import (
    AdversarialObjective,
    InformationObjective,
    LeastSquaresObjective,
    LogisticObjective,
    R1Objective,
    WassersteinDivergenceObjective,
)
from monai_aggrgan.losses.style import content_loss, gram_matrix, style_loss, total_variation

__all__ = [
    "AdversarialObjective",
    "Critic",
    "InformationObjective",
    "LeastSquaresObjective",
    "LogisticObjective",
    "R1Objective",
    "WassersteinDivergenceObjective",
    "certainty",
    "content_loss",
    "gram_matrix",
    "information_loss",
    "least_squares_fake_loss",
    "least_squares_generator_loss",
    "least_squares_real_loss",
    "logistic_fake_loss",
    "logistic_generator_loss",
    "logistic_real_loss",
    "mean_score",
    "r1_penalty",
    "style_loss",
    "total_variation",
    "wasserstein_divergence_penalty",
]
