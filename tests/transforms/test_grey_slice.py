from __future__ import annotations

import pickle
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.transforms.grey_slice import LoadGreySlice, resize_square
from monai_aggrgan.transforms.intensity import scale_to_unit

load = LoadGreySlice()


def _pixels(dtype: str = "uint8", *, shape: tuple[int, ...] = (20, 30)) -> np.ndarray:
    """A smooth picture without symmetry: dark top left, bright bottom right, a spot at the top right."""
    rows, columns = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    picture = 0.5 * rows + 0.3 * columns
    picture[1:5, -8:-2] = 1
    return (picture * (250 if dtype == "uint8" else 4000)).astype(dtype)


def _save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def _nifti(path: Path, pixels: np.ndarray, affine: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(pixels, affine), path)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "A.TIFF", "a.PNG"])
def test_8_bit_grey_files_come_back_as_they_are(tmp_path, name):
    image = load(_save(tmp_path / name, _pixels()))
    assert image.shape == (1, 20, 30)
    assert image.dtype == torch.float32
    assert not isinstance(image, MetaTensor)
    np.testing.assert_array_equal(image[0].numpy(), _pixels().astype(np.float32) / 255)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg"])
def test_a_jpeg_comes_back_nearly_as_it_is(tmp_path, name):
    image = load(_save(tmp_path / name, _pixels(), quality=95))
    assert (image[0] - scale_to_unit(_pixels())).abs().mean() < 0.01


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_16_bit_files_are_scaled_by_percentiles(tmp_path, name):
    image = load(_save(tmp_path / name, _pixels("uint16")))
    assert torch.equal(image[0], scale_to_unit(_pixels("uint16")))
    assert image.max() == 1


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">u2", "float64"])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 1, 1)])
def test_arrays_are_taken_as_they_are(tmp_path, dtype, shape):
    np.save(tmp_path / "a.npy", _pixels(dtype).reshape(shape))
    assert torch.equal(load(str(tmp_path / "a.npy")), scale_to_unit(_pixels(dtype))[None])


def test_a_black_and_white_png_is_grey(tmp_path):
    image = load(_save(tmp_path / "a.png", np.eye(8) > 0))
    assert torch.equal(image[0], torch.eye(8))


