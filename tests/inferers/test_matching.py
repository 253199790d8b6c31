from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from torch import Tensor

from monai_aggrgan.inferers import matching as matching_module
from monai_aggrgan.inferers.matching import MATCHINGS, match
from monai_aggrgan.metrics.pairwise import PairwiseMetric, pairwise_psnr, pairwise_ssim

SIZE = 12
SIZES = [(1, 1), (6, 1), (4, 4), (7, 4), (30, 9), (300, 20)]  # of a pool and of the references


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, *, seed: int) -> Tensor:
    return torch.rand(count, 1, SIZE, SIZE, generator=random(seed))


def numbered(count: int) -> Tensor:
    """Images whose pixels are all their number."""
    return torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2)


def table(values: Tensor) -> PairwiseMetric:
    """The metric (references, pool) of numbered images is as the table says."""

    def metric(judged: Tensor, references: Tensor) -> Tensor:
        row, column = (images[:, 0, 0, 0].long() for images in (references, judged))
        return values[row][:, column].T

    return metric


def highest_total(scores: Tensor) -> float:
    """The sum that no assignment without repetition exceeds, of a table without infinite values."""
    places = linear_sum_assignment(scores.double().numpy(), maximize=True)
    return float(scores.double().numpy()[places].sum())


def at(scores: Tensor, indices: Tensor) -> Tensor:
    return scores.gather(1, indices[:, None])[:, 0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("metric", "pairwise"), [("ssim", pairwise_ssim), ("psnr", pairwise_psnr)])
