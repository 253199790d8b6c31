"""Estimates with two sources of chance at once: which trainings were run, and which patients they were tested on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta
from scipy.stats import t as student_t

from monai_aggrgan.metrics.resampling import Interval

__all__ = ["Estimate", "crossed_estimate", "deal_groups", "holm", "without_exception"]

DEALS = 100  # at most, until each class in several clusters has them in several groups


class Estimate(NamedTuple):
    """A mean over trainings, its interval, and how probable one as far from 0 is where the truth is 0.

    Attributes:
        mean: of all trainings, on all test images.
        low: lower end of the interval; NaN where there is none.
        high: upper end.
        p: two-sided, of the mean being 0; NaN where that cannot be told.
        error: standard error.
        freedom: degrees of freedom of the error.
    """

    mean: float
    low: float
    high: float
    p: float
    error: float
    freedom: float

    @property
    def interval(self) -> Interval:
        """Mean and ends."""
        return Interval(self.mean, self.low, self.high)


def crossed_estimate(whole: NDArray[np.float64], without: NDArray[np.float64], *, level: float = 0.95) -> Estimate:
    """The mean of a statistic over trainings, with what other trainings and other test patients would change.

    var = var_s(theta_s) / S + (G - 1) / G sum_g (theta_(g) - mean_g theta_(g))^2, where theta_s is the statistic of
    training s on all test images and theta_(g) the mean over trainings without group g. That is the variance of the
    mean over S trainings, plus the delete-a-group jackknife over test patients; what both share is counted twice, which
    makes intervals wider, not narrower. Degrees of freedom from S - 1 and G - 1 by Satterthwaite; interval and p by
    Student's t. Readers and cases of a diagnostic study stand to each other like this; trainings are the readers here.
    For a difference of two trainings of one seed, tested on the same images, give the differences.

    Args:
        whole: the statistic of each training on all test images (S,).
        without: the same without each group of test images (S, G), see `deal_groups`.
        level: of confidence, between 0 and 1.

    Returns:
        The estimate. Without an interval where there are fewer than two trainings or groups, or a value is NaN; where
        nothing varies, p is 1 if the mean is 0, else NaN.

    Raises:
        ValueError: when the shapes do not fit or `level` is out of range.

    Source: Obuchowski and Rockette 1995 (readers and cases); Kott 2001 (delete-a-group jackknife); Satterthwaite 1946.
    """
    whole, without = np.asarray(whole, dtype=np.float64), np.asarray(without, dtype=np.float64)
    if whole.ndim != 1 or not len(whole) or without.ndim != 2 or len(without) != len(whole):
        raise ValueError(f"whole must be (S,) and without (S, G), got {whole.shape} and {without.shape}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    mean, (trainings, groups) = float(whole.mean()), without.shape
    if trainings < 2 or groups < 2 or not (np.isfinite(whole).all() and np.isfinite(without).all()):
        return Estimate(mean, math.nan, math.nan, math.nan, math.nan, math.nan)
    of_trainings = float(whole.var(ddof=1)) / trainings
    of_patients = (groups - 1) * float(without.mean(axis=0).var())
    variance = of_trainings + of_patients
    if variance <= (8 * np.finfo(np.float64).eps) ** 2:
        return Estimate(mean, math.nan, math.nan, 1.0 if mean == 0 else math.nan, 0.0, math.nan)
    freedom = variance**2 / (of_trainings**2 / (trainings - 1) + of_patients**2 / (groups - 1))
    error = math.sqrt(variance)
    reach = float(student_t.ppf((1 + level) / 2, freedom)) * error
    p = 2 * float(student_t.sf(abs(mean) / error, freedom))
    return Estimate(mean, mean - reach, mean + reach, p, error, freedom)


def without_exception(estimate: Estimate, clusters: int, *, level: float = 0.95) -> Estimate:
    """The same estimate of a share, with an interval where it is 0 or 1 in every training and nothing varies.

    Of n test patients, all or none: from 0 or 1 to (1 - level) / 2 to the power 1 / n, from that side. Trainings add
    nothing to what n patients can tell, for they agree.

    Args:
        estimate: of a share in [0, 1]; one that varies, or is between 0 and 1, is given back as it is.
        clusters: test patients, or images where patients are unknown.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: when `clusters` is below 1.

    Source: Clopper and Pearson 1934.
    """
    if clusters < 1:
        raise ValueError(f"clusters must be at least 1, got {clusters}")
    if estimate.error != 0 or estimate.mean not in (0.0, 1.0):
        return estimate
    low = float(beta.ppf((1 - level) / 2, clusters, 1))
    return estimate._replace(low=low, high=1.0) if estimate.mean else estimate._replace(low=0.0, high=1 - low)


def deal_groups(
    clusters: NDArray[np.int64], labels: NDArray[np.int64], *, groups: int = 20, seed: int = 0
) -> NDArray[np.int64]:
    """Group of each test image (N,), for leaving them out in turn: whole clusters, dealt class by class.

    Clusters are dealt like cards, those of each class one after the other, so that every class loses about as much with
    each group. Where a class in several clusters would lose all its images with one group, which takes clusters of
    several classes, they are shuffled and dealt again, up to 100 times.

    Args:
        clusters: cluster, such as patient, of each image (N,), see `clusters_of`.
        labels: class of each image (N,).
        groups: how many at most; with fewer clusters, one cluster a group.
        seed: shuffles the clusters of each class.

    Returns:
        Numbers 0 to G - 1 (N,), each used.

    Raises:
        ValueError: when there are no images, the shapes differ or `groups` is below 1.
    """
    clusters, labels = np.asarray(clusters), np.asarray(labels)
    if clusters.ndim != 1 or clusters.shape != labels.shape or not len(clusters) or groups < 1:
        raise ValueError(
            f"clusters and labels must both be (N,), N and groups at least 1, got {clusters.shape}, {labels.shape} and"
            f" {groups}"
        )
    random = np.random.default_rng(seed)
    members = [np.unique(clusters[labels == label]).tolist() for label in np.unique(labels)]
    for _ in range(DEALS):
        group_of = _dealt(members, groups, random)
        if all(len({group_of[cluster] for cluster in of_class}) > 1 for of_class in members if len(of_class) > 1):
            break
    return np.array([group_of[cluster] for cluster in clusters.tolist()], dtype=np.int64)


def _dealt(members: Sequence[list[int]], groups: int, random: np.random.Generator) -> dict[int, int]:
    """Group of each cluster; `members` are those of each class."""
    order: dict[int, None] = {}
    for of_class in members:
        order |= dict.fromkeys(random.permutation(of_class).tolist())
    return {cluster: place % groups for place, cluster in enumerate(order)}


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, in their order: below alpha where Holm's step-down test rejects at alpha.

    NaN stays NaN and does not count.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    Example:
        >>> holm([0.25, 0.125, 0.5])
        [0.5, 0.375, 0.5]
    """
    order = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted, so_far = [math.nan] * len(p_values), 0.0
    for rank, (p, place) in enumerate(order):
        so_far = max(so_far, min(1.0, (len(order) - rank) * p))
        adjusted[place] = so_far
    return adjusted
