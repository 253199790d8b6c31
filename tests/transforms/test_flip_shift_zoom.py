"""Plain augmentation: what each kind does, exactly, and that it depends on the seed alone."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from monai_aggrgan.transforms import flip_shift_zoom
from monai_aggrgan.transforms.flip_shift_zoom import KINDS

SEEDS = range(40)


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(1, 32, 40, generator=torch.Generator().manual_seed(0))


def shift_of(image: torch.Tensor, shifted: torch.Tensor) -> list[tuple[int, int]]:
    """All whole shifts (rows, columns) that explain the result, with 0 where nothing comes from."""
    height, width = image.shape[1:]
    found = []
    for rows in range(-5, 6):
        for columns in range(-5, 6):
            moved = torch.zeros_like(image)
            moved[:, max(rows, 0) : height + min(rows, 0), max(columns, 0) : width + min(columns, 0)] = image[
                :, max(-rows, 0) : height + min(-rows, 0), max(-columns, 0) : width + min(-columns, 0)
            ]
            if torch.equal(moved, shifted):
                found.append((rows, columns))
    return found


def test_a_flip_exchanges_left_and_right_exactly(image):
    flipped = flip_shift_zoom(image, "flip", 3)
    assert torch.equal(flipped, image[:, :, torch.arange(39, -1, -1)])
    assert torch.equal(flip_shift_zoom(flipped, "flip", 4), image)


def test_a_shift_is_by_whole_pixels_of_at_most_a_tenth_and_never_none(image):
    shifts = [shift_of(image, flip_shift_zoom(image, "shift", seed)) for seed in SEEDS]
    assert all(len(found) == 1 for found in shifts)
    rows, columns = zip(*(found[0] for found in shifts), strict=True)
    assert (0, 0) not in zip(rows, columns, strict=True)
    assert {min(rows), max(rows)} == {-3, 3} and {min(columns), max(columns)} == {-4, 4}


def test_a_small_image_is_shifted_by_one_pixel():
    small = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0))
    shifts = [shift_of(small, flip_shift_zoom(small, "shift", seed)) for seed in SEEDS]
    assert {abs(way) for found in shifts for way in found[0]} == {0, 1}
    assert all(found != [(0, 0)] for found in shifts)


def size_of(zoomed: torch.Tensor) -> float:
    """By how much a disc became wider, of its area."""
    return float(zoomed.sum() / disc().sum()) ** 0.5


def disc() -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(64) - 31.5, torch.arange(64) - 31.5, indexing="ij")
    return ((rows.square() + columns.square()) < 20**2).float()[None]


def test_a_zoom_scales_about_the_centre_by_at_most_a_tenth_and_never_by_one():
    zoomed = [flip_shift_zoom(disc(), "zoom", seed) for seed in SEEDS]
    sizes = np.array([size_of(image) for image in zoomed])
    assert (np.abs(sizes - 1) > 0.015).all() and (np.abs(sizes - 1) < 0.105).all()
    assert sizes.min() < 0.93 and sizes.max() > 1.07
    for image in zoomed:
        assert image.shape == (1, 64, 64)
        torch.testing.assert_close(image, image.flip(1, 2), rtol=0, atol=1e-4)


def test_a_zoom_is_that_of_scipy(image):
    square = image[:, :, :32]
    zoomed = flip_shift_zoom(square, "zoom", 5)
    random = np.random.default_rng(5)
    size = 1 + random.choice((-1, 1)) * random.uniform(0.02, 0.1)
    centre = np.full(2, 15.5)
    padded = np.pad(square[0].double().numpy(), 4)  # grid_sample fades over the border's pixel, scipy cuts there
    expected = affine_transform(padded, np.eye(2) / size, centre + 4 - centre / size, output_shape=(32, 32), order=1)
    np.testing.assert_allclose(zoomed[0].numpy(), expected, atol=1e-4)


def test_what_comes_into_the_frame_is_black():
    white = torch.ones(1, 32, 32)
    seen = {kind: [flip_shift_zoom(white, kind, seed) for seed in SEEDS] for kind in ("shift", "zoom")}
    assert all(set(image.unique().tolist()) == {0.0, 1.0} for image in seen["shift"])
    smaller = [image for image in seen["zoom"] if image.sum() < 32 * 32 * 0.9]
    assert smaller and all(image[0, 0, 0] < 0.5 and image[0, 16, 16] == 1 for image in smaller)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_plain_tensor_in_range_decided_by_the_seed_alone(kind, image):
    before, state = image.clone(), torch.random.get_rng_state()
    made = [flip_shift_zoom(image, kind, seed) for seed in SEEDS]
    assert all(type(one) is torch.Tensor and one.shape == image.shape and one.dtype == torch.float32 for one in made)
    assert all(one.min() >= 0 and one.max() <= 1 and not torch.equal(one, image) for one in made)
    np.random.seed(7)
    assert torch.equal(flip_shift_zoom(image, kind, 9), made[9])
    assert torch.equal(image, before) and torch.equal(torch.random.get_rng_state(), state)
    different = len({one.numpy().tobytes() for one in made})
    assert different == 1 if kind == "flip" else different > 20


def test_a_wrong_kind_or_shape_is_refused(image):
    with pytest.raises(ValueError, match="turn"):
        flip_shift_zoom(image, "turn", 0)
    with pytest.raises(ValueError, match=r"image must be \(1, H, W\) or \(1, D, H, W\), got shape \(32, 40\)"):
        flip_shift_zoom(image[0], "flip", 0)


def test_a_volume_is_changed_along_every_axis_it_has():
    volume = torch.rand(1, 11, 12, 13, generator=torch.Generator().manual_seed(0))
    assert torch.equal(flip_shift_zoom(volume, "flip", 0), volume.flip(-1))
    shifted = [flip_shift_zoom(volume, "shift", seed) for seed in range(8)]
    moves = [
        next(
            move
            for move in product((-1, 0, 1), repeat=3)
            if torch.equal(volume.roll(move, (1, 2, 3))[:, 1:-1, 1:-1, 1:-1], moved[:, 1:-1, 1:-1, 1:-1])
        )
        for moved in shifted
    ]
    assert all(any(move) for move in moves) and all(any(move[axis] for move in moves) for axis in range(3))


def test_a_zoom_of_a_volume_scales_all_axes_alike():
    places = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, 21)] * 3, indexing="ij"))
    ball = (places.square().sum(0) < 0.5).float()[None]
    zoomed = flip_shift_zoom(ball, "zoom", 1)
    assert not torch.equal(zoomed, ball)
    for order in ((0, 2, 1, 3), (0, 3, 2, 1)):
        torch.testing.assert_close(zoomed, zoomed.permute(order), rtol=0, atol=1e-5)
    size = (zoomed.sum() / ball.sum()).item() ** (1 / 3)
    assert 0.02 < abs(size - 1) < 0.12


def test_a_signal_is_refused():
    with pytest.raises(ValueError, match=r"image must be \(1, H, W\) or \(1, D, H, W\), got shape \(1, 32\)"):
        flip_shift_zoom(torch.rand(1, 32), "shift", 0)
