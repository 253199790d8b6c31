"""The real images of a study, of all classes together, as classifiers meet them."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_aggrgan.data.manifest import read_image_array, read_manifest
from monai_aggrgan.evaluation.utility_facts import ImageFacts
from monai_aggrgan.stages.settings import StudySettings

__all__ = ["facts_of", "read_real", "real_rows"]


def real_rows(settings: StudySettings) -> list[dict[str, str]]:
    """Manifest rows of the prepared images, class by class."""
    return [row for name in settings.prepared_classes() for row in read_manifest(settings.stage_dir("prepare", name))]


def read_real(settings: StudySettings) -> Tensor:
    """Those images (N, 1, H, W) in [0, 1], in half precision."""
    return torch.cat(
        [read_image_array(settings.stage_dir("prepare", name))[0].half() for name in settings.prepared_classes()]
    )


def facts_of(settings: StudySettings) -> ImageFacts:
    """What a plan must know of them."""
    return ImageFacts.from_rows(real_rows(settings), settings.prepared_classes())
