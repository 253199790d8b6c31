from __future__ import annotations

from pathlib import Path

import pytest

from monai_aggrgan.data.brats import is_brats, list_brats
from monai_aggrgan.exceptions import InputError
from tests.touched_files import touch

CLASSES = ["t1", "t1ce", "t2", "flair"]
OLD = ("t1", "t1ce", "t2", "flair", "seg")
NEW = ("t1n", "t1c", "t2w", "t2f", "seg")


def touch_case(folder: Path, *, parts: tuple[str, ...] = OLD, suffix: str = ".nii.gz") -> Path:
    """A case folder with a file for each part, called as published."""
    return touch(folder, *(f"{folder.name}{'-' if parts[0] in NEW else '_'}{part}{suffix}" for part in parts))


@pytest.mark.parametrize(
    ("folder", "parts", "suffix", "patient"),
    [
        ("Brats17_CBICA_AAB_1", OLD, ".nii.gz", "Brats17_CBICA_AAB_1"),
        ("MICCAI_BraTS_2018_Data_Training/HGG/Brats18_2013_10_1", OLD, ".nii.gz", "Brats18_2013_10_1"),
        ("MICCAI BraTS ü/LGG/BraTS19_TCIA09_141_1", OLD, ".nii.gz", "BraTS19_TCIA09_141_1"),
        (
            "BraTS2020_TrainingData/MICCAI_BraTS2020_TrainingData/BraTS20_Training_001",
            OLD,
            ".nii",
            "BraTS20_Training_001",
        ),
        ("BraTS2021_00006", OLD, ".nii.gz", "BraTS2021_00006"),
        ("BraTS2021_Training_Data/BraTS2021_00006", OLD, ".nii.gz", "BraTS2021_00006"),
        ("BraTS-GLI-00000-000", NEW, ".nii.gz", "BraTS-GLI-00000"),
        ("BraTS-MEN-00004-001", NEW, ".nii.gz", "BraTS-MEN-00004"),
        ("wrapper/BraTS-PED-00002-000", NEW, ".nii.gz", "BraTS-PED-00002"),
        ("BraTS-SSA-00002-000", NEW, ".nii.gz", "BraTS-SSA-00002"),
        ("BraTS-MET-00002-000", NEW, ".nii", "BraTS-MET-00002"),
        ("BraTS-GoAT-00123", NEW, ".nii.gz", "BraTS-GoAT-00123"),
    ],
)
def test_a_case_as_published(tmp_path, folder, parts, suffix, patient):
    case = touch_case(tmp_path / folder, parts=parts, suffix=suffix)
    separator = "-" if parts is NEW else "_"
    expected = [str(case / f"{case.name}{separator}{part}{suffix}") for part in parts]
    assert is_brats(tmp_path)
    assert list_brats(tmp_path) == [
        {
            "name": case.name,
            "images": {name: [file] for name, file in zip(CLASSES, expected[:4], strict=True)},
            "label": expected[4],
            "patient": patient,
            "fold": None,
        }
    ]
    assert list(list_brats(tmp_path)[0]["images"]) == CLASSES


def test_cases_are_in_order_and_those_of_one_patient_at_two_times_have_one_patient(tmp_path):
    for name in ("BraTS-GLI-00001-000", "BraTS-GLI-00000-001", "BraTS-GLI-00000-000"):
        touch_case(tmp_path / name, parts=NEW)
    cases = list_brats(tmp_path)
    assert [case["name"] for case in cases] == ["BraTS-GLI-00000-000", "BraTS-GLI-00000-001", "BraTS-GLI-00001-000"]
    assert [case["patient"] for case in cases] == ["BraTS-GLI-00000", "BraTS-GLI-00000", "BraTS-GLI-00001"]


def test_a_validation_case_has_no_segmentation(tmp_path):
    touch_case(tmp_path / "BraTS20_Validation_001", parts=OLD[:4], suffix=".nii")
    touch_case(tmp_path / "BraTS20_Validation_002", parts=OLD[:4], suffix=".nii")
    assert [case["label"] for case in list_brats(tmp_path)] == [None, None]


def test_the_segmentation_of_case_355_is_called_otherwise(tmp_path):
    folder = touch_case(tmp_path / "BraTS20_Training_355", parts=OLD[:4], suffix=".nii")
    touch(folder, "W39_1998.09.19_Segm.nii", "seg.txt")
    assert list_brats(tmp_path)[0]["label"] == str(folder / "W39_1998.09.19_Segm.nii")
    touch(folder, "BraTS20_Training_355_seg.nii")
    assert list_brats(tmp_path)[0]["label"] == str(folder / "BraTS20_Training_355_seg.nii")


