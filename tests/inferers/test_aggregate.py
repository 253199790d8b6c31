from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from scipy.ndimage import gaussian_filter, sobel
from skimage.filters import sobel as skimage_sobel
from torch import Tensor

from monai_aggrgan.inferers.aggregate import AggregationInferer, edge_weighted_mean, sobel_magnitude
from monai_aggrgan.inferers.select import make_pool, select_candidates
from monai_aggrgan.networks import DCGAN1Generator, DCGAN2Generator, GeneratorEnsemble

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


FLAT = torch.tensor([0.2, 0.4, 0.9])[None, :, None, None, None].expand(1, 3, 1, SIZE, SIZE)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([-0.5, 0.1, 0.3], 0.25 * 0.4 + 0.75 * 0.9),  # a negative score counts as none
        ([-0.5, -0.1, -0.3], 0.5),  # none counts: equal weights
        ([0.0, 0.0, 0.0], 0.5),
        ([0.0, 0.4, 0.0], 0.4),
        ([20.0, math.inf, 30.0], 0.4),  # the PSNR of an identical image
        ([math.inf, 20.0, math.inf], 0.55),
        ([-math.inf, 1.0, 1.0], 0.65),
    ],
)
def test_negative_zero_and_infinite_scores(scores, expected):
    merged = edge_weighted_mean(FLAT, torch.tensor([scores]))
    torch.testing.assert_close(merged, torch.full_like(merged, expected), rtol=0, atol=1e-6)


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


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((torch.rand(2, 1, 8, 8), torch.rand(2, 1)), {}, r"must be \(B, K, 1, H, W\), got shape \(2, 1, 8, 8\)"),
        ((torch.rand(2, 3, 1, 8, 8), torch.rand(2, 2)), {}, r"scores must be \(2, 3\), got shape \(2, 2\)"),
        ((torch.rand(1, 1, 1, 8, 8), torch.rand(1, 1)), {"sigma": 0.0}, "sigma must be positive, got 0"),
        ((torch.rand(1, 1, 1, 8, 8), torch.rand(1, 1)), {"gaussian": "blur"}, "blur"),
    ],
)
def test_wrong_arguments_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        edge_weighted_mean(*arguments, **options)


class CountingEnsemble(GeneratorEnsemble):
    """Notes how many latents it was given in all."""

    made = 0

    def forward(self, latent: Tensor) -> Tensor:
        self.made += len(latent)
        return super().forward(latent)


@pytest.fixture
def ensemble() -> CountingEnsemble:
    """Three generators whose images differ; the latents are of two lengths."""
    members = {
        "a": DCGAN1Generator(image_size=SIZE, base_width=4, latent_size=5),
        "b": DCGAN2Generator(image_size=SIZE, base_width=4, latent_size=8),
        "c": DCGAN2Generator(image_size=SIZE, base_width=4, latent_size=8, seed=1),
    }
    with torch.no_grad():
        for member in members.values():
            for weight in member.parameters():
                weight.mul_(6)
    return CountingEnsemble(members)


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_the_inferer_merges_the_best_candidates_by_hand(ensemble, metric):
    references = images(4, 1, seed=5)
    inferer = AggregationInferer(pool_size=9, first_seed=100, metric=metric, sigma=1.5)
    merged = inferer(references, ensemble)
    pools = dict(zip("abc", make_pool(ensemble, seeds=range(100, 109)).unbind(1), strict=True))
    selection = select_candidates(references, pools, metric=metric)
    for row, report in enumerate(inferer.reports):
        order = sorted(range(3), key=lambda g, row=row: -float(selection.scores[row, g]))[:2]
        chosen = [pools["abc"[g]][selection.indices[row, g]] for g in order]
        assert report.generators == tuple("abc"[g] for g in order)
        assert report.seeds == tuple(100 + int(selection.indices[row, g]) for g in order)
        assert report.scores == pytest.approx([float(selection.scores[row, g]) for g in order], abs=1e-6)
        expected = edge_weighted_mean(torch.stack(chosen)[None], torch.tensor([report.scores]), sigma=1.5)
        torch.testing.assert_close(merged[row], expected[0], rtol=0, atol=1e-5)
    assert len(inferer.reports) == 4


@pytest.mark.parametrize(("top_k", "merged"), [(1, 1), (3, 3), (9, 3)])
def test_top_k_is_any_number_and_at_most_all(ensemble, top_k, merged):
    inferer = AggregationInferer(pool_size=4, top_k=top_k)
    result = inferer(images(2, 1, seed=0), ensemble)
    assert {len(report.generators) for report in inferer.reports} == {merged}
    if top_k == 1:
        pools = dict(zip("abc", make_pool(ensemble, seeds=range(4)).unbind(1), strict=True))
        for image, report in zip(result, inferer.reports, strict=True):
            torch.testing.assert_close(image, pools[report.generators[0]][report.seeds[0]], rtol=0, atol=1e-6)


def test_pools_are_made_once_until_reset_or_another_network(ensemble):
    inferer = AggregationInferer(pool_size=6)
    first = inferer(images(2, 1, seed=0), ensemble)
    inferer(images(1, 1, seed=1), ensemble)
    assert ensemble.made == 6
    with torch.no_grad():
        for weight in ensemble.parameters():
            weight.mul_(0.5)
    assert torch.equal(inferer(images(2, 1, seed=0), ensemble), first)  # kept although the network has changed
    inferer.reset()
    assert not torch.equal(inferer(images(2, 1, seed=0), ensemble), first)
    assert ensemble.made == 12
    other = GeneratorEnsemble({"only": DCGAN2Generator(image_size=SIZE, base_width=4)})
    inferer(images(1, 1, seed=1), other)
    assert inferer.reports[0].generators == ("only",)


def test_given_pools_are_used_and_the_network_is_not_run(ensemble):
    references = images(3, 1, seed=0)
    pools = {"x": torch.cat([images(4, 1, seed=1), references]), "y": images(2, 1, seed=2)}
    inferer = AggregationInferer(pools=pools, first_seed=10, top_k=1)
    inferer.reset()
    assert torch.equal(inferer(references, ensemble), references)
    assert [report.seeds for report in inferer.reports] == [(14,), (15,), (16,)]
    assert {report.generators for report in inferer.reports} == {("x",)}
    assert ensemble.made == 0


def run_in_evaluator(references: Tensor, ensemble: GeneratorEnsemble, *, batch_size: int) -> Tensor:
    merged: list[Tensor] = []
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([{"image": MetaTensor(r)} for r in references]), batch_size=batch_size),
        network=ensemble,
        inferer=AggregationInferer(pool_size=7),
        decollate=False,
    )
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: merged.append(engine.state.output["pred"]))
    evaluator.run()
    assert {type(batch) for batch in merged} == {Tensor}
    return torch.cat(merged)


def test_an_evaluator_gives_the_same_whatever_its_batch_size(ensemble):
    references = images(4, 1, seed=0)
    one_by_one = run_in_evaluator(references, ensemble, batch_size=1)
    assert ensemble.made == 7
    torch.testing.assert_close(run_in_evaluator(references, ensemble, batch_size=3), one_by_one, rtol=0, atol=1e-6)
    by_hand = AggregationInferer(pool_size=7)(references, ensemble)
    torch.testing.assert_close(one_by_one, by_hand, rtol=0, atol=1e-6)


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        AggregationInferer(top_k=0)
    with pytest.raises(ValueError, match="kl"):
        AggregationInferer(metric="kl")
    with pytest.raises(ValueError, match="at least one generator, got none"):
        AggregationInferer(pools={})(images(1, 1, seed=0), None)
