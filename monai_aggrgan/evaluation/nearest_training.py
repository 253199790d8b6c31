"""What images look like beside the training images: the nearest of them in pixels and in each feature space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from monai_aggrgan.evaluation.audit_rule import NEIGHBOURS, Flags
from monai_aggrgan.evaluation.likeness import likeness
from monai_aggrgan.metrics.aligned_ssim import AlignedMatches, AlignedSSIM
from monai_aggrgan.metrics.memorization import closeness, k_nearest, nearest_distances

__all__ = ["NearestTraining", "Seen", "SeenInSpace", "rounded"]


class SeenInSpace(NamedTuple):
    """Images (N,) in a feature space.

    Attributes:
        distance: to the nearest training image.
        training: which that is.
        closeness: that distance over the one to the k-th nearest.
        authentic: see `monai_aggrgan.metrics.authenticity`; None where there is one training image only.
    """

    distance: Tensor
    training: Tensor
    closeness: Tensor
    authentic: Tensor | None


class Seen(NamedTuple):
    """Images (N,) beside the training images, on the CPU.

    Attributes:
        match: nearest training image in SSIM, mirrored and moved.
        likeness: with that image, see `likeness`; None for small images.
        spaces: the same in each feature space.
    """

    match: AlignedMatches
    likeness: Tensor | None
    spaces: dict[str, SeenInSpace]

    def columns(self, flags: Flags, *, ids: Sequence[str]) -> list[dict[str, str]]:
        """The columns of memorization.csv from `ssim` on, for each image.

        Args:
            flags: of these images.
            ids: of the training images.
        """
        rows = []
        for row, flagged in enumerate(flags.flagged):
            cells = {
                "ssim": rounded(self.match.ssim[row]),
                "ssim_training": ids[int(self.match.nearest[row])],
                "mirrored": _yes(self.match.mirrored[row]),
                "shift": "{} {}".format(*self.match.shift[row].tolist()),
                "likeness": "" if self.likeness is None else rounded(self.likeness[row]),
            }
            for space, found in self.spaces.items():
                cells[f"{space}_distance"] = rounded(found.distance[row])
                cells[f"{space}_training"] = ids[int(found.training[row])]
                cells[f"{space}_closeness"] = rounded(found.closeness[row])
                cells[f"{space}_authentic"] = "" if found.authentic is None else _yes(found.authentic[row])
            rows.append(cells | {"flagged": _yes(flagged), "why": flags.why(row)})
        return rows


class NearestTraining:
    """Finds the nearest training images of any images.

    Args:
        images: of the training, (T, 1, H, W) in [0, 1].
        features: of them in each space, (T, D) float64.
    """

    def __init__(self, images: Tensor, features: Mapping[str, Tensor]) -> None:
        self._images, self._features, self._ssim = images, features, AlignedSSIM(images)
        several = len(images) > 1
        self._own = {s: nearest_distances(t, t, exclude_self=True) if several else None for s, t in features.items()}

    def __call__(
        self, images: Tensor, features: Mapping[str, Tensor], *, nearest: tuple[Tensor, Tensor] | None = None
    ) -> Seen:
        """What is seen of images.

        Args:
            images: (N, 1, H, W) in [0, 1].
            features: of them in each space, (N, D) float64.
            nearest: SSIM (N,) and index (N,) of the nearest training image as it is, if known: the search for mirrored
                and moved ones looks at few, and must not find less.
        """
        match = AlignedMatches(*(column.cpu() for column in self._ssim(images)))
        if nearest is not None:
            match = _at_least(match, nearest[0].cpu(), nearest[1].cpu())
        spaces = {}
        for space, judged in features.items():
            training, own = self._features[space], self._own[space]
            distances, places = k_nearest(judged, training, neighbours=min(NEIGHBOURS, len(training)))
            first = places[:, 0]
            authentic = None if own is None else (distances[:, 0] > own[first]).cpu()
            spaces[space] = SeenInSpace(distances[:, 0].cpu(), first.cpu(), closeness(distances).cpu(), authentic)
        return Seen(match, likeness(images, self._images, match), spaces)


def _at_least(match: AlignedMatches, ssim: Tensor, nearest: Tensor) -> AlignedMatches:
    """The matches, but where SSIM (N,) without mirroring and moving is higher, those (N,)."""
    better = ssim > match.ssim
    return AlignedMatches(
        torch.where(better, ssim, match.ssim),
        torch.where(better, nearest, match.nearest),
        match.mirrored & ~better,
        match.shift.masked_fill(better[:, None], 0),
    )


def rounded(value: float | Tensor) -> str:
    """A number as text; the ends of an interval may be 0 but for rounding."""
    return f"{round(float(value), 12):.6g}"


def _yes(value: Tensor) -> str:
    return "yes" if value else ""
