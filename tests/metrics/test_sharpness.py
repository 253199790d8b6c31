from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.handlers import IgniteMetricHandler

from monai_aggrgan.metrics.sharpness import SharpnessDifferenceMetric, sharpness_difference


def _images(seed: int, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 7, 9, generator=torch.Generator().manual_seed(seed))


def _literal(f: torch.Tensor, g: torch.Tensor) -> float:
    """Equations 5 to 7, pixel by pixel."""

    def delta(image: torch.Tensor, i: int, j: int) -> float:
        return (2 * image[i, j] - image[i - 1, j] - image[i, j - 1]).item()

    m, n = f.shape
    inner = [(i, j) for i in range(1, m) for j in range(1, n)]
    nabla = sum(abs(delta(f, i, j) - delta(g, i, j)) for i, j in inner) / len(inner)
    return 10 * math.log10(1 / nabla)


def test_equals_the_equations_written_literally():
    judged, reference = _images(0), _images(1)
    expected = [_literal(f[0], g[0]) for f, g in zip(judged.double(), reference.double(), strict=True)]
    assert sharpness_difference(judged, reference).tolist() == pytest.approx(expected, abs=1e-4)


def test_a_bright_border_pixel_counts_only_as_a_neighbour():
    images, corner, edge = (torch.zeros(1, 1, 4, 4) for _ in range(3))
    corner[..., 0, 0] = 1
    edge[..., 0, 1] = 1
    assert sharpness_difference(corner, images).item() == math.inf
    assert sharpness_difference(edge, images).item() == pytest.approx(10 * math.log10(9))


@pytest.mark.parametrize("offset", [0, 0.25])
def test_identical_up_to_a_constant_is_infinite(offset):
    images = (_images(0) * 8).round() / 16
    assert sharpness_difference(images + offset, images).tolist() == [math.inf] * 3


def test_closer_images_score_higher():
    reference, noise = _images(0), _images(1) - 0.5
    near, far = (sharpness_difference(reference + amount * noise, reference) for amount in (0.1, 0.2))
    torch.testing.assert_close(near - far, torch.full((3,), 10 * math.log10(2)), rtol=0, atol=1e-3)


def test_metadata_is_left_behind():
    assert type(sharpness_difference(MetaTensor(_images(0)), MetaTensor(_images(1)))) is torch.Tensor


def test_metric_runs_in_an_ignite_engine():
    engine = Engine(lambda engine, batch: batch)
    IgniteMetricHandler(metric_fn=SharpnessDifferenceMetric()).attach(engine, "sd")
    batches = [(_images(0), _images(1)), (list(_images(2, 2)), list(_images(3, 2)))]
    state = engine.run(batches)
    expected = torch.cat(
        [sharpness_difference(_images(0), _images(1)), sharpness_difference(_images(2, 2), _images(3, 2))]
    )
    assert state.metrics["sd"] == pytest.approx(expected.mean().item())
    torch.testing.assert_close(state.metric_details["sd"], expected[:, None])


@pytest.mark.parametrize(
    ("judged", "reference"),
    [
        ((3, 7, 9), (3, 7, 9)),
        ((3, 1, 1), (3, 1, 1)),
        ((3, 2, 7, 9), (3, 2, 7, 9)),
        ((2, 1, 7, 9), (3, 1, 7, 9)),
        ((3, 1, 7, 1), (3, 1, 7, 1)),
    ],
)
def test_wrong_shapes_are_refused(judged, reference):
    with pytest.raises(ValueError, match=r"must be \(B, 1, H, W\), .* alike"):
        sharpness_difference(torch.zeros(judged), torch.zeros(reference))


@pytest.mark.parametrize("shape", [(9,), (7, 9), (4, 5, 6)])
def test_the_backward_difference_is_the_sum_of_those_along_each_axis(shape):
    judged, reference = (torch.rand(3, 1, *shape, generator=torch.Generator().manual_seed(i)) for i in range(2))
    change = (judged - reference).double().numpy()[:, 0]
    inner = (slice(None), *[slice(1, None)] * len(shape))
    gradient = sum((change - np.roll(change, 1, axis))[inner] for axis in range(1, change.ndim))
    expected = -10 * np.log10(np.abs(gradient).reshape(3, -1).mean(axis=1))
    assert sharpness_difference(judged, reference).tolist() == pytest.approx(expected.tolist(), abs=1e-4)
