"""Metrics of sets of images by their features, in the shape of MONAI's cumulative metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.metrics.metric import CumulativeIterationMetric
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor

from monai_aggrgan.metrics.fidelity import density_coverage, frechet_distance, kernel_distance, precision_recall

__all__ = [
    "CoverageMetric",
    "DensityMetric",
    "FeatureSetMetric",
    "FrechetDistanceMetric",
    "KernelDistanceMetric",
    "PrecisionMetric",
    "RecallMetric",
]


class FeatureSetMetric(CumulativeIterationMetric):
    """Base of metrics that compare all images of an epoch as two sets.

    Call with (judged, reference), then `aggregate()`. Each call keeps and returns the features of its images, a matrix
    of the judged ones and one of the references; the two sets need not be of one size. Of several processes `aggregate`
    sees the images of all. `monai.handlers.IgniteMetricHandler` takes it as `metric_fn`. MONAI's `FIDMetric` and
    `MMDMetric` ask for all features in one call instead.

    Args:
        features: images as they come, such as (B, 1, H, W), to features (B, D), such as
            `monai_aggrgan.networks.vgg19_space(...)`; by default what comes must be features (B, D).
    """

    def __init__(self, features: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.features = features

    def aggregate(self) -> Tensor:
        """The metric of all images since the last `reset`, a 0-dimensional float64 tensor.

        Raises:
            ValueError: when there are none, or too few for the metric.
        """
        rows = self.get_buffer()
        if rows is None:
            raise ValueError("there are no images to compare: call the metric with (judged, reference) first")
        return self._compare(*rows)

    @abstractmethod
    def _compare(self, judged: Tensor, reference: Tensor) -> Tensor:
        """The metric of features (N, D) and (M, D)."""

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> Any:
        if y is None:
            raise ValueError("a metric of two sets needs judged images and references, got no references")
        return self._features_of(y_pred), self._features_of(y)

    def _compute_list(self, y_pred: Any, y: Any = None, **kwargs: Any) -> Any:
        """Images in a list, as `decollate_batch` leaves them, are one batch again: an extractor is slow one by one."""
        return self._compute_tensor(_stacked(y_pred), None if y is None else _stacked(y))

    def _features_of(self, images: Tensor) -> Tensor:
        plain: Tensor = convert_to_tensor(images, track_meta=False)
        with torch.no_grad():
            rows = plain if self.features is None else self.features(plain)
        if rows.ndim != 2 or len(rows) != len(images):
            came = f"{tuple(rows.shape)}; images need an extractor, the argument `features`"
            raise ValueError(f"features must be ({len(images)}, D), got {came}")
        return rows.detach()


class KernelDistanceMetric(FeatureSetMetric):
    """`kernel_distance` (KID) of all images of an epoch as a MONAI metric; lower is better.

    Args:
        features: see `FeatureSetMetric`.
        degree: power of the kernel.

    >>> metric = KernelDistanceMetric()
    >>> for _ in range(2):
    ...     _ = metric(torch.zeros(1, 1), torch.ones(1, 1))
    >>> metric.aggregate()  # as of zeros (2, 1) and ones (2, 1)
    tensor(7., dtype=torch.float64)
    """

    def __init__(self, features: Callable[[Tensor], Tensor] | None = None, *, degree: int = 3) -> None:
        super().__init__(features)
        self.degree = degree

    def _compare(self, judged: Tensor, reference: Tensor) -> Tensor:
        return kernel_distance(judged, reference, degree=self.degree)


class FrechetDistanceMetric(FeatureSetMetric):
    """`frechet_distance` (FID, when the features are Inception's) of all images of an epoch; lower is better."""

    def _compare(self, judged: Tensor, reference: Tensor) -> Tensor:
        return frechet_distance(judged, reference)


class PrecisionMetric(FeatureSetMetric):
    """Precision of `precision_recall`: the share of judged images within the range of the references.

    Args:
        features: see `FeatureSetMetric`.
        neighbours: k of `precision_recall`, at least 1.
    """

    def __init__(self, features: Callable[[Tensor], Tensor] | None = None, *, neighbours: int = 3) -> None:
        super().__init__(features)
        self.neighbours = neighbours

    def _compare(self, judged: Tensor, reference: Tensor) -> Tensor:
        return precision_recall(judged, reference, neighbours=self.neighbours)[0]


class RecallMetric(PrecisionMetric):
    """Recall of `precision_recall`: the share of references within the range of the judged images."""

    def _compare(self, judged: Tensor, reference: Tensor) -> Tensor:
        return precision_recall(judged, reference, neighbours=self.neighbours)[1]


class DensityMetric(FeatureSetMetric):
    """Density of `density_coverage`: how densely judged images lie around the references, about 1 for real ones.

    Args:
        features: see `FeatureSetMetric`.
        neighbours: k of `density_coverage`, at least 1.
    """

    def __init__(self, features: Callable[[Tensor], Tensor] | None = None, *, neighbours: int = 5) -> None:
        super().__init__(features)
        self.neighbours = neighbours

    def _compare(self, judged: Tensor, reference: Tensor) -> Tensor:
        return density_coverage(judged, reference, neighbours=self.neighbours)[0]


class CoverageMetric(DensityMetric):
    """Coverage of `density_coverage`: the share of references with a judged image near."""

    def _compare(self, judged: Tensor, reference: Tensor) -> Tensor:
        return density_coverage(judged, reference, neighbours=self.neighbours)[1]


def _stacked(images: Sequence[Tensor] | Tensor) -> Tensor:
    return images if isinstance(images, Tensor) else torch.stack([*images])
