from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.class_folders import list_class_folders
from monai_aggrgan.data.image_files import DICOM_SUFFIXES, IMAGE_SUFFIXES
from monai_aggrgan.exceptions import InputError
from tests.dicom_files import write_dicom_series
from tests.touched_files import touch

VOLUME = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def names(cases: list[Case]) -> list[tuple[str, str, str | None]]:
    """Class, name and patient of each case."""
    return [(*case["images"], case["name"], case["patient"]) for case in cases]


def files(root: Path, cases: list[Case]) -> list[list[str]]:
    return [[Path(file).relative_to(root).as_posix() for file in next(iter(case["images"].values()))] for case in cases]


def test_a_folder_of_class_folders_is_listed_in_order(tmp_path):
    touch(
        tmp_path, "b/2.png", "b/10.png", "a/x.nii.gz", "readme.txt", ".hidden/1.png", "a/.DS_Store", "__MACOSX/b/2.png"
    )
    cases = list_class_folders(tmp_path)
    assert names(cases) == [("a", "x", None), ("b", "10", None), ("b", "2", None)]
    assert cases[0] == {
        "name": "x",
        "images": {"a": [str(tmp_path / "a/x.nii.gz")]},
        "label": None,
        "patient": None,
        "fold": None,
    }
    assert files(tmp_path, cases[1:]) == [["b/10.png"], ["b/2.png"]]


@pytest.mark.parametrize("suffix", [*sorted(set(IMAGE_SUFFIXES) - set(DICOM_SUFFIXES)), ".PNG", ".Nii.Gz"])
def test_every_suffix_counts_and_is_no_part_of_the_name(tmp_path, suffix):
    assert names(list_class_folders(touch(tmp_path, f"a/1.2{suffix}"))) == [("a", "1.2", None)]


def test_a_folder_in_a_class_folder_is_a_patient_with_all_below_it(tmp_path):
    touch(tmp_path, "T1/Zoë Ü/1.png", "T1/Zoë Ü/2019/scan 1/1.nii.gz", "T1/0.png", "T2/Zoë Ü/1.png", "T2/empty/x/")
    assert names(list_class_folders(tmp_path)) == [
        ("T1", "0", None),
        ("T1", "Zoë Ü/1", "Zoë Ü"),
        ("T1", "Zoë Ü/2019/scan 1/1", "Zoë Ü"),
        ("T2", "Zoë Ü/1", "Zoë Ü"),
    ]


def test_the_order_is_that_of_names_not_of_creation(tmp_path):
    listed = [f"{c}/{p}/{n}.png" for c in "ab" for p in "pq" for n in range(3)]
    touch(tmp_path / "1", *listed)
    touch(tmp_path / "2", *reversed(listed))
    first, second = (files(tmp_path / n, list_class_folders(tmp_path / n)) for n in "12")
    assert first == second == [[name] for name in listed]


def test_a_dicom_series_is_one_case_named_by_its_folder(tmp_path):
    scan = write_dicom_series(tmp_path / "T1" / "Zoë Ü" / "scan", VOLUME, names=["2", "1"])
    touch(tmp_path, "T1/Zoë Ü/scan/1.png")
    cases = list_class_folders(tmp_path)
    assert names(cases) == [("T1", "Zoë Ü/scan/1", "Zoë Ü"), ("T1", "Zoë Ü/scan", "Zoë Ü")]
    assert cases[1]["images"] == {"T1": [str(path) for path in scan]}


def test_further_series_of_a_folder_are_numbered(tmp_path):
    for series in (1, 2, 3):
        write_dicom_series(tmp_path / "T1" / "p", VOLUME, series=series)
    cases = list_class_folders(tmp_path)
    assert names(cases) == [("T1", "p", "p"), ("T1", "p/2", "p"), ("T1", "p/3", "p")]
    assert [Path(file).name for file in cases[2]["images"]["T1"]] == ["series3_001.dcm", "series3_002.dcm"]


def test_dicom_files_directly_in_a_class_folder_are_named_by_their_first_file(tmp_path):
    scan = write_dicom_series(tmp_path / "T1", VOLUME, names=["z.dcm", "y 1.dcm"])
    for number in (2, 3):
        write_dicom_series(tmp_path / "T1", VOLUME[:1], series=number, names=[f"slice_{number}.dcm"])
    cases = list_class_folders(tmp_path)
    assert names(cases) == [("T1", "slice_2", None), ("T1", "slice_3", None), ("T1", "y 1", None)]
    assert cases[2]["images"] == {"T1": [str(path) for path in scan]}


def test_a_damaged_dicom_file_is_listed_for_the_reader_to_say_so(tmp_path):
    write_dicom_series(tmp_path / "T1" / "p", VOLUME)
    touch(tmp_path, "T1/p/0.dcm")
    assert files(tmp_path, list_class_folders(tmp_path))[1:] == [["T1/p/0.dcm"]]


