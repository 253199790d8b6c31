"""Estimates over trainings and test patients: closed forms, the coverage of a known truth, dealt groups, Holm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from monai_aggrgan.metrics.crossed import Estimate, crossed_estimate, deal_groups, holm, without_exception


def means(values: NDArray[np.float64], groups: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of each training's values (S, N): of all images, and without each group."""
    without = [values[:, groups != group].mean(axis=1) for group in range(groups.max() + 1)]
    return values.mean(axis=1), np.stack(without, axis=1)


def test_where_test_patients_change_nothing_it_is_the_t_test_over_trainings() -> None:
    whole = np.array([0.81, 0.78, 0.84, 0.80, 0.79])
    estimate = crossed_estimate(whole, np.repeat(whole[:, None], 7, axis=1))
    known = stats.ttest_1samp(whole, 0)
    interval = known.confidence_interval(0.95)
    assert estimate[:4] == pytest.approx((whole.mean(), interval.low, interval.high, known.pvalue), rel=1e-9)
    assert estimate.error == pytest.approx(stats.sem(whole)) and estimate.freedom == pytest.approx(4)


def test_where_trainings_are_alike_it_is_the_t_test_over_patients() -> None:
    """The jackknife of a mean over groups of equal size is its standard error."""
    of_patient = np.random.default_rng(0).normal(0.3, 1, 12)
    estimate = crossed_estimate(*means(np.tile(of_patient, (3, 1)), np.arange(12)), level=0.9)
    known = stats.ttest_1samp(of_patient, 0)
    interval = known.confidence_interval(0.9)
    assert estimate[:4] == pytest.approx((of_patient.mean(), interval.low, interval.high, known.pvalue), rel=1e-9)
    assert estimate.freedom == pytest.approx(11)


