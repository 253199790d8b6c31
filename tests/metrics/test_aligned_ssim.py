from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from monai_aggrgan.data import phantom_slice
from monai_aggrgan.metrics import aligned_ssim
from monai_aggrgan.metrics.aligned_ssim import AlignedSSIM


def heads(seeds: range, *, size: int = 64) -> Tensor:
    return torch.from_numpy(np.stack([phantom_slice("ring", seed=seed, size=size) for seed in seeds]))[:, None]


def overlap(image: Tensor, reference: Tensor, *, mirrored: bool, down: int, right: int) -> float:
    """SSIM by scikit-image of what the moved reference (H, W) covers of the image (H, W)."""
    height, width = image.shape
    reference = reference.flip(-1) if mirrored else reference
    covered = [(y, x) for y in range(height) for x in range(width) if 0 <= y - down < height and 0 <= x - right < width]
    (top, left), (bottom, end) = covered[0], covered[-1]
    mine = image[top : bottom + 1, left : end + 1].double().numpy()
    other = reference[top - down : bottom + 1 - down, left - right : end + 1 - right].double().numpy()
    _, full = structural_similarity(
        mine, other, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return float(full[5:-5, 5:-5].mean())


TRAINING, OTHERS = heads(range(12)), heads(range(20, 26))


@pytest.mark.parametrize("size", [(64, 64), (64, 48), (33, 40)])
@pytest.mark.parametrize(("mirrored", "shift"), [(False, (0, 0)), (True, (1, -1)), (False, (-1, 1)), (True, (0, 1))])
def test_mirrored_and_moved_copies_are_found(size, mirrored, shift):
    training = torch.nn.functional.interpolate(TRAINING, size=size, mode="area")
    moved = (training.flip(-1) if mirrored else training).roll(shift, (2, 3))
    found = AlignedSSIM(training)(moved)
    assert found.nearest.tolist() == list(range(12))
    assert found.mirrored.tolist() == [mirrored] * 12
    assert found.shift.tolist() == [list(shift)] * 12
    np.testing.assert_allclose(found.ssim, 1, atol=1e-5)


def test_the_value_is_that_of_scikit_image_where_they_overlap():
    found = AlignedSSIM(TRAINING)(OTHERS)
    expected = [
        overlap(image[0], TRAINING[nearest, 0], mirrored=bool(mirrored), down=int(shift[0]), right=int(shift[1]))
        for image, nearest, mirrored, shift in zip(OTHERS, found.nearest, found.mirrored, found.shift, strict=True)
    ]
    np.testing.assert_allclose(found.ssim, expected, atol=2e-6)
    assert found.shift.any() and found.mirrored.any()


def test_little_is_missed_of_the_highest_of_all_pairs_and_shifts():
    found = AlignedSSIM(TRAINING)(OTHERS)
    ways = list(product(range(12), (False, True), range(-2, 3), range(-2, 3)))
    highest = torch.tensor(
        [
            max(overlap(image[0], TRAINING[n, 0], mirrored=m, down=d, right=r) for n, m, d, r in ways)
            for image in OTHERS[:2]
        ]
    )
    missed = highest - found.ssim[:2]
    assert missed.min() > -1e-5
    assert missed.max() < 0.02
    still = AlignedSSIM(TRAINING, max_shift=0)(OTHERS)
    assert not still.shift.any()
    assert still.ssim.mean() < found.ssim.mean()


def test_a_noisy_moved_copy_is_found_among_others():
    noisy = (TRAINING.roll((2, -1), (2, 3)) + 0.02 * torch.randn(TRAINING.shape, generator=torch.Generator())).clamp(
        0, 1
    )
    found = AlignedSSIM(TRAINING)(noisy)
    assert found.nearest.tolist() == list(range(12))
    assert found.shift.tolist() == [[2, -1]] * 12


@pytest.mark.parametrize(("size", "shift"), [(11, 0), (12, 1), (16, 1), (63, 1), (64, 2), (96, 3)])
def test_images_of_any_size_from_the_window_on(size, shift):
    images = torch.rand(5, 1, size, size, generator=torch.Generator().manual_seed(0))
    search = AlignedSSIM(images)
    assert search.max_shift == shift
    assert search(images).nearest.tolist() == list(range(5))
    assert AlignedSSIM(images[:1])(images).nearest.tolist() == [0] * 5


def test_constant_images_are_compared():
    grey = torch.stack([torch.full((1, 32, 32), level) for level in (0.0, 0.5, 1.0)])
    found = AlignedSSIM(grey)(grey)
    assert found.ssim.isfinite().all()
    np.testing.assert_allclose(found.ssim, 1, atol=1e-5)


def test_blocks_make_no_difference(monkeypatch):
    whole = AlignedSSIM(TRAINING)(OTHERS)
    monkeypatch.setattr(aligned_ssim, "BLOCK", 2)
    monkeypatch.setattr(aligned_ssim, "PAIRS", 3)
    parts = AlignedSSIM(TRAINING)(OTHERS)
    np.testing.assert_allclose(whole.ssim, parts.ssim, atol=1e-6)
    for name in ("nearest", "mirrored", "shift"):
        assert torch.equal(getattr(whole, name), getattr(parts, name))


def test_memory_does_not_grow_with_the_judged_images(monkeypatch):
    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if (
                isinstance(result, Tensor)
                and result.untyped_storage().data_ptr() != judged.untyped_storage().data_ptr()
            ):
                self.numbers = max(self.numbers, result.numel())
            return result

    monkeypatch.setattr(aligned_ssim, "BLOCK", 4)
    search, largest = AlignedSSIM(TRAINING), []
    for times in (1, 8):
        judged = OTHERS.repeat(times, 1, 1, 1)
        with Largest() as seen:
            search(judged)
        largest.append(seen.numbers)
    assert largest[0] == largest[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    found, expected = AlignedSSIM(TRAINING.cuda())(OTHERS.cuda()), AlignedSSIM(TRAINING)(OTHERS)
    np.testing.assert_allclose(found.ssim.cpu(), expected.ssim, atol=1e-4)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 11x11 pixels, got 10x16"):
        AlignedSSIM(torch.rand(2, 1, 10, 16))
    with pytest.raises(ValueError, match=r"max_shift must lie in 0\.\.5 .*got 6 and 8"):
        AlignedSSIM(torch.rand(2, 1, 16, 16), max_shift=6)
    with pytest.raises(ValueError, match="shortlist be at least 1, got 1 and 0"):
        AlignedSSIM(torch.rand(2, 1, 16, 16), shortlist=0)
    with pytest.raises(ValueError, match="of one size"):
        AlignedSSIM(torch.rand(2, 1, 16, 16))(torch.rand(2, 1, 16, 17))


@pytest.mark.parametrize("shape", [(2, 1, 16), (2, 1, 16, 16, 16)])
def test_signals_and_volumes_are_refused(shape):
    with pytest.raises(ValueError, match=r"must be slices \(M, 1, H, W\) to be mirrored, got \(2, 1, 16"):
        AlignedSSIM(torch.rand(shape))
