"""How close finished images are to real ones: the paper's four metrics against four choices of a real partner."""

from __future__ import annotations

from typing import cast

import torch
from monai.metrics.regression import PSNRMetric, SSIMMetric
from torch import Tensor

from monai_aggrgan.metrics.chosen_pairs_ssim import ShortlistSSIM, chosen_pairs_ssim
from monai_aggrgan.metrics.histogram_kl import grey_histograms, histogram_kl_divergence, kl_divergence
from monai_aggrgan.metrics.pairwise import pairwise_ssim
from monai_aggrgan.metrics.sharpness import sharpness_difference

__all__ = ["METRICS", "PAIRINGS", "RealPairings", "nearest", "similarity"]

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
        scores = scores.masked_fill(exclude.to(scores.device), -torch.inf)
    best, indices = scores.max(dim=1)
    return indices.masked_fill(best == -torch.inf, -1)


class RealPairings:
    """Real images of a class, with what is computed of them once however many sets are compared with them.

    Args:
        training: images that the generators were trained on, (T, 1, H, W) in [0, 1].
        held_out: images of patients that no training saw, (L, 1, H, W) in [0, 1], on the same device.
    """

    def __init__(self, training: Tensor, held_out: Tensor) -> None:
        self.training, self.held_out = training, held_out
        self._ssim = ShortlistSSIM(training), ShortlistSSIM(held_out)
        self._histograms = grey_histograms(training), grey_histograms(held_out)

    def shortlists(self, judged: Tensor, *, exclude_held_out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Training and held-out images (N, K) that may be the nearest of images (N, 1, H, W), see `ShortlistSSIM`.

        Args:
            judged: images (N, 1, H, W) in [0, 1].
            exclude_held_out: bool (N, L), true where a held-out image must not be the nearest: when `judged` are
                themselves held-out slices, those of the same patient.
        """
        return self._ssim[0].shortlist(judged), self._ssim[1].shortlist(judged, exclude=exclude_held_out)

    def nearest_training(self, judged: Tensor) -> tuple[Tensor, Tensor]:
        """SSIM (N,) and index (N,) of the training image of highest SSIM."""
        return self._ssim[0].nearest(judged, self._ssim[0].shortlist(judged))

    def compare(
        self, judged: Tensor, *, partners: Tensor, seed: int, shortlists: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Compare each image with its partner and with three other real images.

        The pairings are `paired` (the paper's: the reference that selected and styled the image), `nearest` (the
        training image of highest SSIM), `random` (a training image drawn by `seed`) and `held_out_nearest` (the
        held-out image of highest SSIM). Within a pairing all four metrics are taken against the same real image.

        Args:
            judged: images (N, 1, H, W) in [0, 1].
            partners: which training image is the reference of each, (N,) int64.
            seed: draws the random partners, with a generator of its own.
            shortlists: what the method gives of `judged`, by default without excluding any.

        Returns:
            Sixteen columns `<metric>_<pairing>` (N,) and the indices `nearest_training` and `nearest_held_out` (N,).
            Identical images have an infinite `psnr` and `sd`. Where every held-out image is excluded the index is -1
            and the four metrics are NaN.

        Raises:
            ValueError: when shapes do not fit.
        """
        to_training, to_held_out = self.shortlists(judged) if shortlists is None else shortlists
        drawn = torch.randint(len(self.training), (len(judged),), generator=torch.Generator().manual_seed(seed))
        told = torch.stack([partners.cpu(), drawn], dim=1).to(judged.device)
        nearest, held_out = self._ssim[0].nearest(judged, to_training), self._ssim[1].nearest(judged, to_held_out)
        choices = dict(zip(PAIRINGS, (told[:, 0], nearest[1], told[:, 1], held_out[1]), strict=True))
        ssim = chosen_pairs_ssim(judged, self.training, told)
        scores = dict(zip(PAIRINGS, (ssim[:, 0], nearest[0], ssim[:, 1], held_out[0]), strict=True))
        histograms = grey_histograms(judged)
        columns: dict[str, Tensor] = {}
        for pairing, choice in choices.items():
            side = pairing == "held_out_nearest"
            reals = self.held_out if side else self.training
            columns |= {
                f"ssim_{pairing}": scores[pairing],
                f"psnr_{pairing}": _psnr(judged, reals, choice),
                f"kl_{pairing}": kl_divergence(histograms, self._histograms[side][choice]),
                f"sd_{pairing}": sharpness_difference(judged, reals[choice]),
            }
        for metric in METRICS:
            columns[f"{metric}_held_out_nearest"].masked_fill_(held_out[1] < 0, torch.nan)
        return {**columns, "nearest_training": nearest[1], "nearest_held_out": held_out[1]}


def _psnr(judged: Tensor, reals: Tensor, choice: Tensor) -> Tensor:
    return cast(Tensor, PSNRMetric(max_val=1.0, reduction="none")(judged, reals[choice])).flatten()
