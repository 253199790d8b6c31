"""Synthetic medical images for those who have too few real ones: AGGrGAN (Mukherjee et al. 2022) in MONAI.

Importing this imports nothing else: a part, such as `monai_aggrgan.networks`, is imported when it is first used.

Example:
    >>> import monai_aggrgan
    >>> monai_aggrgan.losses.total_variation.__module__
    'monai_aggrgan.losses.style'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
        optimizers,
        stages,
        study,
        transforms,
        visualize,
        workflows,
    )
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
    "optimizers",
    "stages",
    "study",
    "transforms",
    "visualize",
    "workflows",
]

_HOME = {"AggrganError": "exceptions", "InputError": "exceptions", "TrainingDiverged": "exceptions", "Study": "study"}
"""The part that holds each name that is no part itself."""


def __getattr__(name: str) -> Any:
    """Import a part, or the part that holds a name, when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    part = import_module(f"{__name__}.{_HOME.get(name, name)}")
    globals()[name] = found = getattr(part, name) if name in _HOME else part
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
