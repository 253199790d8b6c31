from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor, decollate_batch
from monai.handlers import IgniteMetricHandler
from monai.metrics import CumulativeIterationMetric
from torch import Tensor, nn

from monai_aggrgan.metrics import (
    CoverageMetric,
    DensityMetric,
    FrechetDistanceMetric,
    KernelDistanceMetric,
    PrecisionMetric,
    RecallMetric,
    density_coverage,
    frechet_distance,
    kernel_distance,
    precision_recall,
)

FUNCTIONS = {
    KernelDistanceMetric: kernel_distance,
    FrechetDistanceMetric: frechet_distance,
    PrecisionMetric: lambda x, y: precision_recall(x, y)[0],
    RecallMetric: lambda x, y: precision_recall(x, y)[1],
    DensityMetric: lambda x, y: density_coverage(x, y)[0],
    CoverageMetric: lambda x, y: density_coverage(x, y)[1],
}


def _images(count: int, seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.rand(count, 1, 2, 3, generator=torch.Generator().manual_seed(seed))


JUDGED, REFERENCE = _images(24, 0, 0.6), _images(24, 1)


@pytest.mark.parametrize("metric", FUNCTIONS)
@pytest.mark.parametrize("batch_size", [24, 7, 1])
def test_equals_the_function_of_all_images_whatever_the_batches(metric, batch_size):
    ours = metric(nn.Flatten())
    for judged, reference in zip(JUDGED.split(batch_size), REFERENCE.split(batch_size), strict=True):
        ours(judged, reference)
    expected = FUNCTIONS[metric](JUDGED.flatten(1), REFERENCE.flatten(1))
    torch.testing.assert_close(ours.aggregate(), expected, rtol=0, atol=0)
    assert expected.ndim == 0
    assert expected != FUNCTIONS[metric](REFERENCE.flatten(1), REFERENCE.flatten(1))


def test_judged_images_and_references_are_told_apart():
    few, many = JUDGED[:8].flatten(1), torch.cat([JUDGED, JUDGED + 5]).flatten(1)
    precise, recalled = PrecisionMetric(), RecallMetric()
    for metric in (precise, recalled):
        metric(few, many)
    assert (precise.aggregate(), recalled.aggregate()) == precision_recall(few, many)
    assert precise.aggregate() == 1 > recalled.aggregate()


@pytest.mark.parametrize(
    ("metric", "options", "expected"),
    [
        (KernelDistanceMetric, {"degree": 2}, lambda x, y: kernel_distance(x, y, degree=2)),
        (PrecisionMetric, {"neighbours": 1}, lambda x, y: precision_recall(x, y, neighbours=1)[0]),
        (RecallMetric, {"neighbours": 1}, lambda x, y: precision_recall(x, y, neighbours=1)[1]),
        (DensityMetric, {"neighbours": 2}, lambda x, y: density_coverage(x, y, neighbours=2)[0]),
        (CoverageMetric, {"neighbours": 1}, lambda x, y: density_coverage(x, y, neighbours=1)[1]),
    ],
)
def test_options_reach_the_function(metric, options, expected):
    x, y = JUDGED.flatten(1), REFERENCE.flatten(1)
    ours = metric(**options)
    ours(x, y)
    assert ours.aggregate() == expected(x, y)
    assert ours.aggregate() != FUNCTIONS[metric](x, y)


def test_a_reset_begins_anew():
    metric = KernelDistanceMetric(nn.Flatten())
    metric(JUDGED + 3, REFERENCE)
    metric.reset()
    metric(JUDGED, REFERENCE)
    assert metric.aggregate() == kernel_distance(JUDGED.flatten(1), REFERENCE.flatten(1))


def test_a_list_is_one_batch_for_the_extractor():
    seen: list[Any] = []

    def features(images: Tensor) -> Tensor:
        seen.append((type(images), tuple(images.shape), torch.is_grad_enabled()))
        return images.flatten(1)

    metric = KernelDistanceMetric(features)
    assert isinstance(metric, CumulativeIterationMetric)
    judged, reference = metric(decollate_batch(MetaTensor(JUDGED)), decollate_batch(REFERENCE))
    assert seen == [(Tensor, (24, 1, 2, 3), False)] * 2
    assert torch.equal(judged, JUDGED.flatten(1))
    assert torch.equal(reference, REFERENCE.flatten(1))
    assert metric.aggregate() == kernel_distance(JUDGED.flatten(1), REFERENCE.flatten(1))


def test_two_sets_need_not_be_of_one_size():
    metric = KernelDistanceMetric(nn.Flatten())
    metric(JUDGED[:5], REFERENCE)
    assert metric.aggregate() == kernel_distance(JUDGED[:5].flatten(1), REFERENCE.flatten(1))


@pytest.mark.parametrize("metric", FUNCTIONS)
def test_a_number_an_epoch_in_an_ignite_engine(metric):
    engine = Engine(lambda engine, batch: batch)
    IgniteMetricHandler(metric_fn=metric(nn.Flatten())).attach(engine, "ours")
    batches = [(JUDGED[:20], REFERENCE[:20]), (JUDGED[20:], REFERENCE[20:])]
    expected = FUNCTIONS[metric](JUDGED.flatten(1), REFERENCE.flatten(1)).item()
    for _ in range(2):  # an epoch does not see the last one's images
        assert engine.run(batches).metrics["ours"] == expected


def test_what_cannot_be_compared_is_refused():
    metric = KernelDistanceMetric()
    with pytest.raises(ValueError, match=r"no images to compare: call the metric"):
        metric.aggregate()
    with pytest.raises(ValueError, match=r"must be \(24, D\), got \(24, 1, 2, 3\); images need an extractor"):
        metric(JUDGED, REFERENCE)
    with pytest.raises(ValueError, match=r"got no references"):
        metric(JUDGED.flatten(1))
    with pytest.raises(ValueError, match=r"got no references"):
        metric([*JUDGED.flatten(1)])
    metric(JUDGED[:1].flatten(1), REFERENCE.flatten(1))
    with pytest.raises(ValueError, match=r"N at least \[2, 2\], got \[\(1, 6\)"):
        metric.aggregate()
