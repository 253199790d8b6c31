from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, sobel
from skimage.filters import sobel as skimage_sobel
from torch import Tensor

from monai_aggrgan.inferers import merge
from monai_aggrgan.inferers.merge import (
    MERGINGS,
    edge_weighted_mean,
    gaussian_of_edges,
    merging_weights,
    sobel_magnitude,
    weighted_sum,
)

SIZE = 16
Gaussian = Callable[[np.ndarray], np.ndarray]


def images(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def on_black(*shape: int, seed: int) -> Tensor:
    """Images of which only a patch of 5x5 is not black, so that smoothed edges do not reach every pixel."""
    black = torch.zeros(*shape, SIZE, SIZE)
    black[..., 5:10, 4:9] = images(*shape, seed=seed)[..., 5:10, 4:9]
    return black


def edges_of(image: np.ndarray) -> np.ndarray:
    """Sobel magnitude in double precision, kernels divided by 4."""
    image = image.astype(np.float64)
    return np.hypot(sobel(image, 0, mode="nearest"), sobel(image, 1, mode="nearest")) / 4


def algorithm_1(candidates: list[np.ndarray], metric_arr: list[float], gaussian_function: Gaussian) -> np.ndarray:
    """The paper's Algorithm 1 as it is printed, for any number of images, in Python numbers."""
    gaussian_matrix = []
    for img in candidates:
        gaussian_matrix.append(gaussian_function(edges_of(img)).tolist())
    weight_matrix = []
    for flag in range(len(candidates)):
        weights = {}
        for row in range(SIZE):
            for column in range(SIZE):
                gs = [g[row][column] for g in gaussian_matrix]
                if all(g != 0 for g in gs):
                    weights[row, column] = gs[flag] / sum(gs)
                else:
                    weights[row, column] = metric_arr[flag] / sum(metric_arr)
        weight_matrix.append(weights)
    agg_img = np.zeros((SIZE, SIZE))
    for row in range(SIZE):
        for column in range(SIZE):
            for pixels, weights in zip(candidates, weight_matrix, strict=True):
                agg_img[row, column] += weights[row, column] * pixels[row, column]
    return agg_img


def gaussian_of(gaussian: str, sigma: float) -> Gaussian:
    if gaussian == "filter":
        return lambda edges: gaussian_filter(edges, sigma, truncate=4.0, mode="constant")
    return lambda edges: np.exp(-(edges**2) / (2 * sigma**2))


@pytest.mark.parametrize("draw", [images, on_black])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("gaussian", "sigma"), [("filter", 1.0), ("filter", 2.3), ("function", 1.0)])
def test_equals_the_papers_algorithm_written_literally(draw, count, gaussian, sigma):
    candidates, scores = draw(2, count, 1, seed=count), 0.1 + torch.rand(2, count)
    merged = edge_weighted_mean(candidates, scores, sigma=sigma, gaussian=gaussian)
    assert merged.shape == (2, 1, SIZE, SIZE) and merged.dtype == torch.float32
    for image, of_one, metrics in zip(merged, candidates, scores, strict=True):
        literal = algorithm_1(list(of_one[:, 0].numpy()), metrics.tolist(), gaussian_of(gaussian, sigma))
        np.testing.assert_allclose(image[0].numpy(), literal, rtol=0, atol=1e-6)


def test_both_branches_of_the_algorithm_are_met_on_black():
    edges = sobel_magnitude(on_black(1, 1, seed=0))[0, 0].numpy()
    reached = gaussian_filter(edges, 1.0, truncate=4.0, mode="constant") != 0
    assert 0.2 < reached.mean() < 0.9


def test_sobel_is_scikit_images_and_scipys_up_to_a_factor():
    batch = images(3, 1, seed=0)
    ours = sobel_magnitude(batch)
    assert ours.shape == batch.shape
    for image, edges in zip(batch[:, 0].double().numpy(), ours[:, 0].numpy(), strict=True):
        np.testing.assert_allclose(edges, edges_of(image), rtol=0, atol=1e-6)
        np.testing.assert_allclose(edges, math.sqrt(2) * skimage_sobel(image), rtol=0, atol=1e-6)


def test_an_upright_step_of_height_one_has_strength_one():
    step = torch.zeros(1, 1, 8, 8)
    step[..., 4:] = 1
    for image in (step, step.transpose(2, 3)):
        assert sobel_magnitude(image).max() == 1
        assert sobel_magnitude(0.5 * image).max() == 0.5


