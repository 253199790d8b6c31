from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import LoadImage
from PIL import Image

from monai_aggrgan.data.image_folder import read_image_folder, read_nifti, write_image_files, write_png
from monai_aggrgan.data.manifest import write_manifest
from monai_aggrgan.exceptions import InputError


def _image(height: int = 6, width: int = 9, *, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, height, width, generator=torch.Generator().manual_seed(seed))


def test_the_float_file_comes_back_bit_for_bit(tmp_path):
    image = _image()
    columns = write_image_files(tmp_path, "one", image)
    found = read_nifti(tmp_path / columns["file"])
    assert found.dtype == torch.float32
    assert torch.equal(found, image)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.nii.gz", "one.png"]


def test_the_columns_name_both_files_and_hash_the_float_pixels(tmp_path):
    image = _image()
    expected = hashlib.sha256(image.numpy().tobytes()).hexdigest()
    assert write_image_files(tmp_path, "1.2", image) == {
        "file": "1.2.nii.gz",
        "preview": "1.2.png",
        "sha256": expected,
    }


def test_the_png_is_the_same_picture_in_8_bits(tmp_path):
    image = _image()
    write_image_files(tmp_path, "one", image)
    with Image.open(tmp_path / "one.png") as png:
        assert png.mode == "L"
        np.testing.assert_array_equal(np.asarray(png), (image[0].numpy() * 255).round())


@pytest.mark.parametrize(("shape", "mode"), [((5, 7), "L"), ((5, 7, 3), "RGB")])
def test_a_picture_comes_back_as_it_was_written(tmp_path, shape, mode):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_png(tmp_path / "picture.png", picture)
    with Image.open(tmp_path / "picture.png") as png:
        assert (png.format, png.mode) == ("PNG", mode)
        np.testing.assert_array_equal(np.asarray(png), picture)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_the_same_picture_is_the_same_file(tmp_path):
    for name in ("one.png", "two.png"):
        write_png(tmp_path / name, np.eye(4, dtype=np.uint8))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_picture_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    write_png(tmp_path / "picture.png", np.eye(4, dtype=np.uint8))
    before = (tmp_path / "picture.png").read_bytes()

    def full_disk(self, file, **_):
        Path(file).write_bytes(b"half a pict")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_png(tmp_path / "picture.png", np.zeros((4, 4), dtype=np.uint8))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"picture.png": before}


@pytest.mark.parametrize(
    ("picture", "got"),
    [
        (np.zeros((4, 4)), r"float64 \(4, 4\)"),
        (np.zeros(4, dtype=np.uint8), r"uint8 \(4,\)"),
        (np.zeros((4, 4, 4), dtype=np.uint8), r"uint8 \(4, 4, 4\)"),
        (np.zeros((1, 4, 4, 3), dtype=np.uint8), r"uint8 \(1, 4, 4, 3\)"),
        (np.zeros((0, 4), dtype=np.uint8), r"uint8 \(0, 4\)"),
    ],
)
def test_what_is_no_8_bit_picture_is_refused(tmp_path, picture, got):
    with pytest.raises(ValueError, match=rf"must be uint8 \(H, W\) or \(H, W, 3\), got {got}"):
        write_png(tmp_path / "picture.png", picture)
    assert not list(tmp_path.iterdir())


def test_rows_run_from_front_to_back_and_columns_from_right_to_left(tmp_path):
    image = torch.zeros(1, 6, 9)
    image[0, 1, 7] = 1  # high in the picture and to its right: anterior, on the patient's left
    write_image_files(tmp_path, "one", image)
    nifti = nibabel.load(tmp_path / "one.nii.gz")
    assert nibabel.aff2axcodes(nifti.affine) == ("L", "P", "S")
    assert nifti.shape[:2] == (9, 6)
    first, second = np.argwhere(np.asarray(nifti.dataobj).reshape(9, 6) == 1)[0]
    assert (first, second) == (7, 1)
    x, y = nibabel.affines.apply_affine(nifti.affine, [first, second, 0])[:2]
    middle = nibabel.affines.apply_affine(nifti.affine, [4, 2.5, 0])
    assert x < middle[0]  # RAS+: smaller x is further left
    assert y > middle[1]  # larger y is further to the front


def test_monai_loads_both_files_as_the_same_picture(tmp_path):
    image = _image()
    write_image_files(tmp_path, "one", image)
    nifti = LoadImage(image_only=True, ensure_channel_first=True)(tmp_path / "one.nii.gz")
    png = LoadImage(image_only=True, ensure_channel_first=True)(tmp_path / "one.png")
    assert nifti.shape == png.shape == (1, 9, 6)  # both readers give (W, H)
    assert torch.equal(nifti.as_tensor().mT, image)
    assert (png / 255 - nifti.as_tensor()).abs().max() <= 0.5 / 255 + 1e-6


def test_values_outside_the_range_are_clipped(tmp_path):
    write_image_files(tmp_path, "one", torch.tensor([[[-0.5, 0.25], [1.0, 7.0]]]))
    assert read_nifti(tmp_path / "one.nii.gz").tolist() == [[[0, 0.25], [1, 1]]]
    assert np.asarray(Image.open(tmp_path / "one.png")).tolist() == [[0, 64], [255, 255]]


def test_an_image_that_is_learned_on_can_be_written(tmp_path):
    image = _image().requires_grad_()
    write_image_files(tmp_path, "one", image)
    assert torch.equal(read_nifti(tmp_path / "one.nii.gz"), image.detach())


def test_a_folder_is_read_in_the_manifests_order(tmp_path):
    images = {name: _image(seed=seed) for seed, name in enumerate("bac")}
    write_manifest(tmp_path, [{**write_image_files(tmp_path, name, image)} for name, image in images.items()])
    found, rows = read_image_folder(tmp_path)
    assert torch.equal(found, torch.stack(list(images.values())))
    assert [row["preview"] for row in rows] == ["b.png", "a.png", "c.png"]


def test_a_folder_without_manifest_is_not_finished(tmp_path):
    write_image_files(tmp_path, "one", _image())
    with pytest.raises(InputError, match=r"There is no manifest\.csv"):
        read_image_folder(tmp_path)


def _damaged(path: Path, kind: str) -> Path:
    whole = path.read_bytes()
    content = {"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"no image at all", "absent": None}[kind]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["empty", "truncated", "text", "absent"])
def test_a_damaged_file_is_named(tmp_path, kind):
    write_image_files(tmp_path, "one", _image(64, 64))
    with pytest.raises(InputError, match=r"one\.nii\.gz cannot be read .*run its stage again"):
        read_nifti(_damaged(tmp_path / "one.nii.gz", kind))


@pytest.mark.parametrize("shape", [(1, 6), (1, 4, 6, 3), (3, 4, 6)])
def test_only_grey_slices_are_written(tmp_path, shape):
    with pytest.raises(ValueError, match=r"an image must be \(1, H, W\) to be written as a picture, got shape \("):
        write_image_files(tmp_path, "one", torch.rand(shape))
    assert not list(tmp_path.iterdir())
