"""What each step of the method is worth: images made without selection, without merging, without style transfer."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from monai.metrics.regression import SSIMMetric
from torch import Tensor

from monai_aggrgan.data.latents import derived_seed
from monai_aggrgan.data.manifest import read_manifest
from monai_aggrgan.inferers.select import Selection
from monai_aggrgan.stages.settings import StudySettings

__all__ = ["BY_TURNS", "MERGED_UNSELECTED", "SINGLE_UNSELECTED", "STYLED", "by_turns", "unselected"]

SINGLE_UNSELECTED, MERGED_UNSELECTED = "steps_000", "steps_010"
"""Made in the stage `aggregate`: one image of a GAN, and merged images of several, drawn and not selected."""

STYLED = {SINGLE_UNSELECTED: "steps_001", MERGED_UNSELECTED: "steps_011"}
"""What these are called once they have the style of their reference."""

BY_TURNS = {"steps_100": "", "steps_101": "+style"}
"""The selected candidate of one GAN, as it is and with style: images that the GANs' own methods have made already."""


def unselected(settings: StudySettings, references: Tensor, pools: dict[str, Tensor], *, count: int) -> Selection:
    """A selection that selects nothing: for each reference `count` of the GANs by turns, each with a drawn image.

    Args:
        settings: of the study; its seed draws.
        references: images (B, 1, H, W) in [0, 1].
        pools: images (N, 1, H, W) of each GAN.
        count: GANs a reference: i, i + 1, ... for reference i.

    Returns:
        Indices as drawn. Scores are the SSIM of the drawn images, which merging needs where there is no edge, and minus
        infinity for GANs whose turn it is not.
    """
    draw = torch.Generator().manual_seed(derived_seed(settings.seed, len(references)))
    indices = torch.stack([torch.randint(len(pool), (len(references),), generator=draw) for pool in pools.values()], 1)
    turn = (torch.arange(len(pools)) - torch.arange(len(references))[:, None]) % len(pools)
    ssim = SSIMMetric(spatial_dims=2, data_range=1.0, reduction="none")
    scores = [
        cast(Tensor, ssim(pool[column].float(), references.cpu()))
        for pool, column in zip(pools.values(), indices.unbind(1), strict=True)
    ]
    return Selection(indices, torch.cat(scores, 1).masked_fill(turn >= count, -torch.inf), tuple(pools))


def by_turns(settings: StudySettings, class_name: str, method: str) -> list[tuple[Path, dict[str, str]]]:
    """Folder and manifest row of each image of a method of `BY_TURNS`: for each reference the GAN whose turn it was."""
    suffix = BY_TURNS[method]
    stage = "stylise" if suffix else "aggregate"
    turns = read_manifest(settings.stage_dir("aggregate", class_name, SINGLE_UNSELECTED))
    folders = {name: settings.stage_dir(stage, class_name, f"{name}{suffix}") for name in settings.generators}
    rows = {name: {row["reference"]: row for row in read_manifest(folder)} for name, folder in folders.items()}
    return [(folders[turn["generators"]], rows[turn["generators"]][turn["reference"]]) for turn in turns]
