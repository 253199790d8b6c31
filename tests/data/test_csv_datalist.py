from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from monai_aggrgan.data.class_folders import list_class_folders
from monai_aggrgan.data.csv_datalist import read_csv_datalist
from monai_aggrgan.data.image_files import IMAGE_SUFFIXES
from monai_aggrgan.exceptions import InputError
from tests.dicom_files import write_dicom_series
from tests.touched_files import touch

HEADER = "class,image,fold,patient_id"


def write(root: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = root / "list.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_csv_gives_patients_folds_and_labels_where_it_has_them(tmp_path):
    touch(tmp_path, "images/1 ü.jpg", "images/2.nrrd", "masks/2.nrrd")
    cases = read_csv_datalist(
        write(tmp_path, f"{HEADER},label\na,images/1 ü.jpg,3,p7,\nb,images/2.nrrd,,,masks/2.nrrd\n")
    )
    first = {"a": [str(tmp_path / "images/1 ü.jpg")]}
    second = {"b": [str(tmp_path / "images/2.nrrd")]}
    label = str(tmp_path / "masks/2.nrrd")
    assert cases == [
        {"name": "images/1 ü", "images": first, "label": None, "patient": "p7", "fold": "3"},
        {"name": "images/2", "images": second, "label": label, "patient": None, "fold": None},
    ]


def test_a_csv_needs_only_image_and_class_and_takes_patient_for_patient_id(tmp_path):
    touch(tmp_path, "1.jpg")
    assert read_csv_datalist(write(tmp_path, "image,class\n1.jpg,a\n"))[0]["patient"] is None
    assert read_csv_datalist(write(tmp_path, "image,class,patient\n1.jpg, a , p \n"))[0]["patient"] == "p"


def test_a_csv_that_a_spreadsheet_saved_with_a_byte_order_mark(tmp_path):
    touch(tmp_path, "1.jpg")
    assert len(read_csv_datalist(write(tmp_path, "image,class\n1.jpg,a\n", encoding="utf-8-sig"))) == 1


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_a_csv_serves_a_copy_with_other_suffixes_under_the_same_name(tmp_path, suffix):
    copy = touch(tmp_path / "copy", f"a/1.2.840{suffix}", f"b/1.2.840{suffix}", "b/._1.2.840.png")
    cases = read_csv_datalist(write(tmp_path, f"{HEADER}\nb,images/b/1.2.840.jpg,3,p7\n"), root=copy)
    assert cases[0]["images"] == {"b": [str(copy / f"b/1.2.840{suffix}")]}
    assert (cases[0]["name"], cases[0]["patient"], cases[0]["fold"]) == ("1.2.840", "p7", "3")
    touch(tmp_path, "images/b/1.2.840.jpg")
    assert read_csv_datalist(tmp_path / "list.csv")[0]["name"] == "1.2.840"


def test_a_csv_serves_a_copy_with_folders_of_patients(tmp_path):
    text = "image,class\nimages/a/p/1.dcm,a\nimages/a/q/1.dcm,a\nimages/a/3.dcm,a\n"
    copy = touch(tmp_path / "copy", "a/p/1.png", "a/q/1.png", "a/1.png", "images/a/3.png", "a/3.png")
    cases = read_csv_datalist(write(tmp_path, text), root=copy)
    assert [next(iter(case["images"].values())) for case in cases] == [
        [str(copy / name)] for name in ("a/p/1.png", "a/q/1.png", "images/a/3.png")
    ]
    assert [case["name"] for case in cases] == ["p/1", "q/1", "3"]


def test_a_csv_prefers_the_very_file_it_names(tmp_path):
    touch(tmp_path, "images/a/1.jpg", "images/a/1.png", "a/1.png")
    cases = read_csv_datalist(write(tmp_path, f"{HEADER}\na,images/a/1.jpg,,\n"))
    assert cases[0]["images"]["a"][0].endswith("images/a/1.jpg")


def test_two_copies_of_which_none_is_the_very_file(tmp_path):
    touch(tmp_path, "a/1.png", "a/1.npy")
    with pytest.raises(InputError, match=r"names a/1\.jpg, which .*1\.npy and 1\.png may replace: name the file meant"):
        read_csv_datalist(write(tmp_path, f"{HEADER}\na,a/1.jpg,,\n"))


def test_a_folder_is_the_dicom_series_in_it(tmp_path):
    written = write_dicom_series(tmp_path / "a" / "Zoë Ü", np.zeros((2, 3, 4), np.int16), names=["2", "1"])
    path = write(tmp_path, "image,class\na/Zoë Ü,a\n")
    case = read_csv_datalist(path)[0]
    assert (case["name"], case["images"]) == ("Zoë Ü", {"a": [str(file) for file in written]})
    assert [case] == [{**listed, "patient": None} for listed in list_class_folders(tmp_path)]
    write_dicom_series(tmp_path / "a" / "Zoë Ü", np.zeros((2, 3, 4), np.int16), series=2)
    with pytest.raises(InputError, match="a/Zoë Ü holds 2 DICOM series: put the files of each into a folder of its"):
        read_csv_datalist(path)


def test_a_file_twice_for_a_class(tmp_path):
    touch(tmp_path, "a/1.png")
    assert len(read_csv_datalist(write(tmp_path, "image,class\na/1.png,a\na/1.png,b\n"))) == 2
    for again in ("a/1.png", "./a/1.png", "old/1.jpg"):
        with pytest.raises(InputError, match=r"list\.csv names .*a/1\.png twice for class 'a': keep one of the two"):
            read_csv_datalist(write(tmp_path, f"image,class\na/1.png,a\n{again},a\n"))


def test_a_csv_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"list\.csv is not a file: --datalist must name a CSV"):
        read_csv_datalist(tmp_path / "list.csv")


