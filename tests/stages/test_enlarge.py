"""More synthetic images than the study has."""

from __future__ import annotations

import pytest

from monai_aggrgan.data import read_image_folder, read_manifest
from monai_aggrgan.stages.answers import Round, rounds
from monai_aggrgan.stages.enlarge import folders_of, tasks

OWN, POOL_SIZE = 3, 16


@pytest.fixture
def enlarged(study_of, copied):
    study = study_of(copied, synthetic_counts=[2, 8])
    study.run("enlarge")
    return study


def test_rounds_make_what_is_wanted_and_no_more():
    assert [*rounds(7, references=3, first=1)] == [Round(1, 3), Round(2, 3), Round(3, 1)]
    assert [*rounds(3, references=3, first=0)] == [Round(0, 3)]
    assert [*rounds(0, references=3, first=1)] == [*rounds(-5, references=3, first=1)] == []


def test_each_class_gets_what_it_lacks(enlarged, copied):
    for class_name in ("disc", "square"):
        folders = folders_of(enlarged.settings, class_name)
        assert folders == [copied / "enlarged" / class_name / f"round_00{number}" for number in (1, 2)]
        assert [len(read_manifest(folder)) for folder in folders] == [3, 2]
    assert enlarged.settings.synthetic_counts == (2, 8)


def test_the_same_references_are_answered_from_other_pools(enlarged, copied):
    own, rows = read_image_folder(copied / "stylise" / "disc" / "aggrgan_ssim")
    images = [*own]
    for number, folder in enumerate(folders_of(enlarged.settings, "disc"), 1):
        more, of_round = read_image_folder(folder)
        images += [*more]
        assert {row["reference"] for row in of_round} <= {row["reference"] for row in rows}
        for row in of_round:
            assert (row["class_name"], row["method"]) == ("disc", "aggrgan_ssim")
            assert row["style_image"] == row["reference"] and row["name"].endswith(f"-{number}")
            assert {int(seed) // POOL_SIZE for seed in row["seed"].split("+")} == {number}
    assert len({image.numpy().tobytes() for image in images}) == len(images) == 8


def test_a_study_that_has_enough_makes_none(study_of, copied):
    study = study_of(copied, synthetic_counts=[1, OWN])
    study.run("enlarge")
    assert not (copied / "enlarged").exists() and not [*tasks(study.settings)]


def test_more_are_added_to_those_that_are_there(study_of, enlarged, copied):
    first = copied / "enlarged" / "disc" / "round_001"
    before = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    study_of(copied, synthetic_counts=[9]).run("enlarge")
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == before
    assert len(read_manifest(copied / "enlarged" / "disc" / "round_002")) == 3


def test_other_generators_or_another_style_make_others(study_of, enlarged, copied):
    before = (copied / "enlarged" / "disc" / "round_001" / "manifest.csv").read_bytes()
    study_of(copied, synthetic_counts=[2, 8], style_iterations=3).run("stylise", "enlarge")
    assert (copied / "enlarged" / "disc" / "round_001" / "manifest.csv").read_bytes() != before
