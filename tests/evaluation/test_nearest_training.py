"""What is seen of images beside the training images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_aggrgan.evaluation.audit_rule import Flags
from monai_aggrgan.evaluation.nearest_training import NearestTraining
from monai_aggrgan.metrics.pairwise import pairwise_ssim


def images(count: int, *, seed: int, size: int = 32) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return F.interpolate(torch.rand(count, 1, 8, 8, generator=draw), size=size, mode="bilinear")


def features(of: Tensor) -> dict[str, Tensor]:
    return {"pixels": F.avg_pool2d(of, 4).flatten(1).double()}


def test_mirrored_and_moved_copies_find_their_original() -> None:
    training = images(12, seed=0)
    see = NearestTraining(training, features(training))
    judged = torch.cat([training[3:4].flip(-1), training[5:6].roll((1, 0), (2, 3)), training[7:8]])
    seen = see(judged, features(judged))
    assert seen.match.nearest.tolist() == [3, 5, 7]
    assert seen.match.mirrored.tolist() == [True, False, False]
    assert seen.match.shift[1].tolist() == [1, 0] and seen.likeness is None
    assert seen.spaces["pixels"].distance[2] == 0 and seen.spaces["pixels"].training[2] == 7
    rows = seen.columns(Flags(torch.tensor([True, False, False]), torch.zeros(3).bool(), {}), ids=list("abcdefghijkl"))
    assert [row["ssim_training"] for row in rows] == ["d", "f", "h"]
    assert [row["flagged"] for row in rows] == ["yes", "", ""] and rows[0]["why"] == "a copy once aligned"
    assert rows[1]["shift"] == "1 0" and rows[1]["pixels_training"] == "f" and rows[0]["likeness"] == ""


def test_what_is_known_without_alignment_is_never_missed() -> None:
    training, judged = images(40, seed=0), torch.rand(30, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    see = NearestTraining(training, features(training))
    known = pairwise_ssim(judged, training)
    missed = see(judged, features(judged)).match.ssim < known.amax(dim=1)
    seen = see(judged, features(judged), nearest=tuple(known.max(dim=1))).match
    assert missed.any()  # else this test says nothing
    assert (seen.ssim >= known.amax(dim=1)).all()
    assert seen.nearest[missed].equal(known.argmax(dim=1)[missed])
    assert not seen.mirrored[missed].any() and not seen.shift[missed].any()
