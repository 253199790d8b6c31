"""SSIM of chosen pairs, and the nearest of many by a shortlist."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from monai_aggrgan.data import phantom_slice
from monai_aggrgan.metrics.all_pairs_ssim import AllPairsSSIM
from monai_aggrgan.metrics.chosen_pairs_ssim import ShortlistSSIM, chosen_pairs_ssim
from monai_aggrgan.metrics.pairwise import pairwise_ssim


def heads(seeds: range, *, size: int) -> Tensor:
    return torch.stack([torch.from_numpy(phantom_slice("ring", seed=seed, size=size))[None] for seed in seeds])


@pytest.mark.parametrize("size", [(16, 20), (64, 64)])
def test_chosen_pairs_have_the_value_of_all_pairs(size, monkeypatch):
    draw = torch.Generator().manual_seed(0)
    judged, references = (torch.rand(n, 1, *size, generator=draw) for n in (5, 7))
    choices = torch.randint(7, (5, 3), generator=draw)
    expected = pairwise_ssim(judged, references).gather(1, choices)
    torch.testing.assert_close(chosen_pairs_ssim(judged, references, choices), expected, atol=2e-6, rtol=0)
    monkeypatch.setitem(import_module(chosen_pairs_ssim.__module__).PAIRS, "cpu", 4)
    torch.testing.assert_close(chosen_pairs_ssim(judged, references, choices), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", [32, 128])
def test_the_nearest_is_that_of_all_pairs(size):
    references, judged = heads(range(60), size=size), heads(range(60, 72), size=size)
    judged = torch.cat([judged, (0.5 * references[:6] + 0.5 * references[6:12])])
    search = ShortlistSSIM(references)
    ssim, nearest = search.nearest(judged, search.shortlist(judged))
    exact = pairwise_ssim(judged, references)
    assert nearest.equal(exact.argmax(dim=1))
    torch.testing.assert_close(ssim, exact.amax(dim=1), atol=2e-6, rtol=0)


def test_large_images_are_searched_at_half_their_size_and_small_ones_as_they_are():
    large, small = heads(range(12), size=128), heads(range(12), size=64)
    halved = F.interpolate(large, size=64, mode="area")
    for images, seen in ((large, halved), (small, small)):
        rough = AllPairsSSIM(seen, stride=2 if images is large else 1)(seen)
        assert ShortlistSSIM(images, length=5).shortlist(images).equal(rough.topk(5, dim=1).indices)


def test_of_equals_the_first_and_of_excluded_none():
    references = heads(range(6), size=32)[[3, 1, 1, 2, 1]]
    search = ShortlistSSIM(references, length=4)
    judged = references[[1, 0]]
    assert search.nearest(judged, search.shortlist(judged))[1].tolist() == [1, 0]
    exclude = torch.tensor([[False, True, False, False, False], [True] * 5])
    shortlist = search.shortlist(judged, exclude=exclude)
    assert shortlist[1].tolist() == [-1] * 4 and 1 not in shortlist[0]
    ssim, nearest = search.nearest(judged, shortlist)
    assert nearest.tolist() == [2, -1] and ssim[1].isnan()
    with pytest.raises(ValueError, match=r"exclude must be \(2, 5\), got \(5, 2\)"):
        search.shortlist(judged, exclude=exclude.T)


def test_real_slices_find_their_nearest(shared):
    import numpy as np
    from PIL import Image

    files = sorted((shared / "data" / "figshare_128" / "pituitary").glob("*.png"))[::4]
    images = torch.from_numpy(np.stack([np.asarray(Image.open(file)) for file in files])).float().div(255)[:, None]
    judged, references = images[:24], images[24:184]
    search = ShortlistSSIM(references)
    ssim, nearest = search.nearest(judged, search.shortlist(judged))
    exact = pairwise_ssim(judged, references)
    assert (nearest == exact.argmax(dim=1)).float().mean() > 0.95
    assert (exact.amax(dim=1) - ssim).max() < 0.01


def test_what_does_not_fit_is_refused():
    images = torch.rand(3, 1, 16, 16)
    with pytest.raises(ValueError, match=r"choices must be \(3, K\), got \(2, 1\)"):
        chosen_pairs_ssim(images, images, torch.zeros(2, 1, dtype=torch.long))
    with pytest.raises(ValueError, match="one size"):
        chosen_pairs_ssim(images, torch.rand(3, 1, 16, 17), torch.zeros(3, 1, dtype=torch.long))
    with pytest.raises(ValueError, match="at least 11x11"):
        chosen_pairs_ssim(images[..., :8, :], images[..., :8, :], torch.zeros(3, 1, dtype=torch.long))
    with pytest.raises(ValueError, match=r"floating-point \(N, 1, H, W\)"):
        ShortlistSSIM(images[:, 0])


@pytest.mark.parametrize("shape", [(150,), (12, 13, 14)])
def test_chosen_pairs_of_signals_and_volumes_are_those_of_all_pairs(shape):
    judged, references = (torch.rand(4, 1, *shape, generator=torch.Generator().manual_seed(i)) for i in range(2))
    choices = torch.tensor([[0, 3], [1, 1], [2, 0], [3, 2]])
    everything = AllPairsSSIM(references)(judged)
    torch.testing.assert_close(chosen_pairs_ssim(judged, references, choices), everything.gather(1, choices))
    shortlist = ShortlistSSIM(references, length=4)
    scores, nearest = shortlist.nearest(judged, shortlist.shortlist(judged))
    torch.testing.assert_close(scores, everything.amax(1))
    assert nearest.tolist() == everything.argmax(1).tolist()
