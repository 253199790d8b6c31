from __future__ import annotations

import math

import pytest
import torch
from monai.data import MetaTensor
from monai.metrics import SSIMMetric
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch.utils._python_dispatch import TorchDispatchMode

from monai_aggrgan.metrics import pairwise
from monai_aggrgan.metrics.pairwise import best_matches, pairwise_psnr, pairwise_ssim


def _images(seed: int, count: int, height: int = 24, width: int = 33) -> torch.Tensor:
    """Blocky random images, half of them black in a corner: correlated, with constant windows."""
    coarse = torch.rand(count, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    coarse[::2, :, :3, :3] = 0
    return torch.nn.functional.interpolate(coarse, (height, width))


def _one_by_one(metric, judged, references) -> torch.Tensor:
    return torch.tensor([[metric(x[0].numpy(), y[0].numpy()) for y in references] for x in judged])


def test_ssim_equals_scikit_image_on_the_valid_region():
    def valid_mean(x, y):
        gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        return structural_similarity(x, y, data_range=1, full=True, **gaussian)[1][5:-5, 5:-5].mean(dtype=float)

    judged, references = _images(0, 3), _images(1, 4)
    expected = _one_by_one(valid_mean, judged.double(), references.double())
    torch.testing.assert_close(pairwise_ssim(judged, references).double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(11, 11), (24, 33), (40, 12)])
def test_ssim_equals_monai(size):
    metric = SSIMMetric(spatial_dims=2, data_range=1.0, kernel_type="gaussian", win_size=11, kernel_sigma=1.5)
    judged, references = _images(0, 3, *size), _images(1, 4, *size)
    expected = metric(judged.repeat_interleave(4, 0), references.repeat(3, 1, 1, 1)).view(3, 4)
    torch.testing.assert_close(pairwise_ssim(judged, references), expected, rtol=0, atol=1e-5)


def test_ssim_of_an_image_with_itself_is_one_and_the_rest_is_symmetric():
    images = _images(0, 4)
    scores = pairwise_ssim(images, images)
    torch.testing.assert_close(scores.diagonal(), torch.ones(4))
    torch.testing.assert_close(scores, scores.T)
    assert (scores - torch.eye(4)).max() < 0.95


def test_ssim_of_constant_images():
    grey = torch.tensor([0.0, 0.5, 1.0])[:, None, None, None].expand(3, 1, 16, 16)
    expected = [[(2 * a * b + 1e-4) / (a * a + b * b + 1e-4) for b in (0, 0.5, 1)] for a in (0, 0.5, 1)]
    torch.testing.assert_close(pairwise_ssim(grey, grey), torch.tensor(expected), rtol=0, atol=2e-4)


@pytest.mark.parametrize("memory_budget", [1, 50_000, 10**9])
def test_ssim_does_not_depend_on_the_memory_budget(memory_budget):
    judged, references = _images(0, 5), _images(1, 7)
    scores = pairwise_ssim(judged, references, memory_budget=memory_budget)
    torch.testing.assert_close(scores, pairwise_ssim(judged, references), rtol=0, atol=1e-6)


def test_ssim_stays_within_the_memory_budget():
    class Largest(TorchDispatchMode):
        bytes = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                self.bytes = max(self.bytes, result.untyped_storage().nbytes())
            return result

    judged, references = _images(0, 30), _images(1, 40)
    with Largest() as largest:
        pairwise_ssim(judged, references, memory_budget=400_000)
    assert 0 < largest.bytes <= 400_000 < 30 * 40 * judged[0].nbytes


