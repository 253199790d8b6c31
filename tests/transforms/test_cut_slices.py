from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.transforms.cut_slices import CutSlices

AFFINE = np.diag([-1.0, -1, 2, 1])  # LPS: columns and rows of an axial slice as stored


def head(*, depth: int = 21, dtype: str = "int16", peak: float = 1000) -> np.ndarray:
    """(X, Y, Z): an ellipsoid that fills slices 2 to 18, brighter upwards, with structure inside."""
    x, y, z = np.meshgrid(np.linspace(-1, 1, 24), np.linspace(-1, 1, 24), np.linspace(-1, 1, depth), indexing="ij")
    inside = (x / 0.8) ** 2 + (y / 0.9) ** 2 + (z / 0.85) ** 2 < 1
    return (inside * (0.4 + 0.2 * (x > 0) + 0.2 * z + 0.1 * (y > 0)) * peak).astype(dtype)


def cut(volume: np.ndarray, *, label: np.ndarray | None = None, **options: object) -> list:
    placed = None if label is None else (label, AFFINE)
    return CutSlices(size=24, **options).cut({"t1": (volume, AFFINE)}, label=placed)


def test_a_slice_tells_where_it_came_from():
    slices = cut(head())
    assert [slice_.index for slice_ in slices] == [8, 10, 12]
    first = slices[0]
    assert (first.class_name, first.shape, first.spacing) == ("t1", (24, 24), (1.0, 1.0))
    assert first.image.shape == (1, 24, 24) and first.image.dtype == torch.float32
    assert (first.low, first.high) == tuple(np.percentile(head(), (0.5, 99.5)))


def test_pixels_are_the_volumes_scaled_by_the_range_of_the_volume():
    volume = head()
    for slice_ in cut(volume):
        expected = ((volume[:, :, slice_.index].T - slice_.low) / (slice_.high - slice_.low)).clip(0, 1)
        np.testing.assert_allclose(slice_.image[0].numpy(), expected, atol=1e-5)


def test_by_the_volume_brightness_differs_between_slices_and_by_the_slice_it_does_not():
    by_volume, by_slice = ([s.image.max().item() for s in cut(head(), intensity=name)] for name in ("volume", "slice"))
    assert by_volume == sorted(by_volume) and by_volume[0] < 0.95
    assert by_slice == [1, 1, 1]


def test_a_window_is_in_the_files_units():
    slices = cut(head(), intensity=(300, 700))
    assert {(s.low, s.high) for s in slices} == {(300, 700)}
    expected = ((head()[:, :, 10].T - 300) / 400.0).clip(0, 1)
    np.testing.assert_allclose(slices[1].image[0].numpy(), expected, atol=1e-5)


def test_8_bit_volumes_are_divided_by_255():
    volume = head(dtype="uint8", peak=200)
    np.testing.assert_allclose(cut(volume)[1].image[0].numpy(), volume[:, :, 10].T / 255, atol=1e-6)


def test_the_label_chooses_and_an_empty_one_leaves_it_to_the_foreground():
    label = np.zeros(head().shape, np.uint8)
    assert [s.index for s in cut(head(), label=label)] == [8, 10, 12]
    label[10, 10, 13:18], label[9:12, 10, 14] = 4, 4
    assert [s.index for s in cut(head(), label=label)] == [13, 14, 16]
    assert [s.index for s in cut(head(), label=label, slices="foreground")] == [8, 10, 12]
    assert [s.index for s in cut(head(), label=label, slices="every", slice_step=6)] == [2, 8, 14]


def test_all_images_of_a_case_give_the_same_slices_each_by_its_own_range():
    t1, t2 = head(), (head() * 3 + 5).astype(np.int16)
    slices = CutSlices(size=24).cut({"t1": (t1, AFFINE), "t2": (t2, AFFINE)})
    assert [(s.class_name, s.index) for s in slices] == [(n, i) for n in ("t1", "t2") for i in (8, 10, 12)]
    for one, other in zip(slices[:3], slices[3:], strict=True):
        torch.testing.assert_close(one.image, other.image, atol=5e-3, rtol=0)
    assert slices[0].high != slices[3].high