def test_a_flat_image_has_no_edges_not_even_rounding():
    greys = torch.rand(200, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    assert sobel_magnitude(greys.expand(-1, 1, SIZE, SIZE)).max() == 0


def test_without_edges_the_scores_weigh():
    candidates = torch.tensor([0.1, 0.7])[None, :, None, None, None].expand(1, 2, 1, SIZE, SIZE)
    merged = edge_weighted_mean(candidates, torch.tensor([[0.2, 0.6]]))
    torch.testing.assert_close(merged, torch.full_like(merged, 0.25 * 0.1 + 0.75 * 0.7), rtol=0, atol=1e-6)
    black = edge_weighted_mean(torch.zeros_like(candidates), torch.tensor([[0.2, 0.6]]))
    assert torch.equal(black, torch.zeros_like(black))


def test_one_candidate_without_an_edge_is_enough_for_the_scores_to_weigh():
    candidates = torch.cat([images(1, 1, 1, seed=0), torch.zeros(1, 1, 1, SIZE, SIZE)], dim=1)
    merged = edge_weighted_mean(candidates, torch.tensor([[0.3, 0.1]]))
    torch.testing.assert_close(merged, 0.75 * candidates[:, 0], rtol=0, atol=1e-6)


def test_the_filter_prefers_edges_and_the_function_smooth_areas():
    sharp = torch.zeros(1, 1, SIZE, SIZE)
    sharp[..., SIZE // 2 :] = 1
    soft = torch.linspace(0.6, 0.4, SIZE).expand(1, 1, SIZE, SIZE)
    candidates, beside = torch.stack([sharp, soft], dim=1), (0, 0, SIZE // 2, SIZE // 2)
    scores = torch.ones(1, 2)
    assert edge_weighted_mean(candidates, scores)[beside] > 0.9
    assert edge_weighted_mean(candidates, scores, gaussian="function", sigma=0.3)[beside] < 0.6


THIRDS = [1 / 3, 1 / 3, 1 / 3]
SHARES = [
    ([0.1, 0.3, 0.6], [0.1, 0.3, 0.6]),
    ([10.0, 30.0, 40.0], [0.125, 0.375, 0.5]),
    ([-0.5, 0.1, 0.3], [0, 0.25, 0.75]),  # a negative score counts as none
    ([-0.5, -0.1, -0.3], THIRDS),  # none counts: equal weights
    ([0.0, 0.0, 0.0], THIRDS),
    ([0.0, 0.4, 0.0], [0, 1, 0]),
    ([1e-35, 3e-35, 0.0], [0.25, 0.75, 0]),  # some functions of a distance are as small
    ([20.0, math.inf, 30.0], [0, 1, 0]),  # the PSNR of an identical image
    ([math.inf, 20.0, math.inf], [0.5, 0, 0.5]),
    ([-math.inf, 1.0, 1.0], [0, 0.5, 0.5]),
    ([-math.inf, -math.inf, -math.inf], THIRDS),
]


@pytest.mark.parametrize(("scores", "shares"), SHARES)
def test_metric_weighted_gives_every_pixel_the_scores_shares(scores, shares):
    candidates = torch.cat([images(1, 3, 1, seed=0), on_black(1, 3, 1, seed=0)])
    weights = merging_weights(candidates, torch.tensor([scores, [1.0, 1.0, 2.0]]), merging="metric-weighted")
    expected = torch.tensor([shares, [0.25, 0.25, 0.5]])[..., None, None, None].expand_as(candidates)
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("scores", "shares"), SHARES)
def test_edge_weighted_does_so_where_there_is_no_edge(scores, shares):
    greys = torch.tensor([0.2, 0.4, 0.9])
    merged = edge_weighted_mean(greys[None, :, None, None, None].expand(1, 3, 1, SIZE, SIZE), torch.tensor([scores]))
    expected = float(torch.tensor(shares, dtype=torch.float32) @ greys)
    torch.testing.assert_close(merged, torch.full_like(merged, expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("merging", MERGINGS)
@pytest.mark.parametrize("draw", [images, on_black])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_weights_are_not_negative_and_sum_to_one(merging, draw, count):
    candidates = draw(3, count, 1, seed=count)
    scores = torch.rand(3, count, generator=torch.Generator().manual_seed(0)) - 0.3
    weights = merging_weights(candidates, scores, merging=merging)
    assert weights.shape == candidates.shape and weights.dtype == torch.float32
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3, 1, SIZE, SIZE), rtol=0, atol=1e-6)


def test_the_mergings_are_four_different_ones():
    candidates, scores = images(1, 3, 1, seed=0), torch.tensor([[0.5, 0.2, 0.3]])
    merged = [weighted_sum(candidates, merging_weights(candidates, scores, merging=merging)) for merging in MERGINGS]
    for index, one in enumerate(merged):
        assert all((one - other).abs().max() > 0.01 for other in merged[:index])


@pytest.mark.parametrize(
    ("scores", "best"),
    [([0.1, 0.7, 0.3], 1), ([0.4, 0.2, 0.4], 0), ([-3.0, -1.0, -1.0], 1), ([1.0, math.inf, math.inf], 1)],
)
def test_best_single_is_the_best_candidates_pixels_and_of_equals_the_firsts(scores, best):
    candidates = images(1, 3, 1, seed=0)
    weights = merging_weights(candidates, torch.tensor([scores]), merging="best-single")
    assert torch.equal(weighted_sum(candidates, weights), candidates[:, best])


def test_best_single_takes_the_first_of_many_equals():
    weights = merging_weights(images(1, 100, 1, seed=0), torch.ones(1, 100), merging="best-single")
    assert (weights[0, 0] == 1).all() and (weights[0, 1:] == 0).all()


def test_mean_is_torchs_mean_whatever_the_scores():
    candidates = images(2, 3, 1, seed=0)
    weights = merging_weights(candidates, torch.tensor([[0.1, -5.0, math.inf], [0.0, 0.0, 1.0]]), merging="mean")
    torch.testing.assert_close(weighted_sum(candidates, weights), candidates.mean(dim=1), rtol=0, atol=1e-6)


def test_edge_weighted_mean_is_the_sum_by_edge_weights():
    candidates, scores = on_black(2, 3, 1, seed=0), torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.2, 0.7]])
    for options in ({}, {"sigma": 2.0}, {"gaussian": "function"}):
        weights = merging_weights(candidates, scores, merging="edge-weighted", **options)
        by_hand = (candidates * weights).sum(dim=1)
        torch.testing.assert_close(edge_weighted_mean(candidates, scores, **options), by_hand, rtol=0, atol=1e-6)