def test_unequal_groups_are_left_out_as_the_jackknifes_formula_has_it() -> None:
    values = np.random.default_rng(1).random(31)
    groups = np.minimum(np.arange(31) // 3, 5)
    parts = [float(values[groups != group].mean()) for group in range(6)]
    variance = 5 / 6 * sum((part - sum(parts) / 6) ** 2 for part in parts)
    estimate = crossed_estimate(*means(np.tile(values, (2, 1)), groups))
    assert estimate.error == pytest.approx(math.sqrt(variance)) and estimate.freedom == pytest.approx(5)
    assert estimate.interval == (estimate.mean, estimate.low, estimate.high)


def test_both_variances_add_up_and_freedom_is_satterthwaites() -> None:
    values = np.random.default_rng(2).normal(size=(4, 10)) + np.array([[0.0], [1], [2], [4]])
    whole, without = means(values, np.arange(10))
    first, second = whole.var(ddof=1) / 4, values.mean(axis=0).var(ddof=1) / 10
    estimate = crossed_estimate(whole, without)
    assert estimate.error**2 == pytest.approx(first + second)
    assert estimate.freedom == pytest.approx((first + second) ** 2 / (first**2 / 3 + second**2 / 9))
    reach = stats.t.ppf(0.975, estimate.freedom) * estimate.error
    assert estimate.high - estimate.mean == pytest.approx(reach) == estimate.mean - estimate.low
    assert estimate.p == pytest.approx(2 * stats.t.sf(estimate.mean / estimate.error, estimate.freedom))


def test_p_falls_below_alpha_exactly_where_the_interval_leaves_0_and_the_sign_does_not_matter() -> None:
    random = np.random.default_rng(3)
    sides = set()
    for shift in np.linspace(0, 1.5, 40):
        whole, without = means(random.normal(shift, 1, (5, 15)), np.arange(15))
        estimate, turned = crossed_estimate(whole, without), crossed_estimate(-whole, -without)
        sides.add(estimate.p < 0.05)
        assert (estimate.p < 0.05) == (estimate.low > 0 or estimate.high < 0)
        assert turned.p == pytest.approx(estimate.p) and turned.low == pytest.approx(-estimate.high)
    assert sides == {True, False}


@pytest.mark.parametrize(("of_seeds", "of_patients"), [(1.0, 2.0), (0.5, 4.0), (0.0, 3.0), (1.0, 0.0)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(of_seeds: float, of_patients: float) -> None:
    """Trainings, patients and what both share are drawn anew; ignoring either source would fail where it is large."""
    random = np.random.default_rng(4)
    seeds, patients, repeats = 5, 40, 500
    groups, held, alone = np.arange(patients) % 20, 0, 0
    for _ in range(repeats):
        values = of_seeds * random.normal(size=(seeds, 1)) + of_patients * random.normal(size=(1, patients))
        values = values + random.normal(size=(seeds, patients))
        whole, without = means(values, groups)
        estimate = crossed_estimate(whole, without)
        held += estimate.low <= 0 <= estimate.high
        alone += stats.ttest_1samp(whole, 0).pvalue >= 0.05
    assert 0.925 <= held / repeats <= 0.99
    if of_patients > 5 * of_seeds:
        assert alone / repeats < 0.85  # the t-test over trainings takes these test patients for all


def test_without_two_trainings_or_groups_or_with_a_gap_there_is_no_interval() -> None:
    whole, without = means(np.random.default_rng(5).random((3, 8)), np.arange(8))
    gap = without.copy()
    gap[1, 2] = math.nan
    for part in (crossed_estimate(whole[:1], without[:1]), crossed_estimate(whole, without[:, :1])):
        assert math.isfinite(part.mean) and all(map(math.isnan, part[1:]))
    assert crossed_estimate(whole, without[:, :0]).mean == pytest.approx(whole.mean())
    missing = crossed_estimate(whole, gap)
    assert missing.mean == pytest.approx(whole.mean()) and all(map(math.isnan, missing[1:]))
    assert all(map(math.isnan, crossed_estimate(np.array([0.5, math.nan]), without[:2])))


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.1, math.nan)])
def test_where_nothing_varies_only_equality_can_be_told(value: float, p: float) -> None:
    estimate = crossed_estimate(np.full(3, value), np.full((3, 9), value))
    assert estimate.mean == pytest.approx(value) and estimate.error == 0
    assert estimate.p == pytest.approx(p, nan_ok=True)
    assert math.isnan(estimate.low) and math.isnan(estimate.high)


