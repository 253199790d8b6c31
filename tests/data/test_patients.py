from __future__ import annotations

from monai_aggrgan.data.patients import join_patients


def test_where_one_source_knows_it_counts():
    assert join_patients(["a", "", "b", ""], ["", "x", "", ""]) == ["a", "x", "b", ""]


def test_images_that_share_a_name_of_either_kind_are_of_one_patient():
    joined = join_patients(["scan0", "scan1", "scan2", "scan3"], ["P", "P", "Q", ""])
    assert joined[0] == joined[1] and len(set(joined)) == 3
    chain = join_patients(["a", "a", "b", "b", "c"], ["1", "2", "2", "3", "4"])
    assert len(set(chain[:4])) == 1 and chain[4] != chain[0]


def test_the_same_word_of_a_list_and_of_a_file_are_two_names():
    assert len(set(join_patients(["x", "y"], ["y", "z"]))) == 2


def test_a_name_that_all_files_tell_is_not_believed(caplog):
    assert join_patients(["a", "b", "c"], ["ANON"] * 3) == ["a", "b", "c"]
    assert "all files tell the same patient" in caplog.text
    assert join_patients(["", ""], ["P", "P"]) == ["P", "P"]