def test_a_weighted_sum_stays_in_the_range_though_weights_are_rounded():
    white = torch.ones(1, 3, 1, SIZE, SIZE)
    assert weighted_sum(white, torch.full_like(white, 0.33333337)).max() == 1
    assert weighted_sum(white, torch.full_like(white, -1e-9)).min() == 0


@pytest.mark.parametrize("draw", [images, on_black])
@pytest.mark.parametrize(
    ("gaussian", "sigma"),
    [("filter", 1.0), ("filter", 0.05), ("function", 1.0), ("function", 0.06), ("function", 0.07), ("function", 1e-3)],
)
def test_every_pixel_lies_between_its_candidates(draw, gaussian, sigma):
    candidates = draw(4, 3, 1, seed=0).round()
    merged = edge_weighted_mean(candidates, torch.rand(4, 3) - 0.3, gaussian=gaussian, sigma=sigma)
    assert (merged >= candidates.amin(dim=1) - 1e-6).all() and (merged <= candidates.amax(dim=1) + 1e-6).all()
    assert merged.min() >= 0 and merged.max() <= 1  # not even by rounding


@pytest.mark.parametrize(
    ("gaussian", "sigma"), [("filter", 1.0), ("function", 1.0), ("function", 0.075), ("function", 0.07)]
)
def test_equal_candidates_and_a_single_one_come_back(gaussian, sigma):
    one = on_black(2, 1, 1, seed=0)
    one[0] = (one[0] > 0).float()  # upright steps of 1: a narrow Gaussian function of them underflows
    alone = edge_weighted_mean(one, torch.tensor([[0.3], [0.0]]), gaussian=gaussian, sigma=sigma)
    torch.testing.assert_close(alone, one[:, 0], rtol=0, atol=1e-6)
    thrice = edge_weighted_mean(one.expand(-1, 3, -1, -1, -1), torch.rand(2, 3), gaussian=gaussian, sigma=sigma)
    torch.testing.assert_close(thrice, one[:, 0], rtol=0, atol=1e-6)


