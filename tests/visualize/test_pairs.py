"""Pairs of images as a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_aggrgan.visualize.pairs import pairs_figure

BLACK, GREY = torch.zeros(1, 64, 64), torch.full((1, 64, 64), 0.5)


def test_each_image_is_there_in_its_place() -> None:
    picture = pairs_figure([(" ", BLACK, GREY)] * 3, columns=2)
    side = 128
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert (picture == 128).all(axis=2).sum() == 3 * side**2
    assert (picture[:, :, 0] == 0).sum() >= 3 * side**2
    row = (picture == 128).all(axis=2).any(axis=1)
    assert row.sum() == 2 * side  # two rows of pairs, the second with an empty place


def test_labels_and_title_leave_ink() -> None:
    plain, named, titled = (
        pairs_figure([(label, GREY, GREY)], title=title)
        for label, title in ((" ", ""), ("SSIM 0.91", ""), (" ", "disc"))
    )
    dark = [(picture < 100).sum() for picture in (plain, named, titled)]
    assert dark[0] == 0 < dark[1] and dark[2] > 0


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        pairs_figure([("", BLACK, GREY)], columns=0)
    with pytest.raises(ValueError, match="one shape"):
        pairs_figure([("", BLACK, torch.zeros(1, 32, 32))])
    with pytest.raises(ValueError):
        pairs_figure([])