def test_a_file_that_is_no_csv(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match=r"list\.csv cannot be read as a CSV file"):
        read_csv_datalist(tmp_path / "list.csv")


@pytest.mark.parametrize("text", ["", f"{HEADER}\n"])
def test_a_csv_without_rows(tmp_path, text):
    with pytest.raises(InputError, match=r"list\.csv lists no image: it needs a header line"):
        read_csv_datalist(write(tmp_path, text))


@pytest.mark.parametrize("row", ["1.png,a", "1.png,a,more,and more"])
def test_a_csv_without_the_columns(tmp_path, row):
    with pytest.raises(
        InputError, match=r"has no column class, image: its header is file, label \(commas separate\)\."
    ):
        read_csv_datalist(write(tmp_path, f"file,label\n{row}\n"))


@pytest.mark.parametrize("row", ["a", ",1.jpg", "a, "])
def test_a_row_that_is_too_short(tmp_path, row):
    touch(tmp_path, "1.jpg")
    with pytest.raises(InputError, match=r"list\.csv has no image or no class in row 2: fill in both\."):
        read_csv_datalist(write(tmp_path, f"class,image\na,1.jpg\n{row}\n"))


def test_a_row_that_names_no_file(tmp_path):
    touch(tmp_path, "a/1.png")
    with pytest.raises(InputError, match=r"names images/a/2\.jpg, which is not in .*correct the list or --dataset_dir"):
        read_csv_datalist(write(tmp_path, f"{HEADER}\na,images/a/1.jpg,,\na,images/a/2.jpg,,\n"))


def test_a_row_that_names_no_label(tmp_path):
    touch(tmp_path, "a/1.png")
    with pytest.raises(InputError, match=r"names the label a/1_seg\.png, which is not in .*: correct the list"):
        read_csv_datalist(write(tmp_path, "image,class,label\na/1.png,a,a/1_seg.png\n"))


def test_figshares_official_list_fits_the_small_copy(shared):
    source, copy = shared / "data" / "figshare" / "slices.csv", shared / "data" / "figshare_128"
    if not (source.is_file() and copy.is_dir()):
        pytest.skip(f"needs {source} and {copy}")
    cases = read_csv_datalist(source, root=copy)
    classes = Counter(name for case in cases for name in case["images"])
    assert classes == {"meningioma": 708, "glioma": 1426, "pituitary": 930}
    assert Counter(case["fold"] for case in cases).keys() == set("12345")
    assert sum(case["patient"] is not None for case in cases) == 92

    def sources(listed):
        return sorted((*case["images"], case["name"], *case["images"].values()) for case in listed)

    assert sources(cases) == sources(list_class_folders(copy))
