"""Pixels of the pictures: where images stand, that they are not blurred, and that text is beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from monai_aggrgan.visualize.figures import ORIGINAL, contact_sheet, labelled_rows, method_figure


def greys(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One channel of an 8-bit picture (height, width, 3) in which nothing is coloured."""
    assert picture.dtype == np.uint8 and picture.shape[2:] == (3,)
    assert np.array_equal(picture.min(axis=2), picture.max(axis=2))
    return picture[..., 0]


def flat(*greys: float) -> torch.Tensor:
    """Images (N, 1, 32, 32), each of one grey: fractions of 255, so that 8 bits hold them exactly."""
    return torch.tensor(greys).view(-1, 1, 1, 1).expand(-1, 1, 32, 32) / 255


def places(picture: np.ndarray, grey: int) -> tuple[int, int, int]:
    """Top, left and size of the square of this grey; stray pixels of smooth letters are passed over."""
    found = picture == grey
    rows, columns = (np.nonzero(found.sum(axis=axis) > 100)[0] for axis in (1, 0))
    return int(rows[0]), int(columns[0]), len(rows)


def test_contact_sheet_shows_images_row_by_row_enlarged_by_a_whole_number() -> None:
    picture = greys(contact_sheet(flat(10, 20, 30), columns=2))
    first, second, third = (places(picture, grey) for grey in (10, 20, 30))
    assert first[2] == second[2] == third[2] == 128
    assert (second[0] - first[0], second[1] - first[1]) == (0, 136)
    assert (third[0] - first[0], third[1] - first[1]) == (136, 0)


def test_pixels_are_not_blurred() -> None:
    noise = torch.randint(0, 200, (1, 1, 32, 32), generator=torch.Generator().manual_seed(0)) / 255
    picture = greys(contact_sheet(noise))
    top, left = (int(index.min()) for index in np.nonzero(picture < 255))
    shown = picture[top : top + 128 : 4, left : left + 128 : 4]
    assert np.array_equal(shown, (noise[0, 0] * 255).round().numpy())


def test_method_figure_has_classes_as_rows_and_the_original_rightmost() -> None:
    a = dict(zip((ORIGINAL, "DCGAN-1", "AGGrGAN (SSIM)"), flat(10, 20, 30), strict=True))
    b = dict(zip((ORIGINAL, "DCGAN-1"), flat(40, 50), strict=True))
    picture = greys(method_figure({"a": a, "b": b}))
    where = {grey: places(picture, grey)[:2] for grey in (10, 20, 30, 40, 50)}
    assert where[20][1] < where[30][1] < where[10][1]
    assert where[50][1] == where[20][1] and where[40][1] == where[10][1]
    assert where[10][0] == where[20][0] == where[30][0] < where[40][0] == where[50][0]


def test_labels_and_title_are_written() -> None:
    images = {r"no $\formula$": {"DCGAN-1 + style transfer": flat(200)[0]}}
    picture = greys(method_figure(images, title="A title"))
    top, left, _ = places(picture, 200)
    title, header = picture[: top // 2], picture[top // 2 : top]
    assert max(title.min(), header.min(), picture[top:, :left].min()) < 100


def test_labelled_rows_stand_below_each_other_with_lying_labels_at_their_left() -> None:
    rows = [("glioma\ntraining", list(flat(10, 20, 30))), ("none", []), ("meningioma", list(flat(40)))]
    picture = greys(labelled_rows(rows, columns=["first", "second", "third"], title="A title"))
    top, left, size = places(picture, 10)
    assert size == 128
    assert [places(picture, grey)[:2] for grey in (20, 30, 40)] == [
        (top, left + 136),
        (top, left + 272),
        (top + 272, left),
    ]
    sides = [picture[top + start : top + start + 128, : left - 5] for start in (0, 136, 272)]
    assert max(side.min() for side in sides) < 100
    heights, widths = zip(*(np.ptp(np.nonzero(side < 128), axis=1) for side in sides), strict=True)
    assert heights[0] > heights[1] < widths[1] < widths[2]  # two lines; not turned; the longer name is wider
    headings = picture[top - 30 : top - 5]
    assert all(headings[:, left + start : left + start + 128].min() < 100 for start in (0, 136, 272))
    assert picture[: top - 30].min() < 100


def test_the_same_images_give_the_same_picture() -> None:
    first, second = (contact_sheet(flat(10, 20), title="A title") for _ in range(2))
    assert np.array_equal(first, second)


def test_pictures_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(ValueError, match="no image"):
        contact_sheet(flat())
    with pytest.raises(ValueError, match="no image"):
        labelled_rows([("a", [])])
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        contact_sheet(flat(10), columns=0)
    with pytest.raises(ValueError, match="one shape"):
        method_figure({"a": {"DCGAN-1": flat(10)[0], ORIGINAL: flat(10)[0, :, :16]}})


def test_contact_sheet_shows_the_middle_slices_of_volumes_and_the_curves_of_signals() -> None:
    volumes = torch.rand(3, 1, 5, 16, 16)
    assert np.array_equal(contact_sheet(volumes), contact_sheet(volumes[:, :, 2]))
    signals = torch.tensor([[[0.0, 0.25, 0.5, 1.0]]])
    drawn = torch.tensor([[0.0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1]])
    assert np.array_equal(contact_sheet(signals), contact_sheet(drawn[None, None]))
    with pytest.raises(ValueError, match=r"images must be \(N, 1, H, W\), .*, got shape \(3, 16\)"):
        contact_sheet(torch.rand(3, 16))


@pytest.mark.parametrize("shape", [(1, 16), (1, 4, 16, 16), (2, 16, 16)])
def test_other_figures_are_of_images(shape) -> None:
    for draw in (lambda image: method_figure({"a": {"b": image}}), lambda image: labelled_rows([("a", [image])])):
        with pytest.raises(ValueError, match=r"images of one shape \(1, H, W\), got \[\("):
            draw(torch.rand(shape))
