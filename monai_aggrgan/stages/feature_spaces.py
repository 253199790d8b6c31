"""The feature spaces in which a study is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.networks.feature_space import FeatureSpace, custom_space, pixel_space, vgg19_space
from monai_aggrgan.networks.vgg19_weights import load_vgg19
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import digest_of

__all__ = ["feature_spaces", "identity_of_spaces"]


def feature_spaces(settings: StudySettings) -> list[FeatureSpace]:
    """VGG-19, pixels, and those that the study's option `feature_spaces` adds.

    Raises:
        InputError: when weights or a module cannot be used.
    """
    weights = Path(settings.vgg_weights).expanduser()
    named = f"{weights.name} (SHA-256 {digest_of(weights)[:8]})" if weights.is_file() else settings.vgg_weights
    other = derived_seed(settings.seed, 1)  # of random weights: not those that style transfer has worked with
    vgg19 = vgg19_space(load_vgg19(settings.vgg_weights, seed=other), weights_name=named)
    own = [custom_space(name, spec) for name, spec in settings.feature_spaces.items()]
    return [vgg19, pixel_space(), *own]


def identity_of_spaces(settings: StudySettings) -> dict[str, Any]:
    """What the spaces depend on, as plain values."""
    weights = Path(settings.vgg_weights).expanduser()
    given = [value for spec in settings.feature_spaces.values() for value in spec.values() if isinstance(value, str)]
    return {
        "vgg_weights": digest_of(weights) if weights.is_file() else settings.vgg_weights,
        "feature_spaces": settings.as_json()["feature_spaces"],
        "files": {value: digest_of(Path(value)) for value in given if Path(value).is_file()},
    }
