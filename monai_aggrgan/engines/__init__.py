"""The trainers."""

from __future__ import annotations

from monai_aggrgan.engines.classifier_trainer import ClassifierTrainer, class_probabilities
from monai_aggrgan.engines.gan_step import GanStep, LatentSource
from monai_aggrgan.engines.latent_gan_trainer import LatentGanTrainer

__all__ = ["ClassifierTrainer", "GanStep", "LatentGanTrainer", "LatentSource", "class_probabilities"]
