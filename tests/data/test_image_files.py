from __future__ import annotations

import os

import numpy as np
import pytest

from monai_aggrgan.data.image_files import (
    IMAGE_SUFFIXES,
    folders_and_files,
    is_data_of_header,
    is_dicom,
    is_image,
    stem_of,
)
from monai_aggrgan.exceptions import InputError
from tests.dicom_files import write_dicom_series
from tests.touched_files import touch

DICOM = b"\0" * 128 + b"DICM"


@pytest.fixture
def volume() -> np.ndarray:
    """Three slices of 4 rows and 5 columns, no two alike."""
    return np.random.default_rng(0).integers(-1000, 3000, (3, 4, 5), dtype=np.int16)


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_suffix_counts_in_any_case_and_is_taken_off(suffix):
    for name in (f"a b.ü{suffix}", f"a b.ü{suffix.upper()}", f"a b.ü{suffix.title()}"):
        assert is_image(name) and stem_of(name) == "a b.ü"
        assert is_dicom(name) == (suffix in (".dcm", ".dicom", ".ima"))


@pytest.mark.parametrize("name", ["notes.txt", "x.raw", "x.gz", "x.json", "README", "absent/IM1"])
def test_other_files_are_no_images(tmp_path, name):
    touch(tmp_path, "README")
    assert not is_image(tmp_path / name) and not is_dicom(tmp_path / name)


@pytest.mark.parametrize("name", ["._1.png", "._1.dcm", ".hidden.nii.gz", ".png", ".IM1", "Thumbs.db", "DICOMDIR"])
def test_hidden_files_and_what_systems_add_are_no_images_whatever_they_hold(tmp_path, name):
    (tmp_path / name).write_bytes(DICOM)
    assert not is_image(tmp_path / name) and not is_dicom(tmp_path / name)


@pytest.mark.parametrize("name", ["IM0001", "1.2.840.113619.2.176", "MR.1.2.3"])
def test_dicom_without_a_suffix_is_told_by_its_first_bytes(tmp_path, name):
    path = tmp_path / name
    for content, expected in ((DICOM + b"more", True), (b"DICM" * 32, False), (b"", False)):
        path.write_bytes(content)
        assert is_dicom(path) == is_image(path) == expected
    path.write_bytes(DICOM)
    assert not is_dicom(path.rename(tmp_path / f"{name}.txt"))


def test_a_folder_is_no_dicom_file(tmp_path):
    assert not is_dicom(tmp_path) and not is_image(tmp_path)


def test_a_written_slice_is_dicom_whatever_it_is_called(tmp_path, volume):
    for path in write_dicom_series(tmp_path, volume, names=["IM1", "1.2", "x.dcm"]):
        assert is_dicom(path)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("1.2.840", "1.2.840"), ("a.nii.gz.png", "a.nii.gz"), ("notes.txt", "notes.txt"), ("x.gz", "x.gz")],
)
def test_only_one_suffix_of_an_image_is_taken_off(name, stem):
    assert stem_of(name) == stem


def test_data_belongs_to_a_header_of_its_name(tmp_path):
    beside = [tmp_path / name for name in ("a.mhd", "a.raw", "b.NHDR", "b.raw.gz", "c.raw", "d.nii", "d.raw")]
    assert [path.name for path in beside if is_data_of_header(path, beside)] == ["a.raw", "b.raw.gz"]


def test_a_folder_is_listed_in_order_without_clutter_and_with_links_that_lead_nowhere(tmp_path):
    touch(tmp_path / "x", "b/1", "a.d/1", "2.png", "10.png", ".DS_Store", "._2.png", "__MACOSX/2.png", "Thumbs.db")
    os.symlink(tmp_path / "nowhere", tmp_path / "x" / "3.png")
    os.symlink(tmp_path / "x" / "b", tmp_path / "x" / "c")
    folders, files = folders_and_files(tmp_path / "x")
    assert [path.name for path in folders] == ["a.d", "b", "c"]
    assert [path.name for path in files] == ["10.png", "2.png", "3.png"]


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        InputError, match=r"/x cannot be read \(Permission denied\): get the right to read it, or leave"
    ):
        folders_and_files(tmp_path / "x")
