from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score
from torch import Tensor

from monai_aggrgan.metrics import membership
from monai_aggrgan.metrics.membership import DistanceRatioTest, distance_ratio_test, membership_auc


def noise(count: int, size: int = 8, *, seed: int) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed)).double()


def patients(count: int, *, slices: int = 4, seed: int) -> tuple[Tensor, list[str]]:
    rows = noise(count, seed=seed).repeat_interleave(slices, dim=0) + 0.5 * noise(count * slices, seed=seed + 1000)
    return rows, [f"p-{row // slices}" for row in range(count * slices)]


def ratio_test(judged: Tensor, training: Tensor, held_out: Tensor, names: list[str], **options) -> DistanceRatioTest:
    return distance_ratio_test(
        torch.cdist(judged, training),
        torch.cdist(judged, held_out),
        training_patients=names[: len(training)],
        held_out_patients=names[len(training) :],
        **options,
    )


def test_the_mean_is_that_of_the_formula_at_equal_numbers():
    judged, training, held_out = noise(20, seed=0), noise(30, seed=1), noise(30, seed=2)
    expected = [
        math.log(min(torch.dist(row, other).item() for other in training))
        - math.log(min(torch.dist(row, other).item() for other in held_out))
        for row in judged
    ]
    found = ratio_test(judged, training, held_out, [""] * 60)
    np.testing.assert_allclose(found.log_ratios, expected, rtol=1e-9)
    assert found.size == 30 and found.mean == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("first", [1, 3, 32])
def test_permutations_are_those_written_literally(monkeypatch, first):
    """However few of the nearest are looked at first."""
    monkeypatch.setattr(membership, "FIRST", first + 1)
    judged, reals = noise(10, seed=0), noise(14, seed=1)
    ascending, order = torch.cdist(judged, reals).log().sort(dim=1)
    sides = torch.stack([torch.randperm(14, generator=torch.Generator().manual_seed(s)) < 7 for s in range(20)])
    found = membership._log_ratios(ascending, order, sides)
    for row, side in zip(found, sides, strict=True):
        distances = torch.cdist(judged, reals)
        literal = distances[:, side].amin(dim=1).log() - distances[:, ~side].amin(dim=1).log()
        np.testing.assert_allclose(row, literal, rtol=1e-9)


def test_p_is_uniform_when_patients_are_exchangeable():
    found = []
    for seed in range(60):
        reals, names = patients(60, seed=seed)
        found.append(
            ratio_test(noise(40, seed=seed + 500), reals[:160], reals[160:], names, permutations=99, seed=seed)
        )
    assert all(test.size == 80 for test in found)
    assert kstest([test.p for test in found], "uniform").pvalue > 0.01
    assert abs(np.mean([test.mean for test in found])) < 0.03


def test_slices_of_a_patient_taken_for_patients_make_p_too_small_or_too_large():
    """That is why the permutation is of patients."""

    def spread(named: bool) -> float:
        found = []
        for seed in range(30):
            reals, names = patients(20, slices=10, seed=seed)
            judged = noise(40, seed=seed + 500)
            names = names if named else [""] * len(names)
            found.append(ratio_test(judged, reals[:100], reals[100:], names, permutations=99, seed=seed).p)
        return float(np.mean([p <= 0.1 or p >= 0.9 for p in found]))

    assert spread(named=True) < 0.4 < spread(named=False)


def test_copies_have_the_smallest_p():
    reals, names = patients(60, seed=0)
    copies = reals[:80] + 0.1 * noise(80, seed=3)
    found = ratio_test(copies, reals[:160], reals[160:], names, permutations=199)
    assert found.p == 1 / 200 and found.mean < -0.3
    exact = ratio_test(reals[:160], reals[:160], reals[160:], names, permutations=199)
    assert exact.p == 1 / 200 and math.isfinite(exact.mean)
    away = ratio_test(reals[160:], reals[:160], reals[160:], names, permutations=199)
    assert away.p == 1


def test_a_seed_decides_the_lots():
    reals, names = patients(30, seed=0)
    tests = [ratio_test(noise(20, seed=9), reals[:80], reals[80:], names, seed=seed) for seed in (1, 1, 2)]
    assert tests[0].p == tests[1].p
    assert tests[0].mean != tests[2].mean


@pytest.mark.parametrize("steps", [5, 10_000])
def test_the_area_is_scikit_learns_with_and_without_ties(steps):
    training, held_out = (
        ((noise(n, 1, seed=n)[:, 0].abs() + extra) * steps).round() for n, extra in ((50, 0), (30, 0.2))
    )
    found = membership_auc(training, held_out, training_patients=[""] * 50, held_out_patients=[""] * 30)
    labels, scores = [1] * 50 + [0] * 30, -torch.cat([training, held_out])
    assert found.mean == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found.low < found.mean < found.high


def test_the_area_with_weights_is_scikit_learns():
    training, held_out = noise(20, 1, seed=0)[:, 0].round(decimals=1), noise(15, 1, seed=1)[:, 0].round(decimals=1)
    weights = [torch.randint(0, 4, (3, n), generator=torch.Generator().manual_seed(n)).double() for n in (20, 15)]
    _, place = torch.cat([training, held_out]).unique(return_inverse=True)
    found = membership._area(*weights, place[:20], place[20:])
    labels, scores = [1] * 20 + [0] * 15, -torch.cat([training, held_out])
    expected = [roc_auc_score(labels, scores, sample_weight=torch.cat(pair)) for pair in zip(*weights, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_interval_covers_one_half_as_often_as_it_should_and_is_wider_for_patients():
    covered, widths = 0, []
    for seed in range(100):
        values, names = patients(30, slices=6, seed=seed)
        sides = values[:90, 0], values[90:, 0]
        found = membership_auc(
            *sides, training_patients=names[:90], held_out_patients=names[90:], resamples=200, seed=seed
        )
        alone = membership_auc(*sides, training_patients=[""] * 90, held_out_patients=[""] * 90, resamples=200)
        covered += found.low <= 0.5 <= found.high
        widths.append((found.high - found.low) / (alone.high - alone.low))
    assert covered >= 84
    assert np.mean(widths) > 1.5


def test_there_is_no_interval_of_one_patient():
    found = membership_auc(
        noise(5, 1, seed=0)[:, 0], noise(4, 1, seed=1)[:, 0], training_patients=["a"] * 5, held_out_patients=[""] * 4
    )
    assert math.isfinite(found.mean) and math.isnan(found.low) and math.isnan(found.high)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"must be \(N, T\) and \(N, H\), got"):
        distance_ratio_test(noise(3, seed=0), noise(4, seed=0), training_patients=[""] * 8, held_out_patients=[""] * 8)
    with pytest.raises(ValueError, match="a patient for each column, got 8 and 7"):
        distance_ratio_test(noise(3, seed=0), noise(3, seed=0), training_patients=[""] * 8, held_out_patients=[""] * 7)
    with pytest.raises(ValueError, match="permutations must be at least 1, got 0"):
        ratio_test(noise(3, seed=0), noise(4, seed=1), noise(4, seed=2), [""] * 8, permutations=0)
    with pytest.raises(ValueError, match="one distance for each patient"):
        membership_auc(torch.rand(3), torch.rand(0), training_patients=[""] * 3, held_out_patients=[])
