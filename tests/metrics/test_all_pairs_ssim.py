from __future__ import annotations

import math

import pytest
import torch
from monai.data import MetaTensor
from monai.metrics import SSIMMetric
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from monai_aggrgan.metrics.all_pairs_ssim import LANES, AllPairsSSIM

FILTERINGS = ["depthwise", "matrix"]


def images(count: int, *, seed: int, height: int = 24, width: int = 33) -> Tensor:
    """Blocky random images, half of them black in a corner: correlated, with constant windows."""
    coarse = torch.rand(count, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    coarse[::2, :, :3, :3] = 0
    return torch.nn.functional.interpolate(coarse, (height, width))


def smooth(count: int, *, seed: int, height: int, width: int) -> Tensor:
    coarse = torch.rand(count, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def by_scikit_image(judged: Tensor, references: Tensor) -> Tensor:
    """SSIM (M, N) in float64 over the valid region, pair by pair."""

    def ssim(x: Tensor, y: Tensor) -> float:
        window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        pair = x[0].double().numpy(), y[0].double().numpy()
        return structural_similarity(*pair, data_range=1, full=True, **window)[1][5:-5, 5:-5].mean(dtype=float)

    return torch.tensor([[ssim(x, y) for y in references] for x in judged])


@pytest.mark.parametrize("filtering", FILTERINGS)
@pytest.mark.parametrize("size", [(24, 33), (64, 64)])
def test_equals_scikit_image_on_the_valid_region(size, filtering):
    judged, references = (images(n, seed=n, height=size[0], width=size[1]) for n in (3, 4))
    scores = AllPairsSSIM(references, filtering=filtering)(judged)
    torch.testing.assert_close(scores.double(), by_scikit_image(judged, references), rtol=0, atol=1e-5)


@pytest.mark.parametrize("filtering", FILTERINGS)
@pytest.mark.parametrize("size", [(11, 11), (24, 33), (40, 12), (64, 64)])
def test_equals_monai(size, filtering):
    metric = SSIMMetric(spatial_dims=2, data_range=1.0, kernel_type="gaussian", win_size=11, kernel_sigma=1.5)
    height, width = size
    judged, references = (smooth(n, seed=n, height=height, width=width) for n in (3, 4))
    expected = metric(judged.repeat_interleave(4, 0), references.repeat(3, 1, 1, 1)).view(3, 4)
    torch.testing.assert_close(AllPairsSSIM(references, filtering=filtering)(judged), expected, rtol=0, atol=1e-5)


def test_equals_both_on_real_slices(shared):
    from monai.transforms import LoadImage

    load = LoadImage(reader="PILReader", image_only=True, ensure_channel_first=True, reverse_indexing=False)
    files = sorted((shared / "data/figshare_128/glioma").glob("*.png"))[:200:20]
    slices = torch.stack([load(file).as_tensor() for file in files]) / 255
    scores = AllPairsSSIM(slices[:4])(slices)
    torch.testing.assert_close(scores.double(), by_scikit_image(slices, slices[:4]), rtol=0, atol=1e-5)
    metric = SSIMMetric(spatial_dims=2, data_range=1.0)
    expected = metric(slices.repeat_interleave(4, 0), slices[:4].repeat(10, 1, 1, 1)).view(10, 4)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("filtering", FILTERINGS)
def test_of_an_image_with_itself_is_one_and_the_rest_is_symmetric(filtering):
    scores = AllPairsSSIM(images(4, seed=0), filtering=filtering)(images(4, seed=0))
    torch.testing.assert_close(scores.diagonal(), torch.ones(4))
    torch.testing.assert_close(scores, scores.T)
    assert (scores - torch.eye(4)).max() < 0.95


@pytest.mark.parametrize("filtering", FILTERINGS)
def test_of_constant_images_follows_from_their_greys(filtering):
    grey = torch.tensor([0.0, 0.5, 1.0])[:, None, None, None].expand(3, 1, 16, 16)
    expected = [[(2 * a * b + 1e-4) / (a * a + b * b + 1e-4) for b in (0, 0.5, 1)] for a in (0, 0.5, 1)]
    scores = AllPairsSSIM(grey, filtering=filtering)(grey)
    torch.testing.assert_close(scores, torch.tensor(expected), rtol=0, atol=2e-4)


@pytest.mark.parametrize("filtering", FILTERINGS)
@pytest.mark.parametrize("memory_budget", [1, 1_500_000, 10**9])
def test_does_not_depend_on_the_memory_budget(memory_budget, filtering):
    judged, references = images(50, seed=0), images(7, seed=1)
    compare = AllPairsSSIM(references, memory_budget=memory_budget, filtering=filtering)
    assert compare.block_size % LANES == 0
    expected = AllPairsSSIM(references, filtering=filtering)(judged)
    torch.testing.assert_close(compare(judged), expected, rtol=0, atol=1e-6)


def test_a_reference_does_not_depend_on_the_others_to_the_last_bit():
    judged, references = images(37, seed=0), images(20, seed=1)
    together = AllPairsSSIM(references)(judged)
    for index in (0, 7, 19):
        assert torch.equal(AllPairsSSIM(references[index : index + 1])(judged)[:, 0], together[:, index])


def test_equal_images_score_equally_wherever_they_stand():
    for count in (48, 100, 150):
        judged = images(1, seed=0).expand(count, -1, -1, -1)
        assert AllPairsSSIM(images(3, seed=1))(judged).unique(dim=0).shape == (1, 3)


def test_stays_within_the_memory_budget():
    class Largest(TorchDispatchMode):
        bytes = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, Tensor) and result.untyped_storage().data_ptr() != judged.data_ptr():
                self.bytes = max(self.bytes, result.untyped_storage().nbytes())
            return result

    judged, references = images(150, seed=0), images(3, seed=1)
    compare = AllPairsSSIM(references, memory_budget=800_000)
    with Largest() as largest:
        compare(judged)
    assert compare.block_size == 32
    assert 32 * judged[0].nbytes <= largest.bytes < 800_000 / 4 < judged.nbytes


@pytest.mark.parametrize("filtering", FILTERINGS)
def test_is_full_precision_under_autocast(filtering):
    judged, compare = images(3, seed=0), AllPairsSSIM(images(4, seed=1), filtering=filtering)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = compare(judged)
    torch.testing.assert_close(scores, compare(judged), rtol=0, atol=0)


@pytest.mark.parametrize("filtering", FILTERINGS)
def test_is_full_precision_whatever_the_users_setting(filtering):
    judged, compare = images(3, seed=0), AllPairsSSIM(images(4, seed=1), filtering=filtering)
    expected = compare(judged)
    torch.set_float32_matmul_precision("medium")  # bfloat16 on many CPUs
    try:
        assert torch.equal(compare(judged), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_metadata_is_left_behind():
    assert type(AllPairsSSIM(MetaTensor(images(2, seed=1)))(MetaTensor(images(2, seed=0)))) is Tensor


def test_what_is_not_a_number_concerns_only_its_own_pairs():
    judged = images(3, seed=0)
    expected = AllPairsSSIM(images(2, seed=1))(judged)
    judged[1, 0, 4, 4] = math.nan
    scores = AllPairsSSIM(images(2, seed=1))(judged)
    assert scores[1].isnan().all() and torch.equal(scores[[0, 2]], expected[[0, 2]])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_the_cpu():
    judged, references = images(40, seed=0, height=64, width=64), images(5, seed=1, height=64, width=64)
    for filtering in FILTERINGS:
        scores = AllPairsSSIM(references.cuda(), filtering=filtering)(judged.cuda()).cpu()
        torch.testing.assert_close(scores, AllPairsSSIM(references)(judged), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("judged", "references", "message"),
    [
        (torch.zeros(2, 1, 10, 20), torch.zeros(3, 1, 10, 20), "at least 11x11 pixels, got 10x20"),
        (torch.zeros(2, 1, 16, 16), torch.zeros(3, 1, 16, 20), r"of one size .* got \(16, 16\) on cpu and \(16, 20\)"),
        (torch.zeros(2, 1, 16, 16), torch.zeros(3, 3, 16, 16), r"must be floating-point \(N, 1, H, W\)"),
        (torch.zeros(2, 3, 16, 16), torch.zeros(3, 1, 16, 16), r"must be floating-point \(N, 1, H, W\)"),
        (torch.zeros(2, 1, 16, 16, dtype=torch.uint8), torch.zeros(3, 1, 16, 16), "got torch.uint8"),
        (torch.zeros(2, 1, 16, 16), torch.zeros(0, 1, 16, 16), "at least one, got"),
    ],
)
def test_refuses_what_does_not_fit(judged, references, message):
    with pytest.raises(ValueError, match=message):
        AllPairsSSIM(references)(judged)


def test_refuses_an_unknown_filtering():
    with pytest.raises(ValueError, match="'fft'"):
        AllPairsSSIM(images(1, seed=0), filtering="fft")


@pytest.mark.parametrize("filtering", ["depthwise", "matrix"])
def test_a_stride_takes_the_mean_over_every_second_place(filtering):
    images = torch.rand(5, 1, 24, 31, generator=torch.Generator().manual_seed(0))
    strided = AllPairsSSIM(images[:3], filtering=filtering, stride=2)(images)
    for row, column in ((0, 1), (4, 2), (1, 1)):
        maps = structural_similarity(
            images[row, 0].numpy(),
            images[column, 0].numpy(),
            data_range=1,
            full=True,
            gaussian_weights=True,
            use_sample_covariance=False,
        )[1][5:-5, 5:-5]
        assert strided[row, column].item() == pytest.approx(maps[::2, ::2].mean(dtype=float), abs=1e-5)
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        AllPairsSSIM(images, stride=0)