def test_a_batch_is_its_images_one_by_one():
    candidates, scores = images(4, 2, 1, seed=0), torch.rand(4, 2)
    candidates[:, 1, :, : SIZE // 2] = 0.5  # there the scores weigh
    scores[2, 1] = math.inf  # must not reach the other images of the batch
    together = edge_weighted_mean(candidates, scores)
    alone = torch.cat([edge_weighted_mean(candidates[i : i + 1], scores[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_half_precision_and_autocast_are_computed_in_float32():
    candidates, scores = images(4, 2, 1, seed=0), torch.rand(4, 2)
    full = edge_weighted_mean(candidates, scores)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(edge_weighted_mean(candidates, scores), full, rtol=0, atol=1e-6)
    half = candidates.bfloat16()
    torch.testing.assert_close(edge_weighted_mean(half, scores), edge_weighted_mean(half.float(), scores))


@pytest.mark.parametrize("merging", MERGINGS)
def test_autocast_leaves_weights_and_sums_unchanged(merging):
    candidates, scores = on_black(4, 2, 1, seed=0), torch.rand(4, 2, generator=torch.Generator().manual_seed(0))
    weights = merging_weights(candidates, scores, merging=merging)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(merging_weights(candidates, scores, merging=merging), weights)
        assert weighted_sum(candidates, weights).dtype == torch.float32


@pytest.mark.parametrize("merging", MERGINGS)
def test_weights_of_a_batch_are_those_one_by_one(merging):
    candidates, scores = on_black(4, 2, 1, seed=0), torch.tensor([[0.1, 0.3], [2.0, math.inf], [0.0, 0.0], [-1.0, 0.2]])
    together = merging_weights(candidates, scores, merging=merging)
    alone = [merging_weights(candidates[i : i + 1], scores[i : i + 1], merging=merging) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-6)


@pytest.mark.parametrize("pixels", [1, 2 * SIZE**2, 5 * SIZE**2, 6 * SIZE**2])
def test_more_candidates_than_are_worked_on_at_once_are_no_exception(monkeypatch, pixels):
    candidates, scores = on_black(5, 2, 1, seed=0), torch.tensor([[0.1, 0.3], [2.0, 1.0], [0, 0], [-1, 0.2], [7, 1]])
    whole = merging_weights(candidates, scores)
    monkeypatch.setattr(merge, "PIXELS", dict.fromkeys(merge.PIXELS, pixels))
    torch.testing.assert_close(merging_weights(candidates, scores), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.3, 7.0, 40.0])
@pytest.mark.parametrize("shape", [(16, 16), (9, 31), (40, 5), (1, 7), (70, 33), (130, 64)])
def test_the_filter_is_scipys(shape, sigma):
    edges = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    filtered = gaussian_of_edges(edges, sigma=sigma)
    for ours, image in zip(filtered.numpy(), edges.double().numpy(), strict=True):
        expected = gaussian_filter(image, sigma, truncate=4.0, mode="constant")
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)


def test_the_filter_ends_at_four_standard_deviations():
    edges = torch.zeros(21, 21)
    edges[10, 10] = 1
    for sigma, reach in {0.5: 2, 1.0: 4, 1.6: 6, 2.0: 8}.items():
        expected = torch.zeros(21, 21, dtype=torch.bool)
        expected[10 - reach : 11 + reach, 10 - reach : 11 + reach] = True
        assert torch.equal(gaussian_of_edges(edges, sigma=sigma) > 0, expected)


@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_the_function_is_a_gaussian_of_each_pixels_edge(sigma):
    edges = images(2, 1, seed=0)
    expected = np.exp(-(edges.double().numpy() ** 2) / (2 * sigma**2))
    values = gaussian_of_edges(edges, sigma=sigma, gaussian="function").numpy()
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("leading", [(), (1,), (6,), (2, 3), (3, 1, 2), (1, 2, 1, 3)])
def test_edges_and_gaussians_take_any_number_of_leading_dimensions(leading):
    batch = images(6, seed=0)[: math.prod(leading)]
    shaped = batch.reshape(*leading, SIZE, SIZE)
    for take in (sobel_magnitude, gaussian_of_edges, lambda edges: gaussian_of_edges(edges, gaussian="function")):
        assert take(shaped).shape == shaped.shape
        torch.testing.assert_close(take(shaped).reshape(batch.shape), take(batch), rtol=0, atol=1e-6)


def test_edges_of_transposed_and_expanded_images_are_those_of_their_copies():
    for view in (images(2, 1, seed=0)[..., :9].transpose(-1, -2), images(1, seed=0).expand(3, -1, -1)):
        torch.testing.assert_close(sobel_magnitude(view), sobel_magnitude(view.contiguous()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((2, 1, 8, 8), (2, 1)), {}, r"must be \(B, K, 1, H, W\), .*, got shape \(2, 1, 8, 8\)"),
        (((2, 3, 3, 8, 8), (2, 3)), {}, r"must be \(B, K, 1, H, W\), .*, got shape \(2, 3, 3, 8, 8\)"),
        (((2, 3, 1, 8, 8), (2, 2)), {}, r"scores must be \(2, 3\), got shape \(2, 2\)"),
        (((1, 1, 1, 8, 8), (1, 1)), {"sigma": 0.0}, "sigma must be positive, got 0"),
        (((1, 1, 1, 8, 8), (1, 1)), {"sigma": -1.0, "gaussian": "function"}, "sigma must be positive, got -1"),
        (((1, 1, 1, 8, 8), (1, 1)), {"sigma": math.nan}, "sigma must be positive, got nan"),
        (((1, 1, 1, 8, 8), (1, 1)), {"gaussian": "blur"}, "blur"),
    ],
)
def test_wrong_arguments_are_refused(shapes, options, message):
    for function in (edge_weighted_mean, merging_weights):
        with pytest.raises(ValueError, match=message):
            function(*(torch.rand(shape) for shape in shapes), **options)


def test_an_unknown_merging_is_refused():
    with pytest.raises(ValueError, match="median"):
        merging_weights(images(1, 2, 1, seed=0), torch.ones(1, 2), merging="median")


@pytest.mark.parametrize("shape", [(40,), (19, 23), (9, 11, 13)])
def test_edges_and_their_filter_are_scipys_in_any_number_of_dimensions(shape):
    maps = torch.rand(3, 2, *shape, generator=torch.Generator().manual_seed(len(shape)))
    edges = sobel_magnitude(maps, spatial_dims=len(shape))
    smoothed = gaussian_of_edges(edges, sigma=1.3, spatial_dims=len(shape))
    for found, blurred, given in zip(edges.flatten(0, 1), smoothed.flatten(0, 1), maps.flatten(0, 1), strict=True):
        image = given.double().numpy()
        gradients = [sobel(image, axis, mode="nearest") / 4 ** (len(shape) - 1) for axis in range(len(shape))]
        expected = np.sqrt(sum(gradient**2 for gradient in gradients))
        torch.testing.assert_close(found.double(), torch.from_numpy(expected), rtol=0, atol=1e-6)
        filtered = gaussian_filter(expected, 1.3, truncate=4.0, mode="constant")
        torch.testing.assert_close(blurred.double(), torch.from_numpy(filtered), rtol=0, atol=1e-6)


@pytest.mark.parametrize("spatial_dims", [1, 2, 3])
def test_an_upright_step_of_height_1_has_strength_1(spatial_dims):
    step = (torch.arange(8) >= 4).float().expand((5,) * (spatial_dims - 1) + (8,))
    edges = sobel_magnitude(step, spatial_dims=spatial_dims)
    assert torch.equal(edges, torch.tensor([0.0, 0, 0, 1, 1, 0, 0, 0]).expand_as(step))


@pytest.mark.parametrize("gaussian", ["filter", "function"])
def test_a_volume_of_equal_slices_is_merged_as_each_slice_but_near_its_ends(gaussian):
    candidates, scores = images(2, 3, 1, seed=0), torch.rand(2, 3)
    merged = edge_weighted_mean(candidates, scores, gaussian=gaussian)
    volumes = candidates[:, :, :, None].expand(-1, -1, -1, 17, -1, -1)
    in_volume = edge_weighted_mean(volumes, scores, gaussian=gaussian)
    assert in_volume.shape == (2, 1, 17, SIZE, SIZE)
    torch.testing.assert_close(in_volume[:, :, 8], merged, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(40,), (9, 10, 11)])
@pytest.mark.parametrize("merging", MERGINGS)
def test_weights_of_signals_and_volumes_sum_to_1_and_follow_the_scores(shape, merging):
    candidates, scores = torch.rand(2, 3, 1, *shape), torch.rand(2, 3)
    weights = merging_weights(candidates, scores, merging=merging)
    assert weights.shape == candidates.shape
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 1, *shape))
    black = merging_weights(torch.zeros_like(candidates), scores, merging="edge-weighted")
    torch.testing.assert_close(black, merging_weights(candidates, scores, merging="metric-weighted"))


def test_too_few_axes_or_other_dimensions_are_refused():
    for function in (sobel_magnitude, gaussian_of_edges):
        with pytest.raises(ValueError, match="spatial_dims must be 1, 2 or 3, got 4"):
            function(torch.rand(2, 3, 4, 5, 6), spatial_dims=4)
        with pytest.raises(ValueError, match=r"images of 3 spatial dimensions need as many axes, got \(4, 5\)"):
            function(torch.rand(4, 5), spatial_dims=3)