@pytest.mark.parametrize("plane", ["coronal", "sagittal"])
def test_anisotropic_voxels_become_square_pixels(plane):
    """Rows of a coronal slice are 2 mm apart and columns 1 mm: 42 mm by 24 mm."""
    slices = CutSlices(size=42, plane=plane).cut({"t1": (head(), AFFINE)})
    image = slices[0].image[0]
    assert slices[0].spacing == (2.0, 1.0) and slices[0].shape == (21, 24)
    assert image[:, :8].max() == 0 and image[:, -8:].max() == 0  # padded to a square
    assert (image.amax(dim=1) > 0.3).sum() == pytest.approx(0.85 * 42, abs=3)
    assert (image.amax(dim=0) > 0.3).sum() == pytest.approx(0.85 * 24, abs=3)


def test_a_picture_is_its_only_slice():
    picture = np.arange(30 * 20, dtype=np.uint16).reshape(30, 20)
    for options in ({}, {"slices": "label"}, {"slices": "every", "slice_step": 3}, {"plane": "sagittal"}):
        (slice_,) = CutSlices(size=30, **options).cut({"a": (picture, None)})
        assert (slice_.index, slice_.shape, slice_.spacing) == (None, (30, 20), None)
        assert slice_.image[0, :, :5].max() == 0 and slice_.image[0, -1, 24] == 1


def test_as_a_transform_it_takes_metatensors():
    volume = head()
    image = MetaTensor(volume[None], affine=torch.from_numpy(AFFINE))
    slices = CutSlices(size=24)(image)
    assert torch.equal(slices, torch.stack([s.image for s in cut(volume)]))
    assert not isinstance(slices, MetaTensor)
    label = torch.zeros(1, *volume.shape)
    label[0, 10, 10, 15] = 1
    assert torch.equal(CutSlices(size=24)(image, label)[0], cut(volume, slices="every", slice_step=13)[1].image)
    flipped = CutSlices(size=24)(torch.from_numpy(volume[None]))  # a plain tensor lies along R, A, S
    assert torch.equal(flipped, slices.flip(-1, -2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"plane": "oblique"}, "--plane must be one of axial, coronal, sagittal, stored, got 'oblique'"),
        ({"slices": "all"}, "--slices must be one of auto, label, foreground, every, got 'all'"),
        ({"intensity": "minmax"}, "--intensity must be one of volume, slice, or two intensities, got 'minmax'"),
        ({"intensity": (5, 5)}, r"--intensity must be two rising intensities such as \[-160, 240\], got \(5, 5\)"),
        ({"percentiles": (0, 101)}, r"--percentiles must be two rising numbers from 0 to 100, got \(0, 101\)"),
        ({"percentiles": (1, "99")}, "--percentiles must be two rising numbers"),
        ({"size": 0}, "--image_size must be a whole number of at least 1, got 0"),
        ({"slice_step": 0}, "--slice_step must be a whole number of at least 1, got 0"),
        ({"slice_step": True}, "--slice_step must be"),
        ({"slice_positions": ()}, r"--slice_positions must be numbers from 0 to 1, got \(\)"),
        ({"slice_positions": (0.5, 1.5)}, "--slice_positions must be numbers from 0 to 1"),
    ],
)
def test_arguments_that_cannot_be_used(options, message):
    with pytest.raises(InputError, match=message):
        CutSlices(**options)


def test_slices_by_a_label_that_is_not_there():
    with pytest.raises(
        InputError, match="no segmentation to choose slices by: add one, or choose others with --slices"
    ):
        cut(head(), slices="label")


def test_slices_by_a_label_that_is_empty():
    with pytest.raises(InputError, match="The segmentation is empty: leave the case out, or choose other slices"):
        cut(head(), slices="label", label=np.zeros(head().shape, np.uint8))


def test_pixels_that_cannot_be():
    with pytest.raises(InputError, match="Pixels of 1x1e-06 mm cannot be: correct the header"):
        CutSlices(size=24).cut({"t1": (head(), np.diag([-1e-6, -1, 2, 1]))})


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 8, 8, 8), (8, 8, 8), (1, 1, 8, 8, 8)])
def test_what_is_no_volume(shape):
    with pytest.raises(InputError, match=r"CutSlices takes volumes \(1, X, Y, Z\), got shape"):
        CutSlices(size=24)(torch.rand(shape))


def test_a_window_in_which_there_is_nothing():
    with pytest.raises(InputError, match="No pixel is brighter than a tenth of the range"):
        cut(head(), intensity=(5000, 9000))
    with pytest.raises(InputError, match=r"Slice \d+ is constant between what becomes 0 and 1"):
        cut(head(), intensity=(-900, -500))
