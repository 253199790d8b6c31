from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import SSIMMetric
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from monai_aggrgan.metrics import pairwise
from monai_aggrgan.metrics.all_pairs_ssim import AllPairsSSIM
from monai_aggrgan.metrics.pairwise import best_matches, pairwise_psnr, pairwise_ssim

MATRIX = {"ssim": pairwise_ssim, "psnr": pairwise_psnr}


def images(count: int, *, seed: int) -> Tensor:
    coarse = torch.rand(count, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (24, 33), mode="bilinear")


def test_the_functions_are_the_classes():
    judged, references = images(5, seed=0), images(3, seed=1)
    assert torch.equal(pairwise_ssim(judged, references), AllPairsSSIM(references)(judged))
    torch.testing.assert_close(pairwise_ssim(judged, references, memory_budget=1), pairwise_ssim(judged, references))
    mean_square = (judged[:, None] - references).square().mean((2, 3, 4))
    torch.testing.assert_close(pairwise_psnr(judged, references), -10 * mean_square.log10(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 256])
@pytest.mark.parametrize("count", [1, 3, 30])
@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_best_matches_are_the_best_of_the_whole_matrix(monkeypatch, metric, count, chunk):
    monkeypatch.setattr(pairwise, "CHUNK", dict.fromkeys(("cpu", "cuda"), chunk))
    pool, references = images(30, seed=0), images(4, seed=1)
    indices, scores = best_matches(pool, references, metric=metric, count=count)
    matrix = MATRIX[metric](pool, references).T
    assert indices.tolist() == matrix.argsort(dim=1, descending=True, stable=True)[:, :count].tolist()
    torch.testing.assert_close(scores, matrix.gather(1, indices))


@pytest.mark.parametrize("chunk", [3, 256])
@pytest.mark.parametrize("metric", ["ssim", "psnr", lambda judged, references: torch.zeros(len(judged), 2)])
def test_ties_go_to_the_lower_index(monkeypatch, metric, chunk):
    monkeypatch.setattr(pairwise, "CHUNK", dict.fromkeys(("cpu", "cuda"), chunk))
    pool = images(1, seed=0).expand(100, -1, -1, -1)
    indices, _ = best_matches(pool, images(2, seed=1), metric=metric, count=5)
    assert indices.tolist() == [[0, 1, 2, 3, 4]] * 2


@pytest.mark.parametrize("metric", ["ssim", "psnr", MATRIX["ssim"]])
def test_more_references_than_fit_are_searched_group_by_group(metric):
    pool, references = images(40, seed=0), images(9, seed=1)
    expected = best_matches(pool, references, metric=metric, count=2)
    kept = 12 * references[0].numel()
    for budget in (1, 2 * kept, 5 * kept):
        for found, wanted in zip(
            best_matches(pool, references, metric=metric, count=2, memory_budget=budget), expected, strict=True
        ):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_a_search_holds_neither_the_pool_nor_the_matrix(monkeypatch):
    """With a pool many times as long, no tensor of the search becomes larger."""

    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, Tensor) and result.dtype == torch.float32:
                self.numbers = max(self.numbers, result.numel())
            return result

    monkeypatch.setattr(pairwise, "CHUNK", {"cpu": 32, "cuda": 32})
    references, largest = images(3, seed=1), []
    for length in (64, 640):
        pool = images(1, seed=0).half().expand(length, -1, -1, -1)
        with Largest() as seen:
            best_matches(pool, references, count=2)
        largest.append(seen.numbers)
    assert largest[0] == largest[1] < 640 * pool[0].numel() / 4


def test_a_memory_mapped_half_precision_pool_is_searched(tmp_path):
    pool, references = images(300, seed=0).half(), images(3, seed=1)
    np.save(tmp_path / "pool.npy", pool.numpy())
    mapped = torch.from_numpy(np.load(tmp_path / "pool.npy", mmap_mode="c"))
    for found, wanted in zip(best_matches(mapped, references), best_matches(pool.float(), references), strict=True):
        assert torch.equal(found, wanted)


