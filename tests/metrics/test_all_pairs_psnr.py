from __future__ import annotations

import math

import pytest
import torch
from monai.data import MetaTensor
from monai.metrics import PSNRMetric
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from monai_aggrgan.metrics import all_pairs_psnr
from monai_aggrgan.metrics.all_pairs_psnr import AllPairsPSNR


def images(count: int, *, seed: int, size: int = 24) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def test_equals_scikit_image_and_monai():
    judged, references = images(3, seed=0), images(4, seed=1)
    scores = AllPairsPSNR(references)(judged)
    arrays = [[(y[0].double().numpy(), x[0].double().numpy()) for y in references] for x in judged]
    expected = torch.tensor([[peak_signal_noise_ratio(*pair, data_range=1) for pair in row] for row in arrays])
    torch.testing.assert_close(scores.double(), expected, rtol=0, atol=1e-5)
    by_monai = PSNRMetric(max_val=1.0)(judged.repeat_interleave(4, 0), references.repeat(3, 1, 1, 1)).view(3, 4)
    torch.testing.assert_close(scores, by_monai, rtol=0, atol=1e-5)


def test_of_copies_is_infinite_and_of_near_copies_exact():
    originals = images(3, seed=0, size=64)
    nearly = originals.clone()
    nearly[:, 0, 5, 5] += 1e-5
    scores = AllPairsPSNR(originals)(torch.cat([originals, originals + 1e-4, nearly]))
    assert scores[:3].diagonal().tolist() == [math.inf] * 3
    torch.testing.assert_close(scores[3:6].diagonal(), torch.full((3,), 80.0), rtol=0, atol=0.02)
    one_pixel = -10 * torch.log10((nearly - originals).double().square().sum((1, 2, 3)) / 64**2)
    torch.testing.assert_close(scores[6:].diagonal().double(), one_pixel, rtol=0, atol=1e-5)
    assert scores[:3].masked_select(~torch.eye(3, dtype=torch.bool)).max() < 10


@pytest.mark.parametrize("block", [1, 3, 256])
def test_does_not_depend_on_the_blocks(monkeypatch, block):
    judged, references = images(8, seed=0), images(5, seed=1)
    expected = AllPairsPSNR(references)(judged)
    monkeypatch.setattr(all_pairs_psnr, "BLOCK", block)
    monkeypatch.setattr(all_pairs_psnr, "PAIRS", block)
    torch.testing.assert_close(AllPairsPSNR(references)(judged), expected, rtol=0, atol=1e-5)
    assert AllPairsPSNR(references)(references).diagonal().tolist() == [math.inf] * 5


def test_black_images_are_alike():
    black = torch.zeros(2, 1, 16, 16)
    assert AllPairsPSNR(black)(black).isinf().all()


def test_metadata_is_left_behind():
    assert type(AllPairsPSNR(MetaTensor(images(2, seed=1)))(MetaTensor(images(2, seed=0)))) is Tensor


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="of one size and on one device"):
        AllPairsPSNR(images(2, seed=0))(images(2, seed=0, size=32))
    with pytest.raises(ValueError, match="must be floating-point"):
        AllPairsPSNR(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