@pytest.mark.parametrize("ending", ["_seg", "_label", "_mask", "-seg", "-LABEL", ".seg"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_a_label_beside_its_image_is_no_image(tmp_path, ending, suffix):
    touch(tmp_path, "a/p/x 1.nii.gz", f"a/p/x 1{ending}{suffix}", "a/p/y.nii.gz", "a/q/z_seg.nii.gz")
    cases = list_class_folders(tmp_path)
    assert names(cases) == [("a", "p/x 1", "p"), ("a", "p/y", "p"), ("a", "q/z_seg", "q")]
    assert [case["label"] for case in cases] == [str(tmp_path / f"a/p/x 1{ending}{suffix}"), None, None]


def test_of_two_labels_the_first_is_taken_and_the_other_said(tmp_path, caplog):
    cases = list_class_folders(touch(tmp_path, "a/x.png", "a/x_label.png", "a/x_mask.png"))
    assert [(case["name"], case["label"]) for case in cases] == [("x", str(tmp_path / "a/x_label.png"))]
    assert "1 files are no images by their names and are left out (x_mask.png)" in caplog.text


def test_files_that_are_no_images_are_left_out_and_said_once_a_class(tmp_path, caplog):
    touch(tmp_path, "a/1.png", "a/notes.txt", "a/patient/scan.pdf", "a/._1.png", "a/Thumbs.db", "a/v.mhd", "a/v.raw")
    assert names(list_class_folders(tmp_path)) == [("a", "1", None), ("a", "v", None)]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/a: 2 files are no images by their names and are left out (notes.txt)"
    ]


def test_data_without_its_header_is_said(tmp_path, caplog):
    list_class_folders(touch(tmp_path, "a/v.mhd", "a/w.raw"))
    assert "1 files are no images by their names and are left out (w.raw)" in caplog.text


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "elsewhere/p/1.png", "data/a/q/2.png")
    os.symlink(tmp_path / "elsewhere" / "p", tmp_path / "data" / "a" / "p")
    for number, target in enumerate(("data", "data/a", "data/a/q")):
        os.symlink(tmp_path / target, tmp_path / "data" / "a" / "q" / f"up{number}")
    assert names(list_class_folders(tmp_path / "data")) == [("a", "p/1", "p"), ("a", "q/2", "q")]


def test_a_link_that_leads_nowhere_is_listed_for_the_reader_to_say_so(tmp_path):
    touch(tmp_path, "a/1.png")
    os.symlink(tmp_path / "nowhere", tmp_path / "a" / "2.png")
    assert files(tmp_path, list_class_folders(tmp_path)) == [["a/1.png"], ["a/2.png"]]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"nowhere is not a folder: --dataset_dir must name"):
        list_class_folders(tmp_path / "nowhere")


def test_an_empty_folder(tmp_path):
    touch(tmp_path, "1.png")
    with pytest.raises(InputError, match=r"has no folders in it: put each class's images into a folder"):
        list_class_folders(tmp_path)


def test_an_empty_class(tmp_path):
    touch(tmp_path, "a/1.png", "b/p/notes.txt")
    with pytest.raises(InputError, match=r"/b has no image in it: images end in \.png, .*\.nii\.gz"):
        list_class_folders(tmp_path)


def test_sides_of_a_split_are_no_classes(tmp_path):
    touch(tmp_path, "Training/glioma/1.png", "Testing/glioma/1.png")
    with pytest.raises(InputError, match=r"has sides of a split for classes \(Testing, Training\): --dataset_dir must"):
        list_class_folders(tmp_path)
    touch(tmp_path, "other/1.png")
    assert len(list_class_folders(tmp_path)) == 3


def test_a_class_folder_that_cannot_be_read(tmp_path, monkeypatch):
    touch(tmp_path, "a/p/1.png")
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "p":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"a/p cannot be read \(Permission denied\): get the right to read it"):
        list_class_folders(tmp_path)


def test_the_real_series_as_a_patient(shared, tmp_path):
    folder = shared / "data" / "dicom_t1"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    (tmp_path / "T1").mkdir()
    os.symlink(folder, tmp_path / "T1" / "subject 1")
    cases = list_class_folders(tmp_path)
    assert names(cases) == [("T1", "subject 1", "subject 1")] and len(cases[0]["images"]["T1"]) == 30


def test_a_segmentation_without_its_image_is_said_to_be_taken_for_one(tmp_path, caplog):
    touch(tmp_path, "a/p0/t1.nii.gz", "a/p0/seg.nii.gz", "a/p1/x_mask.nii.gz", "b/segment.nii.gz")
    assert len(list_class_folders(tmp_path)) == 4
    assert "a: 2 images are called as segmentations are and are taken for images (seg)" in caplog.text
    assert "b:" not in caplog.text
