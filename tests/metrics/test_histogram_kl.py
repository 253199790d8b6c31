from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.handlers import IgniteMetricHandler
from scipy.stats import entropy

from monai_aggrgan.metrics.histogram_kl import HistogramKLMetric, histogram_kl_divergence


def _images(seed: int, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 16, 24, generator=torch.Generator().manual_seed(seed)).square()


def test_equals_numpy_histograms_and_scipy_entropy():
    judged, reference = _images(0), _images(1)
    expected = []
    for pair in zip(judged, reference, strict=True):
        p, q = (np.bincount(np.round(x.numpy() * 255).astype(int).ravel(), minlength=256) for x in pair)
        expected.append(entropy(p / p.sum() + 1e-8, q / q.sum() + 1e-8))
    assert histogram_kl_divergence(judged, reference).tolist() == pytest.approx(expected, rel=1e-5)


def test_judged_is_p_and_reference_is_q():
    black = torch.zeros(1, 1, 2, 2)
    half = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])
    assert histogram_kl_divergence(black, half).item() == pytest.approx(math.log(2), abs=1e-5)
    assert histogram_kl_divergence(half, black).item() == pytest.approx(
        math.log(0.5) / 2 + math.log(0.5e8) / 2, abs=1e-4
    )


def test_equal_histograms_give_zero_wherever_the_pixels_are():
    images = _images(0)
    assert histogram_kl_divergence(images, images.flip(-1)).tolist() == [0, 0, 0]


def test_never_negative_where_rounding_would_make_it_so():
    judged, reference = torch.zeros(1, 1, 128, 128), torch.zeros(1, 1, 128, 128)
    judged.view(-1)[:8121] = 1
    reference.view(-1)[:8122] = 1
    assert 0 <= histogram_kl_divergence(judged, reference).item() < 1e-7


def test_values_outside_the_range_are_clipped():
    judged, reference = _images(0), _images(1)
    wild = torch.where(judged > 0.9, 1.7, torch.where(judged < 0.1, -0.4, judged))
    tame = wild.clamp(0, 1)
    torch.testing.assert_close(histogram_kl_divergence(wild, reference), histogram_kl_divergence(tame, reference))


def test_batch_equals_one_by_one():
    judged, reference = _images(0), _images(1)
    one_by_one = [histogram_kl_divergence(a[None], b[None]) for a, b in zip(judged, reference, strict=True)]
    torch.testing.assert_close(histogram_kl_divergence(judged, reference), torch.cat(one_by_one), rtol=0, atol=0)


def test_metric_runs_in_an_ignite_engine():
    engine = Engine(lambda engine, batch: batch)
    IgniteMetricHandler(metric_fn=HistogramKLMetric()).attach(engine, "kl")
    batches = [(_images(0), _images(1)), (_images(2, 2), _images(3, 2))]
    state = engine.run(batches)
    expected = torch.cat([histogram_kl_divergence(*batch) for batch in batches])
    assert state.metrics["kl"] == pytest.approx(expected.mean().item())
    torch.testing.assert_close(state.metric_details["kl"], expected[:, None])


@pytest.mark.parametrize(
    ("judged", "reference"),
    [((3, 7, 9), (3, 7, 9)), ((3, 2, 7, 9), (3, 2, 7, 9)), ((2, 1, 7, 9), (3, 1, 7, 9))],
)
def test_wrong_shapes_are_refused(judged, reference):
    with pytest.raises(ValueError, match=r"must be \(B, 1, H, W\), .* alike"):
        histogram_kl_divergence(torch.zeros(judged), torch.zeros(reference))


@pytest.mark.parametrize("shape", [(96,), (2, 6, 8)])
def test_it_does_not_matter_how_the_pixels_are_arranged(shape):
    judged, reference = (torch.rand(3, 1, 96, generator=torch.Generator().manual_seed(i)) for i in range(2))
    as_slices = histogram_kl_divergence(judged.view(3, 1, 8, 12), reference.view(3, 1, 8, 12))
    assert as_slices.min() > 0
    arranged = histogram_kl_divergence(judged.view(3, 1, *shape), reference.view(3, 1, *shape))
    assert torch.equal(arranged, as_slices)
