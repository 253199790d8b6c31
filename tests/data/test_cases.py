from __future__ import annotations

import copy

import pytest

from monai_aggrgan.data.brats import list_brats
from monai_aggrgan.data.cases import select_classes
from monai_aggrgan.data.class_folders import list_class_folders
from monai_aggrgan.exceptions import InputError
from tests.touched_files import touch


def test_classes_are_selected_in_the_data_sets_order(tmp_path):
    cases = list_class_folders(touch(tmp_path, "a/1.png", "b/1.png", "c/1.png"))
    assert select_classes(cases, None) == cases
    assert select_classes(cases, ["c", "a"]) == [cases[0], cases[2]]
    with pytest.raises(InputError, match="There is no class 'd' in the data set: its classes are a, b, c"):
        select_classes(cases, ["a", "d"])


def test_a_case_of_several_classes_keeps_the_selected_ones(tmp_path):
    cases = list_brats(touch(tmp_path, "BraTS2021_00000/1", "BraTS2021_00001/1"))
    before = copy.deepcopy(cases)
    selected = select_classes(cases, ["flair", "t1"])
    assert [list(case["images"]) for case in selected] == [["t1", "flair"]] * 2
    assert [{**case, "images": None} for case in selected] == [{**case, "images": None} for case in cases]
    assert cases == before
