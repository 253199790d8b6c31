"""Confidence intervals when images of one patient belong together: clustered bootstrap and grouped jackknife."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student_t
from torch import Tensor

__all__ = ["Interval", "cluster_counts", "clusters_of", "jackknife_interval", "mean_interval", "share_interval"]

BLOCK = 2**21  # counts made at once: 16 MiB of float64


class Interval(NamedTuple):
    """A statistic of all rows, and the ends of its confidence interval; NaN where there is none."""

    mean: float
    low: float
    high: float


def clusters_of(patients: Sequence[str]) -> NDArray[np.int64]:
    """Number of each row's cluster (N,), by first appearance: one cluster a patient, and one a row without ("")."""
    numbers: dict[tuple[str, int], int] = {}
    return np.array(
        [numbers.setdefault((patient, -1 if patient else row), len(numbers)) for row, patient in enumerate(patients)],
        dtype=np.int64,
    )


def cluster_counts(clusters: NDArray[np.int64], *, resamples: int, seed: int) -> Tensor:
    """How often each row is drawn when whole clusters are drawn with replacement, as many as there are.

    Slices of one patient are alike, so that drawing them one by one would take N slices for N independent facts and
    make intervals too narrow; whole patients are independent. A statistic with row weights w, such as a weighted mean,
    has its bootstrap replicates at w = each row of the result. The number of rows drawn varies where clusters differ in
    size, so divide by the sum of the counts, not by N.

    Args:
        clusters: cluster number of each row (N,), any integers.
        resamples: how many times to draw, R.
        seed: decides the draws, and nothing else does.

    Returns:
        Counts (R, N) float64.

    Raises:
        ValueError: when `clusters` is not a row of one or more numbers or `resamples` is not positive.

    Source: Efron and Tibshirani 1993, ch. 8; Field and Welsh 2007, "Bootstrapping clustered data" (cluster bootstrap).
    """
    numbers = _numbers(clusters)
    blocks = _drawn(int(numbers.max()) + 1, resamples=resamples, seed=seed)
    return torch.cat([block[:, torch.from_numpy(numbers)] for block in blocks])


