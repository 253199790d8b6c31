from __future__ import annotations

import os

import numpy as np
import pytest

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.listed_files import case_name, listed_files, refuse_repeated_files
from monai_aggrgan.exceptions import InputError
from tests.dicom_files import write_dicom_series


def case(**images: str) -> Case:
    return Case(name="1", images={name: [file] for name, file in images.items()}, label=None, patient=None, fold=None)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("glioma/1.png", "1"),
        ("glioma/1.2.840.nii.gz", "1.2.840"),
        ("images/glioma/1.jpg", "1"),
        ("images/glioma/Zoë Ü/glioma/1.jpg", "Zoë Ü/glioma/1"),
        ("images/1.jpg", "images/1"),
        ("./images/../1.jpg", "1"),
        ("glioma", "glioma"),
        ("p/series 1", "p/series 1"),
    ],
)
def test_a_name_is_the_path_behind_the_class_without_suffix(tmp_path, monkeypatch, image, name):
    assert case_name(tmp_path / image, class_name="glioma", root=tmp_path) == name
    monkeypatch.chdir(tmp_path.parent)
    assert (
        case_name(f"{tmp_path.name}/{image}", class_name="glioma", root=tmp_path.relative_to(tmp_path.parent)) == name
    )


def test_the_name_of_what_lies_elsewhere_does_not_depend_on_the_root(tmp_path):
    found = {case_name("/else/a/p/1.png", class_name="b", root=root) for root in (tmp_path, tmp_path.parent)}
    assert found == {"else/a/p/1"}
    assert case_name("/else/a/p/1.png", class_name="a", root=tmp_path) == "p/1"


def test_a_file_stands_for_itself_and_a_folder_for_its_series(tmp_path):
    written = write_dicom_series(tmp_path, np.zeros((2, 3, 4), np.int16), names=["2", "1"])
    assert listed_files(tmp_path) == [str(path) for path in written]
    assert listed_files(tmp_path / "2") == [str(tmp_path / "2")]


def test_a_file_twice_for_a_class_is_refused_however_it_is_written(tmp_path):
    refuse_repeated_files([case(a="x/1.png", b="x/1.png"), case(a="x/2.png")], source=tmp_path)
    for other in ("x/1.png", "./x/../x/1.png", os.path.abspath("x/1.png")):
        with pytest.raises(InputError, match=r"list names .*1\.png twice for class 'a': keep one of the two"):
            refuse_repeated_files([case(a="x/1.png"), case(a=other)], source=tmp_path / "list")
