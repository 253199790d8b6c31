from __future__ import annotations

import pytest
import torch

from monai_aggrgan.transforms.square import resize_square


def test_an_image_of_the_size_is_left_alone():
    image = torch.rand(1, 16, 16)
    assert torch.equal(resize_square(image, size=16), image)


@pytest.mark.parametrize("shape", [(40, 20), (20, 40), (41, 20), (20, 41)])
def test_the_shorter_side_is_padded_with_black(shape):
    padded = resize_square(torch.ones(1, *shape), size=max(shape))[0]
    assert padded.shape == (max(shape), max(shape))
    assert padded.sum() == shape[0] * shape[1]
    rows, columns = padded.nonzero().T
    for found, length in ((rows, shape[0]), (columns, shape[1])):
        before, after = found.min(), max(shape) - 1 - found.max()
        assert found.max() - found.min() + 1 == length
        assert 0 <= after - before <= 1


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_the_aspect_ratio_is_kept(size):
    image = torch.zeros(1, 96, 64)
    image[0, 24:72, 8:56] = 1  # a square
    resized = resize_square(image, size=size)[0]
    assert resized.shape == (size, size)
    assert resized.sum() / size**2 == pytest.approx((48 / 96) ** 2, rel=0.02)
    height, width = ((resized.sum(dim=dim) / resized.max()).max().item() for dim in (0, 1))
    assert height == pytest.approx(width, rel=0.01)
    assert height == pytest.approx(size / 2, rel=0.02)


def test_a_checkerboard_becomes_grey():
    board = (torch.arange(96)[:, None] + torch.arange(96)) % 2  # sampled at every third pixel it would stay itself
    small = resize_square(board.float()[None], size=32)
    assert (small[:, 2:-2, 2:-2] - 0.5).abs().max() < 0.01


def test_the_mean_stays_and_the_range_too():
    image = (torch.rand(1, 96, 96, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    for size in (24, 64, 200):
        resized = resize_square(image, size=size)
        assert resized.mean() == pytest.approx(image.mean().item(), abs=0.01)
        assert 0 <= resized.min() <= resized.max() <= 1


def test_many_images_are_resized_as_one_by_one():
    images = torch.rand(3, 2, 1, 40, 30)
    resized = resize_square(images, size=16)
    assert resized.shape == (3, 2, 1, 16, 16)
    assert torch.equal(resized[1, 1], resize_square(images[1, 1], size=16))


@pytest.mark.parametrize("spacing", [(2.0, 1.0), (1.0, 2.0), (1.5, 0.5), (0.9, 0.9)])
def test_pixels_become_square(spacing):
    """A disc of 30 mm in a field of 60 mm, sampled at `spacing`, is a disc of half the side afterwards."""
    rows, columns = (torch.arange(0.5 * step, 60, step) - 30 for step in spacing)
    disc = (torch.hypot(rows[:, None], columns[None]) < 15).float()[None]
    resized = resize_square(disc, size=64, spacing=spacing)[0]
    height, width = (resized.amax(dim=dim).sum().item() for dim in (1, 0))
    assert height == pytest.approx(32, abs=2.5) and width == pytest.approx(32, abs=2.5)
    assert resized.sum() / 64**2 == pytest.approx(torch.pi / 16, rel=0.05)


def test_the_side_that_is_shorter_in_millimetres_is_padded():
    resized = resize_square(torch.ones(1, 40, 20), size=40, spacing=(1.0, 4.0))[0]  # 40 mm by 80 mm
    assert resized[:9].max() == resized[-9:].max() == 0
    assert resized[11:29].min() == 1


def test_the_unit_of_spacing_does_not_matter():
    image = torch.rand(1, 30, 50)
    assert torch.equal(resize_square(image, size=32, spacing=(0.7, 0.7)), resize_square(image, size=32))