def mean_interval(
    values: Tensor | NDArray[np.float64] | Sequence[float],
    clusters: NDArray[np.int64],
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Mean of some values and its percentile interval under the clustered bootstrap (see `cluster_counts`).

    A replicate is the mean of the rows drawn, sum(w x) / sum(w). Percentiles need no symmetry and stay where values
    can lie; with fewer than about ten clusters they are too narrow, as all bootstrap intervals are.

    Args:
        values: numbers (N,); those that are not finite are left out.
        clusters: cluster number of each value (N,), such as `clusters_of` gives.
        resamples: bootstrap replicates.
        seed: of the draws.
        level: of confidence, between 0 and 1.

    Returns:
        Mean and interval; ends NaN where finite values come from fewer than two clusters, all NaN where there is none.

    Raises:
        ValueError: when `values` and `clusters` do not match, or `resamples` or `level` is out of range.

    Source: Efron and Tibshirani 1993, ch. 13 (percentile interval).

    Example:
        >>> values, patients = [0.1, 0.2, 0.7, 0.8, 0.4, 0.5], np.array([0, 0, 1, 1, 2, 2])
        >>> found = mean_interval(values, patients)
        >>> round(found.mean, 2), 0.1 < found.low < 0.45 < found.high < 0.8
        (0.45, True)
    """
    _check(level, resamples)
    values = torch.as_tensor(values, dtype=torch.float64).cpu()
    if values.ndim != 1 or values.shape != np.shape(clusters):
        raise ValueError(
            f"values and clusters must both be (N,), got {tuple(values.shape)} and {tuple(np.shape(clusters))}"
        )
    finite = values.isfinite()
    if not finite.any():
        return Interval(math.nan, math.nan, math.nan)
    values, numbers = values[finite], torch.from_numpy(_numbers(np.asarray(clusters)[finite.numpy()]))
    centre = values.mean()
    count = int(numbers.max()) + 1
    if count < 2:
        return Interval(centre.item(), math.nan, math.nan)
    rows = torch.stack([values - centre, torch.ones_like(values)], dim=1)
    sums_and_sizes = torch.zeros(count, 2, dtype=torch.float64).index_add_(0, numbers, rows)
    drawn = torch.cat([counts @ sums_and_sizes for counts in _drawn(count, resamples=resamples, seed=seed)])
    replicates = drawn[:, 0] / drawn[:, 1]
    ends = replicates.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)) + centre
    ends.clamp_(values.min(), values.max())  # a share of 0 would end at -1e-17
    return Interval(centre.item(), ends[0].item(), ends[1].item())


def share_interval(
    values: Tensor | NDArray[np.bool_] | Sequence[bool],
    clusters: NDArray[np.int64],
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """`mean_interval` of booleans, but of a share of 0 or 1, which every resample repeats, the exact interval.

    None of C independent clusters says only that the share is below 1 - ((1 - level) / 2)^(1 / C), 3.6 % of a hundred;
    likewise all of them.

    Args, errors: see `mean_interval`.

    Source: Clopper and Pearson 1934, for no and for all successes.
    """
    shares = torch.as_tensor(values, dtype=torch.float64)
    found = mean_interval(shares, clusters, resamples=resamples, seed=seed, level=level)
    if found.mean not in (0.0, 1.0):
        return found
    reach = ((1 - level) / 2) ** (1 / len(np.unique(clusters)))
    return Interval(0.0, 0.0, 1 - reach) if found.mean == 0 else Interval(1.0, reach, 1.0)


def jackknife_interval(
    statistic: Callable[[Tensor], float],
    clusters: NDArray[np.int64],
    *,
    groups: int = 10,
    seed: int = 0,
    logarithmic: bool = False,
    level: float = 0.95,
) -> Interval:
    """Interval of a statistic whose bias depends on n, such as a Frechet distance, by leaving groups of clusters out.

    A bootstrap resample repeats images, which makes a covariance look poorer than it is and the distance larger: its
    replicates lie beside the estimate, not around it. Without a group the images stay different and the bias stays
    nearly that of all of them. Clusters are dealt to g groups; with T_(i) the statistic without group i,
    se^2 = (g - 1)/g sum (T_(i) - mean T_(i))^2, and the interval is T +- t se with Student's t of g - 1 degrees of
    freedom, since g is small. The statistic is evaluated g + 1 times only.

    Args:
        statistic: takes `keep`, bool (N,), true at the rows to use, and gives a number.
        clusters: cluster number of each row (N,).
        groups: g; with fewer clusters, one cluster a group.
        seed: deals the clusters.
        logarithmic: take the interval of log T and give its exponential: for statistics that are positive and skewed,
            so that the low end stays above 0.
        level: of confidence, between 0 and 1.

    Returns:
        The statistic of all rows and its interval; ends NaN where there are fewer than two clusters or a value
        is not finite (or not positive, where `logarithmic`).

    Raises:
        ValueError: when `clusters` is not a row of one or more numbers, `groups` is below 2 or `level` out of range.

    Source: Kott 2001, "The delete-a-group jackknife"; Efron and Tibshirani 1993, ch. 11.
    """
    _check(level, groups - 1, "groups must be 2 or more")
    numbers = _numbers(clusters)
    count = int(numbers.max()) + 1
    whole = float(statistic(torch.ones(len(numbers), dtype=torch.bool)))
    groups = min(groups, count)
    if groups < 2:
        return Interval(whole, math.nan, math.nan)
    dealt = torch.randperm(count, generator=torch.Generator().manual_seed(seed)) % groups
    group_of_row = dealt[torch.from_numpy(numbers)]
    without = np.array([float(statistic(group_of_row != group)) for group in range(groups)])
    everything = np.append(without, whole)
    if not np.isfinite(everything).all() or (logarithmic and not (everything > 0).all()):
        return Interval(whole, math.nan, math.nan)
    if logarithmic:
        without, everything = np.log(without), np.log(everything)
    error = math.sqrt((groups - 1) / groups * float(np.square(without - without.mean()).sum()))
    reach = float(student_t.ppf((1 + level) / 2, groups - 1)) * error
    low, high = float(everything[-1]) - reach, float(everything[-1]) + reach
    return Interval(whole, math.exp(low), math.exp(high)) if logarithmic else Interval(whole, low, high)


def _numbers(clusters: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same clusters numbered 0, 1, ... without gaps."""
    clusters = np.asarray(clusters)
    if clusters.ndim != 1 or not len(clusters):
        raise ValueError(f"clusters must be (N,) with N of 1 or more, got shape {clusters.shape}")
    return np.unique(clusters, return_inverse=True)[1].astype(np.int64)


def _drawn(count: int, *, resamples: int, seed: int) -> Iterator[Tensor]:
    """How often each of `count` clusters is drawn, (r, count) float64, block after block of resamples."""
    _check(0.5, resamples)
    if resamples * count <= BLOCK:
        yield _small_block(count, resamples, seed)
        return
    generator = torch.Generator().manual_seed(seed)
    most = max(1, BLOCK // count)
    for start in range(0, resamples, most):
        yield _block(count, min(most, resamples - start), generator)


@lru_cache(maxsize=4)
def _small_block(count: int, resamples: int, seed: int) -> Tensor:
    """Kept, since a table asks for the same draws for each of its methods and metrics; never changed in place."""
    return _block(count, resamples, torch.Generator().manual_seed(seed))


def _block(count: int, rows: int, generator: torch.Generator) -> Tensor:
    drawn = torch.randint(count, (rows, count), generator=generator)
    ones = torch.ones((), dtype=torch.float64).expand(rows, count)
    return torch.zeros(rows, count, dtype=torch.float64).scatter_add_(1, drawn, ones)


def _check(level: float, positive: int, message: str = "resamples must be 1 or more") -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    if positive < 1:
        raise ValueError(f"{message}, got {positive}")
