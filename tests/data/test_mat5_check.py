"""The files crashed SciPy 1.17, or are such as MATLAB and other programs write."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from scipy.io import savemat
from scipy.io.matlab import matfile_version

from monai_aggrgan.data.mat5_check import refuse_damaged_mat5
from monai_aggrgan.data.mat_file import open_mat
from monai_aggrgan.exceptions import InputError
from tests.mat_files import cjdata, write_v5

ALL_KINDS = {
    "numbers": np.eye(3),
    "whole": np.arange(3, dtype=np.uint64),
    "volume": np.zeros((2, 2, 2), np.int8),
    "complex": np.array([1 + 2j]),
    "logical": np.array([True]),
    "sparse": scipy.sparse.csc_matrix(np.diag([1.0, 0, 2])),
    "complex sparse": scipy.sparse.csc_matrix(np.diag([1j, 0])),
    "empty sparse": scipy.sparse.csc_matrix((3, 3)),
    "struct": {"x": 1, "y": "hällo", "z": [1, {"q": 2}]},
    "structs": np.array([(1, 2.0), (3, 4.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "cells": np.array([[1, "x", 2.5]], dtype=object),
    "text": "日本",
    "texts": np.array(["ab", "cd"]),
    "no text": "",
    "nothing": np.zeros((0, 3)),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_what_is_whole_passes(tmp_path, kind, compressed):
    savemat(tmp_path / "a.mat", {"a": ALL_KINDS[kind]}, do_compression=compressed)
    refuse_damaged_mat5(tmp_path / "a.mat")


def files_of_matlab() -> list[Path]:
    """Those that SciPy brings for its own tests, where it was installed with them."""
    folder = Path(scipy.io.__path__[0], "matlab", "tests", "data")
    return sorted(path for path in folder.glob("*_[5-7].*.mat") if matfile_version(str(path))[0] == 1)


def test_files_of_many_versions_of_matlab_pass():
    for path in files_of_matlab():
        refuse_damaged_mat5(path)


def changed(path: Path, at: bytes, by: bytes, new: bytes) -> Path:
    """The file with the first `by` behind `at` replaced."""
    content = path.read_bytes()
    place = content.index(by, content.index(at) + len(at))
    path.write_bytes(content[:place] + new + content[place + len(by) :])
    return path


@pytest.mark.parametrize("kind", [0, 8, 11, 14, 15, 99, 0x7FFF])
def test_numbers_of_a_type_that_is_none(tmp_path, kind):
    path = tmp_path / "a.mat"
    savemat(path, {"name": np.arange(4.5, 24).reshape(4, 5)})
    changed(path, b"name", struct.pack("<II", 9, 160), struct.pack("<II", kind, 160))
    with pytest.raises(InputError, match="cannot be read as a MATLAB file"), open_mat(path) as root:
        root.field("name")


@pytest.mark.parametrize("shape", [(4, 6), (-4, -5), (2**30, 2**30), (0, 0)])
def test_a_shape_that_the_values_do_not_have(tmp_path, shape):
    path = tmp_path / "a.mat"
    savemat(path, {"name": np.arange(4.5, 24).reshape(4, 5)})
    changed(path, b"\x05\0\0\0\x08\0\0\0", struct.pack("<ii", 4, 5), struct.pack("<ii", *shape))
    with pytest.raises(ValueError, match=r"other length than its shape|damaged shape"):
        refuse_damaged_mat5(path)


@pytest.mark.parametrize("end", [129, 140, 200, 300, -1])
def test_a_file_that_ends_too_early(tmp_path, end):
    path = write_v5(tmp_path / "a.mat", {"cjdata": cjdata()})
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(ValueError, match=r"it ends within an element|longer than what holds it"):
        refuse_damaged_mat5(path)


def test_structs_in_structs_without_end(tmp_path):
    inner: object = 1
    for _ in range(40):
        inner = {"a": inner}
    savemat(tmp_path / "a.mat", {"a": inner})
    with pytest.raises(ValueError, match="nested in more than 32"):
        refuse_damaged_mat5(tmp_path / "a.mat")
