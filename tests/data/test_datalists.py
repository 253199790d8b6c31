from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from monai_aggrgan.data.datalists import IMAGE_SUFFIXES, list_class_folders, read_csv_datalist, select_classes
from monai_aggrgan.exceptions import InputError


def _touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def _csv(root: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = root / "list.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_folder_of_class_folders_is_listed_in_order(tmp_path):
    _touch(tmp_path, "b/2.png", "b/10.png", "a/x.nii.gz", "readme.txt", ".hidden/1.png", "a/.DS_Store")
    items = list_class_folders(tmp_path)
    assert [item["image"] for item in items] == [str(tmp_path / n) for n in ("a/x.nii.gz", "b/10.png", "b/2.png")]
    assert [item["class_name"] for item in items] == ["a", "b", "b"]
    assert {(item["patient"], item["fold"]) for item in items} == {(None, None)}


@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, ".PNG", ".Nii.Gz"])
def test_every_suffix_counts_in_any_case(tmp_path, suffix):
    assert len(list_class_folders(_touch(tmp_path, f"a/1{suffix}"))) == 1


def test_files_that_are_no_images_are_left_out_and_said(tmp_path, caplog):
    _touch(tmp_path, "a/1.png", "a/notes.txt", "a/scan.dcm")
    assert [Path(item["image"]).name for item in list_class_folders(tmp_path)] == ["1.png"]
    assert "2 files are no images by their names and are left out (notes.txt)" in caplog.text


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"nowhere is not a folder: --dataset_dir must name"):
        list_class_folders(tmp_path / "nowhere")


def test_an_empty_folder(tmp_path):
    _touch(tmp_path, "1.png")
    with pytest.raises(InputError, match=r"has no folders in it: put each class's images into a folder"):
        list_class_folders(tmp_path)


def test_an_empty_class(tmp_path):
    _touch(tmp_path, "a/1.png", "b/notes.txt")
    with pytest.raises(InputError, match=r"/b has no image in it: images end in \.png, .*\.nii\.gz"):
        list_class_folders(tmp_path)


HEADER = "class,image,fold,patient_id"


def test_a_csv_gives_patients_and_folds_where_it_has_them(tmp_path):
    _touch(tmp_path, "images/1.jpg", "images/2.jpg")
    items = read_csv_datalist(_csv(tmp_path, f"{HEADER}\na,images/1.jpg,3,p7\nb,images/2.jpg,,\n"))
    assert items == [
        {"image": str(tmp_path / "images/1.jpg"), "class_name": "a", "patient": "p7", "fold": "3"},
        {"image": str(tmp_path / "images/2.jpg"), "class_name": "b", "patient": None, "fold": None},
    ]


def test_a_csv_needs_only_image_and_class_and_takes_patient_for_patient_id(tmp_path):
    _touch(tmp_path, "1.jpg")
    assert read_csv_datalist(_csv(tmp_path, "image,class\n1.jpg,a\n"))[0]["patient"] is None
    assert read_csv_datalist(_csv(tmp_path, "image,class,patient\n1.jpg,a,p\n"))[0]["patient"] == "p"


def test_a_csv_that_a_spreadsheet_saved_with_a_byte_order_mark(tmp_path):
    _touch(tmp_path, "1.jpg")
    assert len(read_csv_datalist(_csv(tmp_path, "image,class\n1.jpg,a\n", encoding="utf-8-sig"))) == 1


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_a_csv_serves_a_copy_with_other_suffixes(tmp_path, suffix):
    copy = _touch(tmp_path / "copy", f"a/1.2.840{suffix}", f"b/1.2.840{suffix}")
    items = read_csv_datalist(_csv(tmp_path, f"{HEADER}\nb,images/b/1.2.840.jpg,3,p7\n"), root=copy)
    assert [item["image"] for item in items] == [str(copy / f"b/1.2.840{suffix}")]
    assert (items[0]["patient"], items[0]["fold"]) == ("p7", "3")


def test_a_csv_prefers_the_very_file_it_names(tmp_path):
    _touch(tmp_path, "images/a/1.jpg", "a/1.png")
    assert read_csv_datalist(_csv(tmp_path, f"{HEADER}\na,images/a/1.jpg,,\n"))[0]["image"].endswith("images/a/1.jpg")


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
        read_csv_datalist(_csv(tmp_path, text))


def test_a_csv_without_the_columns(tmp_path):
    with pytest.raises(InputError, match=r"has no column class, image: its header is file, label\."):
        read_csv_datalist(_csv(tmp_path, "file,label\n1.png,a\n"))


@pytest.mark.parametrize("row", ["a", ",1.jpg", "a,"])
def test_a_row_that_is_too_short(tmp_path, row):
    _touch(tmp_path, "1.jpg")
    with pytest.raises(InputError, match=r"list\.csv has no image or no class in row 2: fill in both\."):
        read_csv_datalist(_csv(tmp_path, f"class,image\na,1.jpg\n{row}\n"))


def test_a_row_that_names_no_file(tmp_path):
    _touch(tmp_path, "a/1.png")
    with pytest.raises(InputError, match=r"names images/a/2\.jpg, which is not in .*correct the list or --dataset_dir"):
        read_csv_datalist(_csv(tmp_path, f"{HEADER}\na,images/a/1.jpg,,\na,images/a/2.jpg,,\n"))


def test_classes_are_selected_in_the_data_sets_order(tmp_path):
    items = list_class_folders(_touch(tmp_path, "a/1.png", "b/1.png", "c/1.png"))
    assert select_classes(items, None) == items
    assert [item["class_name"] for item in select_classes(items, ["c", "a"])] == ["a", "c"]
    with pytest.raises(InputError, match="There is no class 'd' in the data set: its classes are a, b, c"):
        select_classes(items, ["a", "d"])


def test_figshares_official_list_fits_the_small_copy(shared):
    source, copy = shared / "data" / "figshare" / "slices.csv", shared / "data" / "figshare_128"
    if not (source.is_file() and copy.is_dir()):
        pytest.skip(f"needs {source} and {copy}")
    items = read_csv_datalist(source, root=copy)
    assert Counter(item["class_name"] for item in items) == {"meningioma": 708, "glioma": 1426, "pituitary": 930}
    assert len({item["image"] for item in items}) == 3064
    assert all(item["image"].startswith(f"{copy}/{item['class_name']}/") for item in items)
    assert Counter(item["fold"] for item in items).keys() == set("12345")
    assert sum(item["patient"] is not None for item in items) == 92
    assert sorted(item["image"] for item in items) == [item["image"] for item in list_class_folders(copy)]