def _turned(affine: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """The picture as stored under an affine, built from where each pixel lies in the patient (RAS+), and the affine."""
    picture = _pixels("int16")
    matrix = np.array(affine, float)
    swapped = matrix[0, 0] == 0
    stored = picture if swapped else picture.T  # stored axes: (rows, columns) or (columns, rows)
    row_axis, column_axis = (0, 1) if swapped else (1, 0)
    if matrix[1, row_axis] > 0:  # rows run to posterior in the picture
        stored = np.flip(stored, row_axis)
    if matrix[0, column_axis] > 0:  # columns run to the patient's left
        stored = np.flip(stored, column_axis)
    full = np.diag([1.0, 1, 1, 1])
    full[:2, :2] = matrix
    full[:3, 3] = (-90, 126, -72)
    return np.ascontiguousarray(stored), full


AFFINES = {
    "LP": [[-1, 0], [0, -1]],
    "RA": [[1, 0], [0, 1]],
    "LA": [[-1, 0], [0, 1]],
    "RP": [[0.5, 0], [0, -0.5]],
    "PL": [[0, -1], [-1, 0]],
    "AR": [[0, 2], [2, 0]],
    "AL": [[0, -1], [1, 0]],
    "PR": [[0, 1], [-1, 0]],
}


@pytest.mark.parametrize("axes", AFFINES)
@pytest.mark.parametrize("trailing", [(), (1,)])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_slices_stand_upright_whatever_their_affine(tmp_path, axes, trailing, name):
    stored, affine = _turned(AFFINES[axes])
    path = _nifti(tmp_path / name, stored.reshape(*stored.shape, *trailing), affine)
    assert "".join(nibabel.aff2axcodes(nibabel.load(path).affine)[:2]) == axes
    assert torch.equal(load(path), scale_to_unit(_pixels("int16"))[None])


def test_a_slightly_oblique_nifti_is_turned_by_its_main_axes(tmp_path):
    stored, affine = _turned(AFFINES["RA"])
    angle = np.deg2rad(12)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    image = load(_nifti(tmp_path / "a.nii.gz", stored, affine))
    assert torch.equal(image, scale_to_unit(_pixels("int16"))[None])


def test_8_bit_nifti_is_divided_by_255_and_others_by_percentiles(tmp_path):
    affine = np.diag([-1.0, -1, 1, 1])
    eight = load(_nifti(tmp_path / "8.nii.gz", (_pixels() // 2).T, affine))
    assert torch.equal(eight, scale_to_unit(_pixels() // 2)[None])
    assert eight.max() < 0.5
    assert load(_nifti(tmp_path / "f.nii.gz", _pixels("float32").T, affine)).max() == 1


MODES = ["RGB", "RGBA", "P", "LA", "CMYK", "YCbCr", "LAB"]
FORMATS = {"CMYK": "a.tif", "YCbCr": "a.tif", "LAB": "a.tif"}


@pytest.mark.parametrize("mode", MODES)
def test_colour_images_are_refused(tmp_path, mode):
    image = Image.fromarray(_pixels())
    image = Image.new("LAB", (30, 20)) if mode == "LAB" else image.convert(mode)
    path = tmp_path / FORMATS.get(mode, "a.png")
    image.save(path)
    with pytest.raises(InputError, match=rf"{path.name} .*(mode {mode}\); grey is wanted: convert it|2-D grey slice)"):
        load(path)


def test_a_colour_jpeg_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.jpg is a colour image \(mode RGB\); grey is wanted: convert it"):
        load(_save(tmp_path / "a.jpg", np.zeros((8, 8, 3), np.uint8)))


def test_volumes_are_refused(tmp_path):
    path = _nifti(tmp_path / "a.nii.gz", np.zeros((4, 5, 6), np.int16), np.eye(4))
    with pytest.raises(InputError, match=r"a\.nii\.gz has shape 4x5x6; a 2-D grey slice is wanted: save single slices"):
        load(path)


@pytest.mark.parametrize("shape", [(4, 5, 3), (7,), (), (1, 9), (9, 1), (0, 5)])
def test_arrays_that_are_no_pictures_are_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.ones(shape))
    with pytest.raises(InputError, match=r"a\.npy (has shape .*; a 2-D grey slice|cannot be read)"):
        load(tmp_path / "a.npy")


def test_a_tiff_of_several_pages_is_refused(tmp_path):
    pages = [Image.fromarray(_pixels() // factor) for factor in (1, 2, 3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r"a\.tif has 3 pages; a 2-D grey slice is wanted: save single slices"):
        load(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.npy", "a.nii.gz", "a.nii"])
@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "absent"])
def test_damaged_files_are_named(tmp_path, name, kind):
    path, pixels = tmp_path / name, np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    if name.endswith("npy"):
        np.save(path, pixels)
    elif ".nii" in name:
        _nifti(path, pixels, np.eye(4))
    else:
        _save(path, pixels)
    whole = path.read_bytes()
    path.unlink()
    if kind != "absent":
        path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"no image"}[kind])
    with pytest.raises(
        InputError, match=rf"(?s){path.name} cannot be read as an image .*replace the file or remove it"
    ):
        load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["a.npy", "a.nii.gz"])
def test_pixels_that_are_no_numbers_are_refused(tmp_path, value, name):
    pixels = _pixels("float32")
    pixels[3, 4] = value
    if name == "a.npy":
        np.save(tmp_path / name, pixels)
    else:
        _nifti(tmp_path / name, pixels, np.eye(4))
    with pytest.raises(InputError, match=rf"{name} has pixels that are NaN or infinite: replace them"):
        load(tmp_path / name)


@pytest.mark.parametrize("array", [np.array([["a", "b"], ["c", "d"]]), np.ones((4, 4), complex)])
def test_arrays_of_other_things_are_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=r"a\.npy has pixels of type .*; real numbers are wanted"):
        load(tmp_path / "a.npy")


def test_a_nifti_of_colours_is_refused(tmp_path):
    colours = np.zeros((4, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    with pytest.raises(InputError, match=r"a\.nii\.gz (has pixels of type|has shape|cannot be read)"):
        load(_nifti(tmp_path / "a.nii.gz", colours, np.eye(4)))


class _Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("bare", [True, False])
def test_pickles_are_refused_unopened(tmp_path, bare):
    content, path = _Trap(tmp_path / "sprung"), tmp_path / "a.npy"
    if bare:
        path.write_bytes(pickle.dumps(content))
    else:
        np.save(path, np.array([[content, content], [0, 0]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy cannot be read"):
        load(path)
    assert not (tmp_path / "sprung").exists()
    np.load(path, allow_pickle=True)
    assert (tmp_path / "sprung").exists()  # the trap works


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
