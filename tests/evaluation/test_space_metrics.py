from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from monai_aggrgan.evaluation.space_metrics import RESAMPLES, FeatureSet, SpaceMetrics
from monai_aggrgan.metrics.fidelity import (
    density_coverage,
    frechet_distance,
    kernel_distance,
    kernel_terms,
    precision_recall,
)
from monai_aggrgan.metrics.resampling import Interval, cluster_counts, clusters_of, jackknife_interval
from monai_aggrgan.metrics.whitening import Whitening
from monai_aggrgan.networks.feature_space import FeatureSpace, Whitened


def features(count: int, size: int = 5, *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=torch.Generator().manual_seed(99)) * torch.logspace(0, -1, size)
    return torch.randn(count, size, generator=generator) @ mixing


def feature_set(count: int, *, seed: int, slices: int = 1) -> FeatureSet:
    return FeatureSet(features(count, seed=seed), [f"p{seed}-{index // slices}" for index in range(count)])


TRAINING, REAL, HELD_OUT = features(80, seed=0), feature_set(40, seed=1, slices=2), feature_set(30, seed=2, slices=3)
SPREAD = torch.tensor([0.1] * 30 + [2.0] * 10)[:, None]
JUDGED = FeatureSet(SPREAD * features(40, seed=3), [""] * 40)  # most images are alike, some are odd


def measured(whitening: Whitened = "distances", judged: FeatureSet = JUDGED) -> dict[str, Interval]:
    space = FeatureSpace("x", "mine", lambda images: images, whitening=whitening)
    found = SpaceMetrics(space, training=TRAINING, real=REAL, held_out=HELD_OUT, seed=7)(judged)
    return {metric: interval for metric, interval, _ in found}


@pytest.mark.parametrize(("whitening", "far", "near"), [("distances", 1, 0), ("everything", 1, 1), ("nothing", 0, 0)])
def test_metrics_are_taken_on_whitened_features_or_plain_ones(whitening, far, near):
    whiten = Whitening(TRAINING)
    views = [[rows.double() for rows in (JUDGED.features, REAL.features, HELD_OUT.features)]]
    views.append([whiten(rows) for rows in views[0]])
    (ours, real, references), (near_ours, _, near_references) = views[far], views[near]
    precision, recall = precision_recall(near_ours, near_references)
    density, coverage = density_coverage(near_ours, near_references)
    held_out = torch.from_numpy(clusters_of(HELD_OUT.patients))
    expected = {
        "kid": kernel_terms(ours, references).distance(reference_clusters=held_out),
        "frechet": frechet_distance(ours, references),
        "frechet_ratio": frechet_distance(ours, references) / frechet_distance(real, references),
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
    }
    found = measured(whitening)
    assert list(found) == list(expected)
    for metric, number in expected.items():
        assert found[metric].mean == pytest.approx(number.item(), rel=1e-9), metric
        if metric != "frechet":
            assert found[metric].low < found[metric].mean < found[metric].high, metric


def test_what_metrics_were_taken_on_is_told():
    for whitening, told in (("distances", (1, 0)), ("everything", (1, 1)), ("nothing", (0, 0))):
        space = FeatureSpace("x", "mine", lambda images: images, whitening=whitening)
        metrics = SpaceMetrics(space, training=TRAINING, real=REAL, held_out=HELD_OUT)
        words = {metric: extractor for metric, _, extractor in metrics(JUDGED)}
        phrases = "mine", "mine, whitened to 5 components of 80 training images"
        assert (words["kid"], words["density"]) == tuple(phrases[index] for index in told)


def test_the_interval_of_kid_are_percentiles_of_resamples_by_patient():
    judged = FeatureSet(features(12, seed=3), [f"q{index // 2}" for index in range(12)])
    clusters = clusters_of(judged.patients), clusters_of(HELD_OUT.patients)
    first, second = (cluster_counts(clusters[i], resamples=RESAMPLES, seed=7 + i) for i in (0, 1))
    ours, others = (torch.from_numpy(of) for of in clusters)
    terms = kernel_terms(judged.features, HELD_OUT.features)
    resampled = terms.distances(first, second, judged_clusters=ours, reference_clusters=others)
    expected = np.quantile(resampled.numpy(), [0.025, 0.975])
    assert measured("nothing", judged)["kid"][1:] == pytest.approx(tuple(expected), rel=1e-9)


def test_the_interval_of_the_ratio_is_the_jackknife_of_all_three_sets():
    found = measured("nothing")["frechet_ratio"]
    everything = torch.cat([JUDGED.features, REAL.features, HELD_OUT.features]).double()
    clusters = clusters_of([*JUDGED.patients, *REAL.patients, *HELD_OUT.patients])

    def ratio(keep: Tensor) -> float:
        ours, real, references = (
            everything[start:end][keep[start:end]] for start, end in ((0, 40), (40, 80), (80, 110))
        )
        return float(frechet_distance(ours, references) / frechet_distance(real, references))

    assert found == pytest.approx(jackknife_interval(ratio, clusters, seed=7, logarithmic=True), rel=1e-9)


@pytest.mark.parametrize(("shift", "slices"), [(0.0, 1), (0.5, 1), (0.0, 5), (0.5, 5)])
def test_intervals_of_kid_hold_the_truth_as_often_as_they_say(shift, slices):
    """Sets of one distribution but for a shift; the slices of a patient are alike. The truth comes from many."""
    space = FeatureSpace("x", "mine", lambda images: images, whitening="nothing")

    def draw(count: int, *, seed: int, shift: float = 0.0) -> FeatureSet:
        generator = torch.Generator().manual_seed(seed)
        patients, own = torch.randn(count, 3, generator=generator), torch.randn(count * slices, 3, generator=generator)
        drawn = 0.9 * patients.repeat_interleave(slices, dim=0) + (1 - 0.81) ** 0.5 * own + shift
        return FeatureSet(drawn, [f"{seed}-{index // slices}" for index in range(count * slices)])

    truth = 0.0
    if shift:
        x, y = torch.randn(2, 3000, 3, generator=torch.Generator().manual_seed(1))
        truth = float(kernel_distance(x + shift, y))
    held = []
    for seed in range(60):
        real, ours, references = (draw(40, seed=1000 * k + seed, shift=shift * (k == 1)) for k in (0, 1, 2))
        metrics = SpaceMetrics(space, training=real.features, real=real, held_out=references)
        interval = metrics(ours)[0][1]
        held.append(interval.low <= truth <= interval.high)
    assert np.mean(held) >= 0.85, np.mean(held)


def test_the_real_row_is_the_unit_of_the_ratio():
    found = measured(judged=REAL)["frechet_ratio"]
    assert found.mean == 1 and math.isnan(found.low) and math.isnan(found.high)


def test_one_patient_alone_has_values_without_intervals():
    found = measured(judged=JUDGED._replace(patients=["Roe"] * 40))
    for metric in ("kid", "precision", "density"):
        assert not math.isnan(found[metric].mean) and math.isnan(found[metric].low), metric
    assert not math.isnan(found["coverage"].low)  # the references are of ten patients


def test_half_precision_features_and_single_ones_give_the_same():
    half = JUDGED._replace(features=JUDGED.features.half())
    single = JUDGED._replace(features=JUDGED.features.half().float())
    assert measured(judged=half) == measured(judged=single)
