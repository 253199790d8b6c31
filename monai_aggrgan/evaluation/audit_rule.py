"""When an image is flagged and when a set of images fails the memorisation audit."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from monai_aggrgan.evaluation.near_duplicates import SMALLEST
from monai_aggrgan.metrics.resampling import Interval

__all__ = ["ALIKE", "AUDIT_RULE", "COPY", "FEW", "NEIGHBOURS", "Flags", "closeness_limit", "ssim_limit", "verdict"]

ALIKE, COPY = 0.6, 0.75  # likeness above which an image is flagged, and above which one image is enough to fail
CERTAIN = 0.98  # SSIM of a copy that shows too little for its likeness to tell
QUANTILE = 0.02  # share of new real images that may be flagged by features, all spaces together
MARGIN = 0.9  # how much closer, since the lowest of other patients may lie a little lower
LIMIT = 0.15  # share of flagged images that a set may have
FEW = 20
"""Held-out images below which no quantile of theirs is known: the rule is weak then."""
NEIGHBOURS = 5
FEW_CLOSENESS, FEW_SSIM = 0.5, 0.9  # where held-out images are few, only such evidence counts

AUDIT_RULE = (
    f"A set fails when one of its images or more is a copy of a training image (the likeness of the two, once aligned, "
    f"is above {COPY} or their SSIM above {CERTAIN}; in images smaller than {SMALLEST} pixels, which have no likeness, "
    f"their SSIM is above the middle between 1 and the highest of held-out images), or when more than {LIMIT:.0%} of "
    f"its images are flagged and the 95 % interval of that share lies above the share of held-out images. An image is "
    f"flagged when it is a copy, when its likeness is above {ALIKE}, or when in a feature space its distance to the "
    f"nearest training image, relative to that to the {NEIGHBOURS}th nearest, is below {MARGIN} of what all but "
    f"{QUANTILE:.0%} of the held-out images have (over all spaces together). With fewer than {FEW} held-out images the "
    f"test is weak: then that relative distance must also be below {FEW_CLOSENESS}, and such an SSIM above {FEW_SSIM}."
)
"""The rule of the verdict in the row "flagged"."""


class Flags(NamedTuple):
    """Which images of a set are flagged, booleans (N,).

    Attributes:
        copy: copies of a training image.
        alike: too like a training image.
        near: for each feature space, too close to one training image.
    """

    copy: Tensor
    alike: Tensor
    near: dict[str, Tensor]

    @property
    def flagged(self) -> Tensor:
        """Those that are any of it."""
        return torch.stack([self.copy, self.alike, *self.near.values()]).any(dim=0)

    def why(self, row: int) -> str:
        """What flagged an image, "" when nothing did."""
        pixels = ["a copy once aligned"] if self.copy[row] else ["alike once aligned"] if self.alike[row] else []
        return "; ".join([*pixels, *(f"close in {space}" for space, near in self.near.items() if near[row])])


def ssim_limit(held_out: Tensor, *, likeness_known: bool) -> float:
    """SSIM of a copy: above half-way from the highest of held-out images (H,) to 1.

    Where likeness is known, only what is certain: images that show little are copies without being alike.
    """
    middle = (1 + held_out.max().clamp(0, 0.99).item()) / 2 if len(held_out) else FEW_SSIM
    if len(held_out) < FEW:
        middle = max(middle, FEW_SSIM)
    return max(middle, CERTAIN) if likeness_known else middle


def closeness_limit(held_out: Tensor, *, spaces: int) -> float:
    """Closeness below which an image is flagged in one of so many spaces, by that of held-out images (H,)."""
    if not len(held_out):
        return FEW_CLOSENESS
    limit = held_out.quantile(QUANTILE / spaces, interpolation="lower").item() * MARGIN
    if len(held_out) < FEW:
        limit = min(limit, FEW_CLOSENESS)
    return max(limit, 1e-6)  # else no copy is found when held-out images are copies, too


def verdict(flags: Flags, share: Interval, *, usual: float, held_out: int) -> tuple[str, str]:
    """Whether a set passes or fails, and why.

    Args:
        flags: of its images.
        share: of flagged images, with its interval.
        usual: share of flagged held-out images.
        held_out: how many these are.
    """
    copies, count, total = int(flags.copy.sum()), int(flags.flagged.sum()), len(flags.copy)
    many = share.mean > LIMIT and (share.mean if math.isnan(share.low) else share.low) > usual
    said = []
    if copies:
        said.append(f"{copies} of {total} images {'is a copy' if copies == 1 else 'are copies'} of a training image")
    within = "within the limit" if share.mean <= LIMIT else "above the limit, but not clearly more than held-out images"
    said.append(f"{count} of {total} images flagged ({share.mean:.1%}), {'more than the limit' if many else within}")
    if held_out < FEW:
        said.append(f"a weak test: only {held_out} held-out images, below {FEW}")
    return "fail" if copies or many else "pass", "; ".join(said)
