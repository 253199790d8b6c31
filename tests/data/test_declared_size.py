from __future__ import annotations

import gzip
import struct
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

from monai_aggrgan.data import read_grey_image
from monai_aggrgan.data.declared_size import MOST_VALUES, refuse_declared_size
from monai_aggrgan.exceptions import InputError


@pytest.fixture
def small(tmp_path) -> Path:
    """A file of 100 bytes."""
    path = tmp_path / "a.nii"
    path.write_bytes(bytes(100))
    return path


def test_what_a_file_can_hold_is_taken(small):
    refuse_declared_size((1024, 1024, 1024), small)
    refuse_declared_size((100, 100), small, bytes_a_value=8)
    refuse_declared_size((), small)


@pytest.mark.parametrize("shape", [(MOST_VALUES + 1,), (2**31, 2**31, 2**31), (-1, 5)])
def test_more_than_any_image_has(small, shape):
    with pytest.raises(InputError, match=r"a.nii declares .* pixels, more than the 1073741824 that an image may have"):
        refuse_declared_size(shape, small)


def test_more_than_the_file_can_hold(small):
    with pytest.raises(InputError, match="declares 90000 pixels, more than it can hold"):
        refuse_declared_size((300, 300), small, bytes_a_value=8)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("shape", [(32767, 32767, 32767), (900, 900, 900)])
def test_a_nifti_bomb(tmp_path, suffix, shape):
    content = bytearray(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.float64), np.eye(4)).to_bytes())
    content[42:48] = struct.pack("<3h", *shape)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(bytes(content)) if suffix.endswith("gz") else bytes(content))
    with pytest.raises(InputError, match=r"declares .* pixels, more than"):
        read_grey_image(path)


def test_a_mat_bomb(tmp_path):
    with h5py.File(tmp_path / "1.mat", "w") as file:
        file.create_dataset("cjdata/image", (2**20, 2**20), np.float64, chunks=(64, 64))
    with pytest.raises(InputError, match="declares 1048576x1048576 pixels, more than"):
        read_grey_image(tmp_path / "1.mat")
