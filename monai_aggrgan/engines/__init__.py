"""The trainer."""

from __future__ import annotations

from monai_aggrgan.engines.gan_step import GanStep, LatentSource
from monai_aggrgan.engines.latent_gan_trainer import LatentGanTrainer

__all__ = ["GanStep", "LatentGanTrainer", "LatentSource"]
