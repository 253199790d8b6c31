"""Clusters, draws, intervals: against SciPy, closed forms, and the coverage of a truth that is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import bootstrap
from scipy.stats import t as student_t

from monai_aggrgan.metrics import resampling
from monai_aggrgan.metrics.resampling import (
    cluster_counts,
    clusters_of,
    jackknife_interval,
    mean_interval,
    share_interval,
)


def test_a_patient_is_a_cluster_and_so_is_each_row_without_one() -> None:
    assert clusters_of(["b", "", "a", "b", "", "a"]).tolist() == [0, 1, 2, 0, 3, 2]
    assert clusters_of([]).tolist() == []
    assert clusters_of([""] * 3).dtype == np.int64


def test_whole_clusters_are_drawn_as_many_as_there_are() -> None:
    clusters = np.array([7, 7, 2, -4, 7, 2])
    counts = cluster_counts(clusters, resamples=500, seed=0)
    assert counts.shape == (500, 6) and counts.dtype == torch.float64
    seven, two, minus = counts[:, 0], counts[:, 2], counts[:, 3]
    assert torch.equal(counts, torch.stack([seven, seven, two, minus, seven, two], dim=1))
    assert torch.equal(seven + two + minus, torch.full((500,), 3.0, dtype=torch.float64))
    assert counts.mean(0).tolist() == pytest.approx([1] * 6, abs=0.12)  # each cluster once on average
    assert seven.var().item() == pytest.approx(2 / 3, abs=0.12)  # binomial(3, 1/3)


def test_the_seed_alone_decides_the_draws_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters, values = np.arange(50) // 2, torch.linspace(0, 1, 50) ** 3
    torch.manual_seed(1)
    whole, interval = cluster_counts(clusters, resamples=40, seed=3), mean_interval(values, clusters, seed=3)
    monkeypatch.setattr(resampling, "BLOCK", 25 * 7)
    torch.manual_seed(2)
    assert torch.equal(whole, cluster_counts(clusters, resamples=40, seed=3))
    assert interval == pytest.approx(mean_interval(values, clusters, seed=3), abs=1e-12)
    assert not torch.equal(whole, cluster_counts(clusters, resamples=40, seed=4))


def test_the_interval_is_that_of_the_counts() -> None:
    """The shortcut over cluster sums equals the (R, N) @ (N,) products of the definition."""
    random = np.random.default_rng(0)
    clusters, values = random.integers(0, 9, 60), random.gamma(2, 1, 60)
    counts = cluster_counts(clusters, resamples=300, seed=5).numpy()
    replicates = counts @ values / counts.sum(axis=1)
    low, high = np.percentile(replicates, [5, 95])
    interval = mean_interval(values, clusters, resamples=300, seed=5, level=0.9)
    assert interval == pytest.approx((values.mean(), low, high), abs=1e-12)


def test_without_clusters_it_is_scipys_bootstrap() -> None:
    values = np.random.default_rng(3).gamma(2, 7, 80)
    interval = mean_interval(values, clusters_of([""] * 80), resamples=20000)
    theirs = bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=1).confidence_interval
    assert interval == pytest.approx((values.mean(), theirs.low, theirs.high), abs=0.05)  # reach is about 2


def test_clusters_cover_the_truth_and_rows_taken_one_by_one_do_not() -> None:
    """40 patients of 5 alike slices: the truth 0 lies in about 95 % of clustered intervals, far less of the others."""
    random = np.random.default_rng(5)
    clusters, rows = np.repeat(np.arange(40), 5), np.arange(200)
    covered = {"clustered": 0, "by row": 0}
    for _ in range(1000):
        values = np.repeat(random.normal(size=40), 5) + 0.3 * random.normal(size=200)
        for name, of in (("clustered", clusters), ("by row", rows)):
            interval = mean_interval(values, of, resamples=400)
            covered[name] += interval.low <= 0 <= interval.high
    assert 0.92 <= covered["clustered"] / 1000 <= 0.96
    assert covered["by row"] / 1000 < 0.75


def test_values_that_are_not_finite_are_left_out_with_their_clusters() -> None:
    values = [0.1, math.nan, 0.5, math.inf, -math.inf, 0.9]
    clusters = np.array([0, 0, 1, 2, 3, 4])
    assert mean_interval(values, clusters) == mean_interval([0.1, 0.5, 0.9], np.array([0, 1, 2]))


def test_one_cluster_or_no_value_has_no_interval() -> None:
    mean, low, high = mean_interval([1.0, 2.0], np.array([5, 5]))
    assert mean == 1.5 and math.isnan(low) and math.isnan(high)
    assert all(math.isnan(number) for number in mean_interval([math.nan, math.inf], np.array([0, 1])))


def test_a_constant_is_its_own_interval() -> None:
    value = 0.1 + 0.2
    assert mean_interval([value] * 30, np.arange(30) // 3) == pytest.approx((value, value, value), abs=1e-15)


def test_jackknife_of_a_mean_has_its_closed_form() -> None:
    """One row a group: se is the standard error of the mean, s / sqrt(n)."""
    values = np.random.default_rng(0).normal(3, 2, 12)
    interval = jackknife_interval(lambda keep: values[keep.numpy()].mean(), np.arange(12), groups=12)
    reach = student_t.ppf(0.975, 11) * values.std(ddof=1) / math.sqrt(12)
    assert interval == pytest.approx((values.mean(), values.mean() - reach, values.mean() + reach), abs=1e-12)


def test_jackknife_leaves_whole_groups_of_clusters_out_each_once() -> None:
    clusters = np.repeat(np.arange(23), [1, 4] * 11 + [2])
    kept: list[torch.Tensor] = []

    def statistic(keep: torch.Tensor) -> float:
        kept.append(keep)
        return float(keep.sum())

    jackknife_interval(statistic, clusters, groups=5, seed=1)
    assert len(kept) == 6 and kept[0].all()
    left_out = ~torch.stack(kept[1:])
    assert torch.equal(left_out.sum(0), torch.ones(len(clusters), dtype=torch.int64))
    for rows in left_out:
        mine = clusters[rows.numpy()]
        assert len(set(mine)) in (4, 5) and np.isin(clusters, mine).sum() == len(mine)
    first = [keep.tolist() for keep in kept]
    kept.clear()
    jackknife_interval(statistic, clusters, groups=5, seed=2)
    assert [keep.tolist() for keep in kept] != first


def test_logarithmic_jackknife_is_that_of_the_logarithm() -> None:
    values = np.random.default_rng(1).gamma(0.1, 1, 40)
    clusters = np.arange(40) // 2

    def mean(keep: torch.Tensor) -> float:
        return float(values[keep.numpy()].mean())

    plain = jackknife_interval(lambda keep: math.log(mean(keep)), clusters, groups=4)
    logarithmic = jackknife_interval(mean, clusters, groups=4, logarithmic=True)
    assert logarithmic == pytest.approx([math.exp(number) for number in plain])
    assert logarithmic.low > 0 > jackknife_interval(mean, clusters, groups=4).low


def test_jackknife_covers_a_biased_statistic_that_the_bootstrap_misses() -> None:
    """The smallest eigenvalue of a covariance falls when rows repeat; the jackknife's interval lies at the estimate."""
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 20)))

    def smallest(weights: torch.Tensor) -> float:
        return torch.linalg.eigvalsh(torch.cov(rows.T, fweights=weights.long()))[0].item()

    estimate = smallest(torch.ones(60))
    replicates = [smallest(count) for count in cluster_counts(np.arange(60), resamples=200, seed=0)]
    assert np.percentile(replicates, 97.5) < estimate
    low, high = jackknife_interval(smallest, np.arange(60), logarithmic=True)[1:]
    assert low < estimate < high