@pytest.mark.parametrize(
    ("whole", "without", "level", "message"),
    [
        (np.zeros(2), np.zeros((3, 4)), 0.95, r"\(S,\) and without \(S, G\), got \(2,\) and \(3, 4\)"),
        (np.zeros((2, 1)), np.zeros((2, 4)), 0.95, r"got \(2, 1\)"),
        (np.zeros(2), np.zeros(2), 0.95, r"and \(2,\)"),
        (np.zeros(0), np.zeros((0, 3)), 0.95, r"got \(0,\)"),
        (np.zeros(2), np.zeros((2, 3)), 95, "between 0 and 1, got 95"),
    ],
)
def test_what_does_not_fit_is_refused(whole, without, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        crossed_estimate(whole, without, level=level)


def test_whole_clusters_are_dealt_evenly_within_each_class() -> None:
    clusters = np.repeat(np.arange(90) * 7, 3)
    labels = np.repeat(np.arange(90) % 3, 3)
    groups = deal_groups(clusters, labels, groups=10)
    assert groups.dtype == np.int64 and {*groups.tolist()} == {*range(10)}
    assert all(len({*groups[clusters == cluster].tolist()}) == 1 for cluster in clusters)
    for label in range(3):
        assert np.bincount(groups[labels == label]).tolist() == [9] * 10  # 3 clusters of 3 images


def test_the_seed_alone_shuffles_and_few_clusters_are_a_group_each() -> None:
    clusters, labels = np.arange(60), np.arange(60) % 2
    assert deal_groups(clusters, labels, seed=1).tolist() == deal_groups(clusters, labels, seed=1).tolist()
    assert deal_groups(clusters, labels, seed=1).tolist() != deal_groups(clusters, labels, seed=2).tolist()
    assert deal_groups(clusters, labels).max() == 19
    assert sorted(deal_groups(np.arange(6), np.zeros(6, dtype=np.int64)).tolist()) == [*range(6)]
    assert deal_groups(np.zeros(4), np.array([0, 0, 1, 1])).tolist() == [0] * 4
    assert deal_groups(np.arange(4), np.array([0, 0, 1, 1]), groups=1).tolist() == [0] * 4


def test_no_class_loses_all_its_images_with_a_group_where_it_need_not() -> None:
    """The second class has images in two clusters alone, both of which hold images of the first."""
    clusters = np.concatenate([np.arange(30), [3, 17, 8]])
    labels = np.array([0] * 30 + [1, 1, 2])
    for seed in range(100):
        groups = deal_groups(clusters, labels, seed=seed)
        assert groups[30] != groups[31]
        assert [groups[30], groups[31], groups[32]] == [groups[3], groups[17], groups[8]]


@pytest.mark.parametrize(
    ("clusters", "labels", "groups"), [([0, 1], [0], 20), ([], [], 20), ([[0]], [[0]], 20), ([0], [0], 0)]
)
def test_images_without_labels_or_groups_are_refused(clusters, labels, groups: int) -> None:
    with pytest.raises(ValueError, match=r"must both be \(N,\), N and groups at least 1"):
        deal_groups(np.array(clusters), np.array(labels), groups=groups)


def rejected_by_holm(p_values: list[float], alpha: float) -> set[int]:
    """Step down through the sorted p-values, as Holm 1979 has it: stop at the first that is not small enough."""
    order, found = sorted(range(len(p_values)), key=p_values.__getitem__), set()
    for rank, place in enumerate(order):
        if p_values[place] >= alpha / (len(p_values) - rank):
            break
        found.add(place)
    return found


def test_holm_rejects_what_the_step_down_test_rejects() -> None:
    random = np.random.default_rng(6)
    numbers = set()
    for _ in range(60):
        p_values = (random.random(7) ** 3).tolist()
        adjusted = holm(p_values)
        for alpha in (0.01, 0.05, 0.2, 0.5):
            rejected = rejected_by_holm(p_values, alpha)
            numbers.add(len(rejected))
            assert {place for place, p in enumerate(adjusted) if p < alpha} == rejected
        order = np.argsort(p_values)
        assert (np.diff(np.array(adjusted)[order]) >= 0).all() and max(adjusted) <= 1
    assert numbers >= {0, 1, 2, 3, 4}


def test_holm_by_hand_with_a_gap() -> None:
    assert holm([0.01, math.nan, 0.04, 0.03]) == pytest.approx([0.03, math.nan, 0.06, 0.06], nan_ok=True)
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == [] and holm([0.2]) == [0.2]


@pytest.mark.parametrize("clusters", [1, 4, 40])
def test_what_was_right_without_exception_has_clopper_and_pearsons_interval(clusters: int) -> None:
    same = np.full((3, 9), 1.0)
    all_right, none = crossed_estimate(same[:, 0], same), crossed_estimate(0 * same[:, 0], 0 * same)
    for estimate, right in ((all_right, clusters), (none, 0)):
        known = stats.binomtest(right, clusters).proportion_ci(0.95, method="exact")
        found = without_exception(estimate, clusters)
        assert found.interval == pytest.approx((right / clusters, known.low, known.high))
        assert found.p is estimate.p and found.error == 0


def test_what_varies_or_lies_between_keeps_its_interval() -> None:
    half = np.full((3, 9), 0.5)
    varied = Estimate(1.0, 0.9, 1.1, 0.01, 0.05, 4.0)
    assert without_exception(varied, 7) is varied
    assert math.isnan(without_exception(crossed_estimate(half[:, 0], half), 7).low)
    with pytest.raises(ValueError, match="clusters must be at least 1, got 0"):
        without_exception(varied, 0)