def test_a_modality_that_is_absent_is_listed_where_it_ought_to_be(tmp_path):
    touch_case(tmp_path / "BraTS2021_00006", parts=("t1",))
    touch_case(tmp_path / "BraTS-GLI-00000-000", parts=("t1n", "t2w"))
    new, old = (case["images"] for case in list_brats(tmp_path))
    assert old["flair"] == [str(tmp_path / "BraTS2021_00006" / "BraTS2021_00006_flair.nii.gz")]
    assert new["t1ce"] == [str(tmp_path / "BraTS-GLI-00000-000" / "BraTS-GLI-00000-000-t1c.nii.gz")]


def test_an_empty_case_folder_is_listed_too(tmp_path):
    touch_case(tmp_path / "BraTS2021_00001")
    (tmp_path / "BraTS2021_00000").mkdir()
    assert [case["name"] for case in list_brats(tmp_path)] == ["BraTS2021_00000", "BraTS2021_00001"]


def test_packed_files_come_before_others(tmp_path):
    folder = touch_case(tmp_path / "BraTS2021_00006", suffix=".nii")
    touch_case(folder, parts=("t2",))
    case = list_brats(tmp_path)[0]
    assert [Path(*case["images"][name]).suffix for name in CLASSES] == [".nii", ".nii", ".gz", ".nii"]


def test_a_folder_around_a_file_of_its_name(tmp_path):
    folder = touch(tmp_path / "BraTS20_Training_001", "BraTS20_Training_001_t1.nii/00000057.nii")
    touch(folder, "BraTS20_Training_001_seg.nii/a.nii", "BraTS20_Training_001_seg.nii/._a.nii")
    touch(folder, "BraTS20_Training_001_t2.nii/a.nii", "BraTS20_Training_001_t2.nii/b.nii")
    case = list_brats(tmp_path)[0]
    assert case["images"]["t1"] == [str(folder / "BraTS20_Training_001_t1.nii" / "00000057.nii")]
    assert case["label"] == str(folder / "BraTS20_Training_001_seg.nii" / "a.nii")
    assert case["images"]["t2"] == [str(folder / "BraTS20_Training_001_t2.nii.gz")]  # which of two cannot be told


def test_other_folders_are_not_brats(tmp_path):
    touch(tmp_path, "classes/glioma/1.png", "classes/BraTS2021_00006/1.png", "file")
    touch_case(tmp_path / "deep" / "1" / "2" / "3" / "BraTS2021_00006")
    touch_case(tmp_path / "hidden" / "__MACOSX" / "BraTS2021_00006")
    for name in ("classes", "deep", "hidden", "file", "nowhere"):
        assert not is_brats(tmp_path / name)
    assert is_brats(tmp_path / "deep" / "1")


def test_cases_sorted_into_a_folder_a_modality_are_class_folders(tmp_path):
    for part in ("t1ce", "flair"):
        for name in ("BraTS2021_00006", "BraTS2021_00012"):
            touch_case(tmp_path / part / name, parts=(part,))
    assert not is_brats(tmp_path)
    touch_case(
        tmp_path / "twice" / "BraTS2021_00006"
    )  # a case that is there twice, whole, is told of when it is listed
    assert is_brats(tmp_path)


def test_no_case_at_all(tmp_path):
    touch(tmp_path, "glioma/1.png")
    with pytest.raises(
        InputError, match="has no BraTS case in it, such as BraTS20_Training_001 or BraTS-GLI-00000-000"
    ):
        list_brats(tmp_path)
    with pytest.raises(InputError, match="nowhere is not a folder: --dataset_dir must name the folder of the BraTS"):
        list_brats(tmp_path / "nowhere")


def test_real_cases(shared):
    root = shared / "data" / "brats2021"
    if not root.is_dir():
        pytest.skip(f"needs {root}")
    assert is_brats(root)
    cases = list_brats(root)
    assert len(cases) == 8 and [case["patient"] for case in cases] == sorted(path.name for path in root.iterdir())
    listed = [file for case in cases for files in case["images"].values() for file in files]
    assert sorted([*listed, *(case["label"] for case in cases)]) == sorted(map(str, root.glob("*/*")))
    assert all(file.endswith(f"_{name}.nii.gz") for case in cases for name, (file,) in case["images"].items())