def test_ssim_is_full_precision_under_autocast():
    judged, references = _images(0, 3), _images(1, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = pairwise_ssim(judged, references)
    torch.testing.assert_close(scores, pairwise_ssim(judged, references), rtol=0, atol=0)


def test_ssim_turns_tf32_off_and_back_on():
    matmul = torch.backends.cuda.matmul
    torch.set_float32_matmul_precision("high")
    try:
        with pairwise._full_precision("cpu"):
            inside = getattr(matmul, "fp32_precision", matmul)
        assert matmul.allow_tf32
        assert inside in ("ieee", matmul)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_psnr_equals_scikit_image():
    judged, references = _images(0, 3), _images(1, 4)
    expected = _one_by_one(
        lambda x, y: peak_signal_noise_ratio(y, x, data_range=1), judged.double(), references.double()
    )
    torch.testing.assert_close(pairwise_psnr(judged, references).double(), expected, rtol=0, atol=1e-4)


def test_psnr_of_copies_is_infinite_and_of_near_copies_exact():
    images = _images(0, 3, 64, 64)
    scores = pairwise_psnr(torch.cat([images, images + 1e-4]), images)
    assert scores[:3].diagonal().tolist() == [math.inf] * 3
    torch.testing.assert_close(scores[3:].diagonal(), torch.full((3,), 80.0), rtol=0, atol=0.02)


@pytest.mark.parametrize("metric", [pairwise_ssim, pairwise_psnr])
def test_metadata_is_left_behind(metric):
    assert type(metric(MetaTensor(_images(0, 2)), MetaTensor(_images(1, 2)))) is torch.Tensor


@pytest.mark.parametrize("chunk", [1, 7, 256])
@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_best_matches_are_the_best_of_the_whole_matrix(monkeypatch, metric, chunk):
    monkeypatch.setattr(pairwise, "POOL_CHUNK", chunk)
    pool, references = _images(0, 30), _images(1, 4)
    indices, scores = best_matches(pool, references, metric=metric, count=3)
    matrix = {"ssim": pairwise_ssim, "psnr": pairwise_psnr}[metric](pool, references).T
    assert indices.tolist() == matrix.argsort(dim=1, descending=True, stable=True)[:, :3].tolist()
    torch.testing.assert_close(scores, matrix.gather(1, indices))


@pytest.mark.parametrize("chunk", [3, 256])
@pytest.mark.parametrize("metric", ["ssim", "psnr", lambda judged, references: torch.zeros(len(judged), 2)])
def test_ties_go_to_the_lower_index(monkeypatch, metric, chunk):
    monkeypatch.setattr(pairwise, "POOL_CHUNK", chunk)
    pool = _images(0, 1).expand(100, -1, -1, -1)
    indices, _ = best_matches(pool, _images(1, 2), metric=metric, count=5)
    assert indices.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_any_function_of_two_batches_is_a_metric():
    def same_mean(judged, references):
        return -(judged.mean((1, 2, 3))[:, None] - references.mean((1, 2, 3))).abs()

    references = _images(1, 4)
    indices, scores = best_matches(torch.cat([_images(0, 5), references.flip(-1)]), references, metric=same_mean)
    assert indices.tolist() == [[5], [6], [7], [8]]
    torch.testing.assert_close(scores, torch.zeros(4, 1))


def test_an_undefined_score_loses_against_every_other():
    pool = _images(0, 3)
    pool[0] = math.nan
    indices, scores = best_matches(pool, _images(1, 2), count=3)
    assert indices[:, 2].tolist() == [0, 0]
    assert not scores[:, :2].isinf().any()


@pytest.mark.parametrize(
    ("judged", "references", "message"),
    [
        (torch.zeros(2, 1, 10, 20), torch.zeros(3, 1, 10, 20), "at least 11x11 pixels, got 10x20"),
        (torch.zeros(2, 1, 16, 16), torch.zeros(3, 1, 16, 20), r"must be floating-point \(M, 1, H, W\)"),
        (torch.zeros(2, 3, 16, 16), torch.zeros(3, 3, 16, 16), r"must be floating-point \(M, 1, H, W\)"),
        (torch.zeros(2, 1, 16, 16, dtype=torch.uint8), torch.zeros(3, 1, 16, 16), "got torch.uint8"),
    ],
)
def test_ssim_refuses_what_does_not_fit(judged, references, message):
    with pytest.raises(ValueError, match=message):
        pairwise_ssim(judged, references)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"metric": "sim"}, "did you mean 'ssim'"), ({"count": 4}, "1 to 3"), ({"count": 0}, "got 0")],
)
def test_best_matches_refuses_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        best_matches(_images(0, 3), _images(1, 2), **options)
