"""The trainer."""

from __future__ import annotations

from monai_aggrgan.engines.latent_gan_trainer import (
    LatentGanTrainer,
    LatentSource,
    checkpoint_epoch,
    latest_checkpoint,
)

__all__ = ["LatentGanTrainer", "LatentSource", "checkpoint_epoch", "latest_checkpoint"]
