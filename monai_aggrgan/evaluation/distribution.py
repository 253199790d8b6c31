"""How far the images of a method are, as a set, from held-out images: the rows of distribution.csv."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from monai_aggrgan.evaluation.space_metrics import FeatureSet, SpaceMetrics
from monai_aggrgan.metrics.diversity import SAME, distinct_images, ms_ssim_diversity, pairs_interval, scales_of
from monai_aggrgan.metrics.resampling import Interval, clusters_of
from monai_aggrgan.networks.feature_space import FeatureSpace

__all__ = ["COLUMNS", "HEADINGS", "IMAGES", "METRIC_NOTES", "REAL", "Distribution", "ImageSet"]

COLUMNS = ("class_name", "method", "space", "metric", "value", "low", "high", "n", "reference_n", "extractor")
REAL = "real"
IMAGES = "images"
"""Name of the "space" of what is measured on the images themselves."""

HEADINGS = {
    "kid": "KID",
    "frechet": "Fréchet distance",
    "frechet_ratio": "Fréchet ratio",
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
    "ms_ssim": "MS-SSIM between images",
    "distinct": "Different images",
}
"""Metric -> heading, in the order of the rows."""

METRIC_NOTES = {
    "kid": "KID is how far the features of two sets of images lie apart. Lower is better. Real images against real "
    "images of other patients give about 0, or somewhat more where it is not known which slices are of one patient.",
    "frechet": "The Fréchet distance compares the mean and the spread of the features. Lower is better. It is large "
    "for small sets even of real images, so compare it with the real row only.",
    "frechet_ratio": "The Fréchet ratio is a method's Fréchet distance over that of as many real images. Lower is "
    "better, and real against real gives 1.",
    "precision": "Precision is the share of a method's images that are no farther from a held-out image than its near "
    "neighbours are. Nearest to the real row is best: more is no merit, since averages and copies have it.",
    "recall": "Recall is the share of held-out images that are as near to a method's images as these are to each "
    "other. Higher is better; real against real gives less than 1.",
    "density": "Density is how many held-out images a method's image is near to, where 1 is expected of the same "
    "patients. Nearest to the real row is best: more means too many average images.",
    "coverage": "Coverage is the share of held-out images that have one of a method's images near. Higher is better; "
    "real against real gives less than 1.",
    "ms_ssim": "MS-SSIM between images is how alike two images of one set are. Nearest to the real row is best: "
    "far above it images repeat, far below it they are noisy.",
    "distinct": "Different images is how many images of a set are not nearly the same as another one. Higher is "
    "better; real images are all different. Style transfer makes repeats differ a little, and so hides them.",
}
"""Metric -> what it is, which direction is good and what real images give, for readers."""

ROUNDING = 1e-3  # a quarter of a grey level
PAIRS = 300  # for MS-SSIM
SAMENESS = f"images that differ by at most {SAME:g} of their own contrast count once"

Row = dict[str, str]


class ImageSet(NamedTuple):
    """Images (N, 1, H, W) in [0, 1], their features (N, D) by name of the space, and their patients ("": unknown).

    The patient of a synthetic image is that of its reference.
    """

    images: Tensor
    features: Mapping[str, Tensor]
    patients: Sequence[str]

    def within(self, space: str) -> FeatureSet:
        """What counts in one feature space."""
        return FeatureSet(self.features[space], self.patients)

    def drawn(self, count: int, *, seed: int) -> ImageSet:
        """`count` of the images, drawn by the seed, in their order; all of them where there are no more."""
        if count >= len(self.images):
            return self
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(seed))[:count].sort().values
        features = {space: rows[order.to(rows.device)] for space, rows in self.features.items()}
        images = self.images[order.to(self.images.device)]
        return ImageSet(images, features, [self.patients[index] for index in order.tolist()])


class Distribution:
    """Judges sets of images of one class by the same held-out images, each with as many images.

    Metrics, the features they are taken on, and their intervals are told by `SpaceMetrics`; MS-SSIM has that of
    `pairs_interval`. All intervals are of 95 %, by patient where patients are known.

    Args:
        class_name: of all images.
        held_out: images of patients that no training saw.
        training: images that the generators were trained on; those of the real row are drawn from them.
        count: images that every row has, n; not more than the training images or those of any method.
        spaces: feature spaces; their names are the keys of the features.
        seed: of all draws.

    Raises:
        ValueError: when features are missing, or not as many as the images and patients, or there are fewer training
            images than `count`.
    """

    def __init__(
        self,
        class_name: str,
        *,
        held_out: ImageSet,
        training: ImageSet,
        count: int,
        spaces: Sequence[FeatureSpace],
        seed: int = 0,
    ) -> None:
        self._class_name, self._count, self._seed, self._spaces = class_name, count, seed, list(spaces)
        self._size = tuple(held_out.images.shape[2:])
        for images in (held_out, training):
            self._check(images, at_least=0)
        if not 0 <= count <= len(training.images):
            raise ValueError(f"count must be 0 to {len(training.images)}, the training images, got {count}")
        self._held_out = held_out
        self._real = training.drawn(count, seed=seed)
        self._metrics = {
            space.name: SpaceMetrics(
                space,
                training=training.features[space.name],
                real=self._real.within(space.name),
                held_out=held_out.within(space.name),
                seed=seed,
            )
            for space in spaces
        }

    def judge_real(self) -> list[Row]:
        """Rows of the method "real": training images in the place of synthetic ones."""
        return self.judge(REAL, self._real)

    def judge(self, method: str, judged: ImageSet) -> list[Row]:
        """Rows of a method: seven metrics for each space, and two of the images themselves.

        Where there are too few images for a metric or its interval, the text is empty.

        Args:
            method: name of the method, for the rows.
            judged: its images, of which `count` are drawn where there are more.

        Raises:
            ValueError: when there are fewer images than `count`, or features do not fit.
        """
        self._check(judged, at_least=self._count)
        judged = judged.drawn(self._count, seed=self._seed)
        found = [
            (space, metric, interval, extractor)
            for space, metrics in self._metrics.items()
            for metric, interval, extractor in metrics(judged.within(space))
        ]
        found += [(IMAGES, *values) for values in _of_images(judged, seed=self._seed)]
        return [
            {
                "class_name": self._class_name,
                "method": method,
                "space": space,
                "metric": metric,
                "value": _text(interval.mean),
                "low": _text(interval.low),
                "high": _text(interval.high),
                "n": str(len(judged.images)),
                "reference_n": str(len(self._held_out.images)),
                "extractor": extractor,
            }
            for space, metric, interval, extractor in found
        ]

    def _check(self, images: ImageSet, *, at_least: int) -> None:
        counts = {"images": len(images.images), "patients": len(images.patients)}
        counts |= {space.name: len(images.features.get(space.name, ())) for space in self._spaces}
        if len(set(counts.values())) > 1 or len(images.images) < at_least:
            raise ValueError(f"images, patients and features must be as many, at least {at_least}, got {counts}")
        shape = tuple(images.images.shape)
        if len(shape) != 4 or shape[1:] != (1, *self._size):
            wanted = ", ".join(map(str, ("N", 1, *self._size)))
            raise ValueError(f"images must be ({wanted}), of the size of the held-out ones, got {shape}")
        if len(images.images) and not -ROUNDING <= images.images.min() <= images.images.max() <= 1 + ROUNDING:
            low, high = float(images.images.min()), float(images.images.max())
            raise ValueError(f"images must lie in [0, 1], got values from {low:g} to {high:g}")


def _of_images(judged: ImageSet, *, seed: int) -> list[tuple[str, Interval, str]]:
    """What is measured on the images themselves: metric, value with its interval, and how."""
    count = len(judged.images)
    return [_ms_ssim(judged, seed=seed), ("distinct", _alone(distinct_images(judged.images) if count else 0), SAMENESS)]


def _ms_ssim(judged: ImageSet, *, seed: int) -> tuple[str, Interval, str]:
    try:
        found = ms_ssim_diversity(judged.images, pairs=PAIRS, seed=seed)
        scales = scales_of(*judged.images.shape[2:])
    except ValueError:  # fewer than two images, or smaller than the window
        return "ms_ssim", _alone(math.nan), ""
    described = f"mean of {len(found.values)} pairs, {scales} scale{'s' * (scales > 1)}"
    return "ms_ssim", pairs_interval(found, clusters_of(judged.patients)), described


def _alone(value: float) -> Interval:
    return Interval(value, math.nan, math.nan)


def _text(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.6g}"