def test_any_function_of_two_batches_is_a_metric():
    def same_mean(judged, references):
        return -(judged.mean((1, 2, 3))[:, None] - references.mean((1, 2, 3))).abs()

    references = images(4, seed=1)
    pool = torch.cat([images(5, seed=0), references.flip(-1)])
    indices, scores = best_matches(pool, references, metric=same_mean)
    assert indices.tolist() == [[5], [6], [7], [8]]
    torch.testing.assert_close(scores, torch.zeros(4, 1), rtol=0, atol=1e-6)


def test_an_undefined_score_loses_against_every_other():
    pool = images(3, seed=0)
    pool[0] = math.nan
    indices, scores = best_matches(pool, images(2, seed=1), count=3)
    assert indices[:, 2].tolist() == [0, 0]
    assert not scores[:, :2].isinf().any()


def test_the_bar_counts_the_pools_images(capsys):
    best_matches(images(30, seed=0), images(2, seed=1))
    assert capsys.readouterr().err == ""
    best_matches(images(30, seed=0), images(2, seed=1), progress="glioma, DCGAN-1")
    shown = capsys.readouterr().err
    assert "glioma, DCGAN-1" in shown and "30/30" in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [({"metric": "sim"}, "did you mean 'ssim'"), ({"count": 4}, "1 to 3"), ({"count": 0}, "got 0")],
)
def test_best_matches_refuses_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        best_matches(images(3, seed=0), images(2, seed=1), **options)


def test_best_matches_refuses_to_search_for_nothing():
    with pytest.raises(ValueError, match="at least one image, got none"):
        best_matches(images(3, seed=0), images(2, seed=1)[:0])


def smooth(count: int, shape: tuple[int, ...], *, seed: int) -> Tensor:
    coarse = torch.rand(count, 1, *(4,) * len(shape), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, shape, mode="linear" if len(shape) == 1 else "trilinear")


@pytest.mark.parametrize("shape", [(40,), (13, 15, 14)])
@pytest.mark.parametrize("filtering", ["depthwise", "matrix"])
def test_ssim_of_signals_and_volumes_is_scikit_images(filtering, shape):
    judged, references = smooth(3, shape, seed=0), smooth(2, shape, seed=1)
    found = AllPairsSSIM(references, filtering=filtering)(judged)
    options = {"gaussian_weights": True, "use_sample_covariance": False, "data_range": 1.0, "full": True}
    inner = (slice(5, -5),) * len(shape)
    for row, one in zip(found.tolist(), judged.double().numpy()[:, 0], strict=True):
        for score, other in zip(row, references.double().numpy()[:, 0], strict=True):
            _, ssim = structural_similarity(one, other, **options)
            assert score == pytest.approx(ssim[inner].mean(), abs=1e-5)


def test_ssim_of_volumes_is_monais():
    """But for its rounding: it is in float32 and 1.1e-5 off scikit-image's here."""
    judged, references = smooth(3, (13, 15, 14), seed=0), smooth(2, (13, 15, 14), seed=1)
    metric = SSIMMetric(spatial_dims=3, data_range=1.0, reduction="none")
    expected = torch.cat([metric(judged, reference.expand_as(judged)) for reference in references], dim=1)
    torch.testing.assert_close(pairwise_ssim(judged, references), expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize("shape", [(40,), (12, 13, 14)])
@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_the_best_signals_and_volumes_of_a_pool_are_found(metric, shape):
    pool, references = smooth(20, shape, seed=0), smooth(3, shape, seed=1)
    matrix = MATRIX[metric](pool, references).T
    indices, scores = best_matches(pool, references, metric=metric, count=2)
    assert indices.tolist() == matrix.argsort(dim=1, descending=True, stable=True)[:, :2].tolist()
    torch.testing.assert_close(scores, matrix.gather(1, indices))
    mean_square = (pool[None] - references[:, None]).square().flatten(2).mean(2)
    torch.testing.assert_close(MATRIX["psnr"](pool, references).T, -10 * mean_square.log10(), rtol=0, atol=1e-4)
    assert best_matches(pool, pool[7:9], metric=metric)[0].tolist() == [[7], [8]]