def test_jackknife_without_an_interval() -> None:
    one = jackknife_interval(lambda keep: float(keep.sum()), np.zeros(4, dtype=int))
    assert one.mean == 4 and math.isnan(one.low) and math.isnan(one.high)
    negative = jackknife_interval(lambda keep: float(keep.sum()) - 4, np.arange(5), logarithmic=True)
    assert negative.mean == 1 and math.isnan(negative.low)
    assert math.isnan(jackknife_interval(lambda keep: math.nan, np.arange(5)).high)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"both be \(N,\), got \(3,\) and \(2,\)"):
        mean_interval([1.0, 2.0, 3.0], np.arange(2))
    with pytest.raises(ValueError, match="level must lie between 0 and 1, got 95"):
        mean_interval([1.0, 2.0], np.arange(2), level=95)
    with pytest.raises(ValueError, match="resamples must be 1 or more, got 0"):
        cluster_counts(np.arange(2), resamples=0, seed=0)
    with pytest.raises(ValueError, match=r"N of 1 or more, got shape \(0,\)"):
        cluster_counts(np.arange(0), resamples=5, seed=0)
    with pytest.raises(ValueError, match="groups must be 2 or more, got"):
        jackknife_interval(lambda keep: 0.0, np.arange(3), groups=1)


def test_none_or_all_of_a_few_clusters_is_no_certainty() -> None:
    clusters = np.repeat(np.arange(10), 3)
    exact = 0.025 ** (1 / 10)  # binomial: none of ten is that likely at a share of 1 - exact
    assert share_interval(torch.zeros(30, dtype=torch.bool), clusters) == (0, 0, pytest.approx(1 - exact))
    assert share_interval(torch.ones(30, dtype=torch.bool), clusters) == (1, pytest.approx(exact), 1)
    assert (1 - (1 - exact)) ** 10 == pytest.approx(0.025)
    some = torch.arange(30) < 12
    assert share_interval(some, clusters, seed=3) == mean_interval(some.double(), clusters, seed=3)
    assert math.isnan(share_interval(torch.zeros(0, dtype=torch.bool), np.zeros(0, dtype=np.int64)).mean)