@pytest.mark.parametrize(("pool_size", "count"), SIZES)
def test_best_is_the_argmax_of_the_whole_matrix(pool_size, count, metric, pairwise, seed):
    pool, references = images(pool_size, seed=seed), images(count, seed=seed + 1000)
    scores = pairwise(pool, references).T
    for option in (metric, pairwise):
        indices, found = match(pool, references, metric=option)
        assert torch.equal(indices, scores.argmax(dim=1))
        torch.testing.assert_close(found, scores.amax(dim=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("metric", "pairwise"), [("ssim", pairwise_ssim), ("psnr", pairwise_psnr)])
@pytest.mark.parametrize(("pool_size", "count"), SIZES)
def test_unique_has_the_highest_total_of_all_assignments(pool_size, count, metric, pairwise, seed):
    pool, references = images(pool_size, seed=seed), images(count, seed=seed + 1000)
    scores = pairwise(pool, references).T
    indices, found = match(pool, references, metric=metric, matching="unique")
    assert indices.shape == found.shape == (count,)
    assert len(set(indices.tolist())) == count
    torch.testing.assert_close(found, at(scores, indices), rtol=0, atol=1e-6)
    assert at(scores, indices).double().sum().item() == pytest.approx(highest_total(scores), abs=1e-5)


@pytest.mark.parametrize("seed", range(40))
def test_unique_has_the_highest_total_for_any_function(seed):
    count = 1 + seed % 8
    pool_size = count + seed % 5
    scores = torch.randn(count, pool_size, generator=random(seed)) * 10 ** (seed % 7 - 3)
    if seed % 2:
        scores = scores.sign() + scores.gt(1)  # many equal values
    indices, found = match(numbered(pool_size), numbered(count), metric=table(scores), matching="unique")
    assert len(set(indices.tolist())) == count
    assert torch.equal(found, at(scores, indices))
    assert found.double().sum().item() == pytest.approx(highest_total(scores), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_unique_takes_all_infinite_scores_it_can_and_avoids_what_is_undefined(seed):
    count, pool_size = 6, 8
    scores = torch.rand(count, pool_size, generator=random(seed))
    drawn = torch.rand(count, pool_size, generator=random(seed + 1000))
    scores[drawn < 0.2] = math.inf
    scores[drawn > (0.7 if seed % 2 else 0.95)] = math.nan
    indices, found = match(numbered(pool_size), numbered(count), metric=table(scores), matching="unique")
    assert len(set(indices.tolist())) == count
    assert torch.equal(found, at(scores.nan_to_num(-math.inf, math.inf), indices))
    bounded = scores.nan_to_num(-1e6, 1e6)
    assert at(bounded, indices).double().sum().item() == pytest.approx(highest_total(bounded), abs=1e-5)


def test_an_undefined_metric_is_avoided_though_many_others_lose_by_it():
    nan = math.nan
    scores = torch.tensor([[0, nan, nan, nan], [1, 0, nan, nan], [nan, 1, 0, nan], [nan, nan, 1, 0]])
    assert match(numbered(4), numbered(4), metric=table(scores), matching="unique")[0].tolist() == [0, 1, 2, 3]
    two = torch.tensor([[1.0, nan], [2.0, 0.0]])
    assert match(numbered(2), numbered(2), metric=table(two), matching="unique")[0].tolist() == [0, 1]


def test_a_wholly_undefined_or_infinite_metric_still_gives_a_matching():
    for value in (math.nan, math.inf, -math.inf):
        scores = torch.full((3, 5), value)
        indices, _ = match(numbered(5), numbered(3), metric=table(scores), matching="unique")
        assert sorted(indices.tolist()) == [0, 1, 2]


def test_best_gives_an_undefined_metric_up_for_any_other():
    scores = torch.tensor([[math.nan, -5.0, math.nan], [1.0, math.nan, math.inf]])
    indices, found = match(numbered(3), numbered(2), metric=table(scores))
    assert indices.tolist() == [1, 2] and found.tolist() == [-5.0, math.inf]


def test_unique_gives_way_where_that_costs_least():
    scores = torch.tensor([[0.9, 0.8, 0.0], [0.9, 0.1, 0.0]])  # both like image 0 best, the first has a good second
    assert match(numbered(3), numbered(2), metric=table(scores))[0].tolist() == [0, 0]
    assert match(numbered(3), numbered(2), metric=table(scores), matching="unique")[0].tolist() == [1, 0]
    highest = torch.tensor([[0.9, 0.8], [0.85, 0.0]])  # not the highest pair first: 0.9 + 0.0 is less than 0.8 + 0.85
    assert match(numbered(2), numbered(2), metric=table(highest), matching="unique")[0].tolist() == [1, 0]


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_references_among_the_pool_are_found_again(metric):
    references = images(6, seed=0)
    order = torch.randperm(6, generator=random(1))
    for matching in MATCHINGS:
        indices, _ = match(references[order], references, metric=metric, matching=matching)
        assert torch.equal(order[indices], torch.arange(6))


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_a_pool_as_large_as_the_references_is_used_up(metric):
    pool, references = images(25, seed=0), images(25, seed=1)
    assert sorted(match(pool, references, metric=metric, matching="unique")[0].tolist()) == list(range(25))
    assert len(set(match(pool, references, metric=metric)[0].tolist())) < 25


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
@pytest.mark.parametrize("seed", range(5))
def test_unique_has_at_most_bests_total_and_at_least_its_variety(metric, seed):
    pool, references = images(30, seed=seed), images(20, seed=seed + 1000)
    (best, best_scores), (unique, unique_scores) = (
        match(pool, references, metric=metric, matching=matching) for matching in MATCHINGS
    )
    assert unique_scores.double().sum() <= best_scores.double().sum() + 1e-6
    assert (unique_scores <= best_scores).all()
    assert len(best.unique()) < len(unique.unique()) == 20


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_the_matchings_agree_where_the_best_are_all_different(metric):
    references = images(10, seed=0)
    pool = torch.cat([images(10, seed=1), 0.9 * references.flip(0) + 0.1 * images(10, seed=2)])
    best, unique = (match(pool, references, metric=metric, matching=matching) for matching in MATCHINGS)
    assert best[0].tolist() == list(range(19, 9, -1))
    assert torch.equal(unique[0], best[0]) and torch.equal(unique[1], best[1])


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
@pytest.mark.parametrize("matching", MATCHINGS)
def test_the_order_of_the_references_changes_nothing(metric, matching):
    pool, references = images(30, seed=0), images(12, seed=1)
    order = torch.randperm(12, generator=random(2))
    indices, scores = match(pool, references, metric=metric, matching=matching)
    again, again_scores = match(pool, references[order], metric=metric, matching=matching)
    assert torch.equal(again, indices[order])
    torch.testing.assert_close(again_scores, scores[order], rtol=0, atol=1e-6)


def test_best_is_the_same_one_by_one():
    pool, references = images(30, seed=0), images(5, seed=1)
    indices, scores = match(pool, references)
    alone = [match(pool, reference[None]) for reference in references]
    assert torch.equal(torch.cat([index for index, _ in alone]), indices)
    torch.testing.assert_close(torch.cat([score for _, score in alone]), scores, rtol=0, atol=1e-6)


def solve_backwards(graph: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """SciPy's solver with rows and columns told from last to first, so that of equal images it takes the last."""
    rows, columns = min_weight_full_bipartite_matching(csr_matrix(graph.toarray()[::-1, ::-1]))
    return graph.shape[0] - 1 - rows, graph.shape[1] - 1 - columns


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("copies", [2, 3])
@pytest.mark.parametrize("solve", [min_weight_full_bipartite_matching, solve_backwards])
def test_of_copies_in_the_pool_the_lower_indices_are_used_whatever_the_solver_takes(monkeypatch, solve, copies, seed):
    monkeypatch.setattr(matching_module, "min_weight_full_bipartite_matching", solve)
    count, different = 12, 10
    scores = torch.rand(count, different, generator=random(seed)).repeat(1, copies)
    indices, _ = match(numbered(different * copies), numbered(count), metric=table(scores), matching="unique")
    assert at(scores, indices).double().sum().item() == pytest.approx(highest_total(scores), abs=1e-5)
    chosen = set(indices.tolist())
    assert len(chosen) == count and max(chosen) >= different
    for index in chosen:
        assert all(lower in chosen for lower in range(index % different, index, different))
    best, _ = match(numbered(different * copies), numbered(count), metric=table(scores))
    assert best.max() < different


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_equal_images_in_other_chunks_of_the_search_are_no_exception(metric):
    pool, reference = images(250, seed=0), images(1, seed=1)
    likeness = 0.9 * reference + 0.1 * pool[:1]
    crowd = torch.cat([pool, likeness, pool, likeness, pool, likeness])  # at 250, 501 and 752
    indices, _ = match(crowd, reference.expand(2, -1, -1, -1), metric=metric, matching="unique")
    assert sorted(indices.tolist()) == [250, 501]
    assert match(crowd, reference, metric=metric)[0].tolist() == [250]


@pytest.mark.parametrize("matching", MATCHINGS)
def test_a_half_precision_pool_is_its_float_copy(matching):
    pool, references = images(30, seed=0).half(), images(12, seed=1)
    half, full = (match(images, references, matching=matching) for images in (pool, pool.float()))
    assert torch.equal(half[0], full[0]) and torch.equal(half[1], full[1])


def test_the_callers_images_are_left_alone():
    pool, references = images(10, seed=0), images(5, seed=1)
    before = pool.clone(), references.clone()
    match(pool, references, matching="unique")
    assert torch.equal(pool, before[0]) and torch.equal(references, before[1])


@pytest.mark.parametrize("matching", MATCHINGS)
def test_a_label_shows_a_bar_and_none_shows_nothing(capsys, matching):
    match(images(7, seed=0), images(2, seed=1), matching=matching)
    assert not capsys.readouterr().err
    match(images(7, seed=0), images(2, seed=1), matching=matching, progress="match glioma")
    told = capsys.readouterr().err
    assert "match glioma" in told and "7/7" in told


def test_a_pool_smaller_than_the_references_is_refused_for_unique_alone():
    pool, references = images(3, seed=0), images(4, seed=1)
    with pytest.raises(
        ValueError, match=r"as many images as references, got 3 for 4: enlarge .*, or use matching='best'"
    ):
        match(pool, references, matching="unique")
    assert len(match(pool, references)[0]) == 4


def test_unknown_options_and_wrong_images_are_refused():
    pool, references = images(3, seed=0), images(2, seed=1)
    for options in ({"matching": "uniqe"}, {"metric": "uniqe"}, {"metric": "uniqe", "matching": "unique"}):
        with pytest.raises(ValueError, match="uniqe"):
            match(pool, references, **options)
    for matching in MATCHINGS:
        with pytest.raises(ValueError, match="at least one image, got none"):
            match(pool, references[:0], matching=matching)
        with pytest.raises(ValueError, match=r"must be of one size .* got \(12, 11\)"):
            match(pool[..., :-1], references, matching=matching)
