"""Whether a set of images holds copies of training images: rows of memorization.csv and audit.csv of one class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.evaluation.audit_rule import (
    ALIKE,
    AUDIT_RULE,
    COPY,
    FEW,
    Flags,
    closeness_limit,
    ssim_limit,
    verdict,
)
from monai_aggrgan.evaluation.nearest_training import NearestTraining, Seen, rounded
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.metrics.features import plain_features
from monai_aggrgan.metrics.membership import distance_ratio_test, membership_auc
from monai_aggrgan.metrics.resampling import Interval, clusters_of, mean_interval, share_interval

__all__ = ["AUDIT_RULE", "FEW", "Audit", "Judged", "RealImages"]


class RealImages(NamedTuple):
    """Real images of one side of the split.

    Attributes:
        images: (N, 1, H, W) in [0, 1].
        ids: one an image.
        patients: one an image, "" where unknown.
    """

    images: Tensor
    ids: Sequence[str]
    patients: Sequence[str]


class Judged(NamedTuple):
    """What the audit says of a set, numbers as text.

    Attributes:
        images: for each image the columns of memorization.csv from `ssim` on: besides those of the nearest training
            image in SSIM and in each feature space, `likeness` (with the one of the highest SSIM, "" below 64 pixels),
            `flagged` and `why`.
        measures: rows of audit.csv without class_name and method.
    """

    images: list[dict[str, str]]
    measures: list[dict[str, str]]


class Audit:
    """Compares sets of images with the training images of a class; held-out images show what is usual.

    Two detectors make the rule. Likeness is the product of the `structure` of an image with that of the training
    image of the highest SSIM, mirrored and moved onto it: it does not mind contrast, and little noise and blur. And
    closeness in the feature spaces (see `metrics.memorised`) finds what is not aligned. Neither depends on how many
    training images there are.

    Measured on the Figshare set, one fold held out, one for new real images, three for training, VGG-19 and pixels as
    spaces. Of new real images features flag 0.8 % in the mean of 60 pairings of folds, 4.7 % at most. Likeness reaches
    0.47 (pituitary) and 0.52 (meningioma) across folds; in glioma 0.69, where what is above 0.6 lies in runs of
    neighbouring slices, so that it seems one patient examined twice. At 128x128 (glioma, meningioma; seed 0) all of 100
    copies each are flagged, be they exact, noisy (0.02), moved by 1 or 2 pixels, mirrored, of 0.8 or 1.2 of their
    contrast or blurred (sigma 1); at 64x64 (glioma) also, but of blurred ones 98 %, and 88 % when mirrored and moved as
    well. One copy among 300, exact or moved and mirrored, makes a set fail. Sets of new real images, of noise (none
    flagged) and of averages of four training images (1.3 % flagged at most) pass; of averages of two, half a copy each,
    most are flagged. Where patients are not known, p of the distance ratio is not to be trusted: it was 0.001 for one
    fold of new real images, whose slices were taken for patients.

    Args:
        training: the images the generators learnt from.
        held_out: real images of other patients.
        features: for each space, features of the training images (T, D) and of the held-out images (H, D).
        nearest: SSIM (H,) and index (H,) of the training image that is nearest to each held-out image, if known.
        seed: of the resampling.

    Raises:
        InputError: when there are no training or no held-out images.
        ValueError: when images, ids, patients and features do not match.
    """

    def __init__(
        self,
        training: RealImages,
        held_out: RealImages,
        features: Mapping[str, tuple[Tensor, Tensor]],
        *,
        nearest: tuple[Tensor, Tensor] | None = None,
        seed: int = 0,
    ) -> None:
        for side, name in ((training, "training"), (held_out, "held-out")):
            if not len(side.images):
                raise InputError(f"The audit needs training and held-out images, got no {name} images.")
            if not len(side.images) == len(side.ids) == len(side.patients):
                came = len(side.images), len(side.ids), len(side.patients)
                raise ValueError(f"{name} images, ids and patients must be as many, got {came}")
        self._training, self._held_out, self._seed = training, held_out, seed
        self._features = {
            space: tuple(plain_features(*pair, at_least=(len(training.ids), len(held_out.ids))))
            for space, pair in features.items()
        }
        self._see = NearestTraining(training.images, {space: known for space, (known, _) in self._features.items()})
        self._clusters = clusters_of(held_out.patients)
        self._control = self._see(held_out.images, {s: h for s, (_, h) in self._features.items()}, nearest=nearest)
        others = [torch.from_numpy(self._clusters != number) for number in self._clusters]
        self._control_flags = self._flag(self._control, others)
        self._everybody = torch.ones(len(held_out.ids), dtype=torch.bool)

    @property
    def weak(self) -> bool:
        """Whether held-out images are too few to say what is usual."""
        return len(self._held_out.ids) < FEW

    def judge(
        self,
        images: Tensor,
        features: Mapping[str, Tensor],
        *,
        patients: Sequence[str],
        nearest: tuple[Tensor, Tensor] | None = None,
    ) -> Judged:
        """Audit of a method's images.

        Args:
            images: (N, 1, H, W) in [0, 1].
            features: of these images (N, D) in each space.
            patients: those of their references, for the intervals, "" where unknown (N,).
            nearest: SSIM (N,) and index (N,) of the nearest training image as it is, if known: not less is found then.

        Raises:
            ValueError: when images, features and patients do not match those of the class.
        """
        if set(features) != set(self._features) or not len(images) == len(patients):
            raise ValueError(
                f"there must be features in {sorted(self._features)} and a patient for each of {len(images)} images, "
                f"got {sorted(features)} and {len(patients)} patients"
            )
        features = {space: plain_features(features[space], at_least=(len(images),))[0] for space in self._features}
        seen = self._see(images, features, nearest=nearest)
        flags = self._flag(seen, [self._everybody])
        clusters = clusters_of(patients)
        rows = self._measures(seen, flags, clusters, control=True)
        for space, judged in features.items():
            rows += self._attacks(space, judged, clusters)
        return Judged(seen.columns(flags, ids=self._training.ids), rows)

    def judge_held_out(self) -> Judged:
        """The same of the held-out images, the control; each is compared with what is usual of other patients."""
        rows = self._measures(self._control, self._control_flags, self._clusters, control=False)
        return Judged(self._control.columns(self._control_flags, ids=self._training.ids), rows)

    def _flag(self, seen: Seen, usual: Sequence[Tensor]) -> Flags:
        """Flags of a set; `usual` are the held-out images (H,) to compare with, the same or one entry an image."""
        control, large = self._control, seen.likeness is not None
        ssim = control.match.ssim.double()
        limits = torch.tensor([ssim_limit(ssim[keep], likeness_known=large) for keep in usual], dtype=torch.float64)
        copy = seen.match.ssim > limits
        alike = torch.zeros_like(copy)
        if seen.likeness is not None:
            copy |= seen.likeness > COPY
            alike = seen.likeness > ALIKE
        near = {}
        for space, found in seen.spaces.items():
            known = control.spaces[space].closeness
            spaces = len(seen.spaces)
            limits = torch.tensor([closeness_limit(known[keep], spaces=spaces) for keep in usual], dtype=torch.float64)
            near[space] = found.closeness < limits
        return Flags(copy, alike, near)

    def _measures(
        self, seen: Seen, flags: Flags, clusters: NDArray[np.int64], *, control: bool
    ) -> list[dict[str, str]]:
        """Rows of what is measured of each image; with the values of held-out images unless they are the set."""

        def share(measure: str, values: Tensor, usual: Tensor, **cells: str) -> dict[str, str]:
            interval = (share_interval if values.dtype == torch.bool else mean_interval)(
                values, clusters, seed=self._seed
            )
            held_out = rounded(usual.double().mean()) if control else ""
            return _row(measure, interval, held_out=held_out, n=len(values), **cells)

        mine, usual = flags.flagged, self._control_flags.flagged
        told, detail = verdict(
            flags,
            share_interval(mine, clusters, seed=self._seed),
            usual=usual.double().mean().item() if control else 0.0,
            held_out=len(usual),
        )
        copies = Interval(float(flags.copy.sum()), math.nan, math.nan)
        held_out = rounded(self._control_flags.copy.sum()) if control else ""
        rows = [
            share("flagged", mine, usual, verdict=told, detail=detail),
            _row("copies", copies, held_out=held_out, n=len(mine)),
            share("ssim", seen.match.ssim, self._control.match.ssim),
        ]
        for space, found in seen.spaces.items():
            known = self._control.spaces[space]
            rows.append(share(f"{space}_memorised", flags.near[space], self._control_flags.near[space]))
            if found.authentic is not None and known.authentic is not None:
                rows.append(share(f"{space}_authenticity", found.authentic, known.authentic))
        return rows

    def _attacks(self, space: str, judged: Tensor, clusters: NDArray[np.int64]) -> list[dict[str, str]]:
        """Rows of what compares training with held-out images as wholes."""
        to_training, to_held_out = (torch.cdist(judged, reals).cpu() for reals in self._features[space])
        patients = self._training.patients, self._held_out.patients
        test = distance_ratio_test(
            to_training,
            to_held_out,
            training_patients=patients[0],
            held_out_patients=patients[1],
            seed=self._seed,
        )
        ratio = mean_interval(test.log_ratios, clusters, seed=self._seed)
        area = membership_auc(
            to_training.amin(dim=0),
            to_held_out.amin(dim=0),
            training_patients=patients[0],
            held_out_patients=patients[1],
            seed=self._seed,
        )
        sizes = len(self._training.ids), len(self._held_out.ids)
        known = all(all(names) for names in patients)  # else slices of one patient would be exchanged apart
        return [
            _row(
                f"{space}_distance_ratio",
                ratio,
                p=rounded(test.p) if known else "",
                n=len(judged),
                detail=f"{test.size} training and as many held-out images{'' if known else '; p needs known patients'}",
            ),
            _row(
                f"membership_auc_{space}",
                area,
                n=sum(sizes),
                detail="{} training and {} held-out images".format(*sizes),
            ),
        ]


def _row(
    measure: str, interval: Interval, *, n: int, p: str = "", held_out: str = "", verdict: str = "", detail: str = ""
) -> dict[str, str]:
    low, high = ("" if math.isnan(end) else rounded(end) for end in interval[1:])
    told = {"measure": measure, "value": rounded(interval.mean), "low": low, "high": high}
    return told | {"p": p, "held_out": held_out, "n": str(n), "verdict": verdict, "detail": detail}
