"""How close finished images are to real ones: the paper's four metrics against four choices of a real partner."""

from __future__ import annotations

from typing import cast

import torch
from monai.metrics.regression import PSNRMetric, SSIMMetric
from torch import Tensor

from monai_aggrgan.metrics.histogram_kl import histogram_kl_divergence
from monai_aggrgan.metrics.pairwise import pairwise_ssim
from monai_aggrgan.metrics.sharpness import sharpness_difference

__all__ = ["METRICS", "PAIRINGS", "compare_with_reals", "nearest", "similarity"]

METRICS = ("ssim", "psnr", "kl", "sd")
PAIRINGS = ("paired", "nearest", "random", "held_out_nearest")
CHUNK = 256  # images compared at once: bounds the memory of SSIM's filtered maps


def similarity(judged: Tensor, partners: Tensor) -> dict[str, Tensor]:
    """The paper's four metrics (eq. 1-7), image by image.

    Args:
        judged: images (N, 1, H, W) in [0, 1].
        partners: the real image that each is compared with, (N, 1, H, W) in [0, 1].

    Returns:
        `ssim`, `psnr` in dB, `kl` in nats and `sd` in dB, each (N,). Identical images have an infinite `psnr` and
        `sd`; the infinity stays, for the reader of the numbers to count (`tables.summarise` does).

    Raises:
        ValueError: when the shapes are not (N, 1, H, W) or differ.
    """
    if judged.ndim != 4 or judged.shape[1] != 1 or judged.shape != partners.shape:
        raise ValueError(
            f"judged and partners must both be (N, 1, H, W), got {tuple(judged.shape)} and {tuple(partners.shape)}"
        )
    pairs = zip(torch.split(judged, CHUNK), torch.split(partners, CHUNK), strict=True)
    chunks = [_similarity(*pair) for pair in pairs]
    return {metric: torch.cat([chunk[metric] for chunk in chunks]) for metric in METRICS}


def _similarity(judged: Tensor, partners: Tensor) -> dict[str, Tensor]:
    ssim = SSIMMetric(spatial_dims=2, data_range=1.0, reduction="none")
    psnr = PSNRMetric(max_val=1.0, reduction="none")
    return {
        "ssim": cast(Tensor, ssim(judged, partners)).flatten(),
        "psnr": cast(Tensor, psnr(judged, partners)).flatten(),
        "kl": histogram_kl_divergence(judged, partners),
        "sd": sharpness_difference(judged, partners),
    }


def nearest(judged: Tensor, references: Tensor, *, exclude: Tensor | None = None) -> Tensor:
    """Index of the reference of highest SSIM for each judged image; of equals, the first.

    Args:
        judged: images (N, 1, H, W) in [0, 1].
        references: real images (M, 1, H, W) in [0, 1].
        exclude: bool (N, M), true where a pair is not allowed, such as two slices of one patient.

    Returns:
        Indices (N,) int64; -1 where every reference is excluded.

    Raises:
        ValueError: when there is no reference or `exclude` is not (N, M).
    """
    if len(references) == 0:
        raise ValueError("references must hold at least one image, got none")
    scores = pairwise_ssim(judged, references)
    if exclude is not None:
        if exclude.shape != scores.shape:
            raise ValueError(f"exclude must be {tuple(scores.shape)}, got {tuple(exclude.shape)}")
        scores = scores.masked_fill(exclude, -torch.inf)
    best, indices = scores.max(dim=1)
    return indices.masked_fill(best == -torch.inf, -1)


def compare_with_reals(
    judged: Tensor,
    *,
    partners: Tensor,
    training: Tensor,
    held_out: Tensor,
    seed: int,
    exclude_held_out: Tensor | None = None,
) -> dict[str, Tensor]:
    """Compare each image with its partner and with three other real images.

    The pairings are `paired` (the paper's: the reference that selected and styled the image), `nearest` (the training
    image of highest SSIM), `random` (a training image drawn by `seed`) and `held_out_nearest` (the held-out image of
    highest SSIM). Within a pairing all four metrics are taken against the same real image.

    Args:
        judged: images (N, 1, H, W) in [0, 1].
        partners: the reference of each, (N, 1, H, W).
        training: real images that the generators were trained on, (M, 1, H, W).
        held_out: real images of patients that no training saw, (L, 1, H, W).
        seed: draws the random partners, with a generator of its own.
        exclude_held_out: bool (N, L), true where a held-out image must not be the nearest: when `judged` are
            themselves held-out slices, those of the same patient.

    Returns:
        Sixteen columns `<metric>_<pairing>` (N,) and the indices `nearest_training` and `nearest_held_out` (N,).
        Where every held-out image is excluded the index is -1 and the four metrics are NaN.
    """
    nearest_training = nearest(judged, training)
    nearest_held_out = nearest(judged, held_out, exclude=exclude_held_out)
    against = {
        "paired": partners,
        "nearest": training[nearest_training],
        "random": training[_draw(len(judged), len(training), seed=seed).to(judged.device)],
        "held_out_nearest": held_out[nearest_held_out],
    }
    columns = {
        f"{metric}_{pairing}": values
        for pairing in PAIRINGS
        for metric, values in similarity(judged, against[pairing]).items()
    }
    for metric in METRICS:
        columns[f"{metric}_held_out_nearest"].masked_fill_(nearest_held_out < 0, torch.nan)
    return {**columns, "nearest_training": nearest_training, "nearest_held_out": nearest_held_out}


def _draw(count: int, choices: int, *, seed: int) -> Tensor:
    return torch.randint(choices, (count,), generator=torch.Generator().manual_seed(seed))
