"""Synthetic medical images for those who have too few real ones: AGGrGAN (Mukherjee et al. 2022) in MONAI."""

from __future__ import annotations

from monai_aggrgan import (
    data,
    engines,
    evaluation,
    exceptions,
    handlers,
    inferers,
    losses,
    metrics,
    networks,
    transforms,
    visualize,
)
from monai_aggrgan import study as study
from monai_aggrgan.exceptions import AggrganError, InputError, TrainingDiverged
from monai_aggrgan.study import Study

__version__ = "0.1.0"

__all__ = [
    "AggrganError",
    "InputError",
    "Study",
    "TrainingDiverged",
    "data",
    "engines",
    "evaluation",
    "exceptions",
    "handlers",
    "inferers",
    "losses",
    "metrics",
    "networks",
    "transforms",
    "visualize",
]
