"""What trainings are made of: counts, sources, and the images of a plan."""

from __future__ import annotations

import pytest
import torch

from monai_aggrgan.data import read_image_folder, read_manifest
from monai_aggrgan.evaluation.conditions import MINORITY, PATIENT, Condition
from monai_aggrgan.evaluation.utility_facts import Entry, Plan
from monai_aggrgan.stages.real_images import read_real
from monai_aggrgan.stages.utility_data import base_count, conditions_of, read_utility_data, sources_of

PLAIN = {"synthetic_counts": [3], "slice_level": False, "minority_class": "none"}
REAL, ADDED = Condition(PATIENT, "real"), Condition(PATIENT, "synthetic", 3)


@pytest.fixture(scope="module")
def settings(study_of, finished):
    return study_of(finished, **PLAIN).settings


def test_folders_behind_a_condition_are_those_of_its_synthetic_images(settings, study_of, finished):
    own = [finished / "stylise" / name / "aggrgan_ssim" for name in ("disc", "square")]
    more = [finished / "enlarged" / name / "round_001" for name in ("disc", "square")]
    assert sources_of(settings, ADDED) == own == sources_of(settings, REAL)  # case 1 tests on them
    assert sources_of(settings, Condition(PATIENT, "transforms", 3)) == []
    larger = study_of(finished, **{**PLAIN, "synthetic_counts": [4]}).settings
    assert sources_of(larger, Condition(PATIENT, "synthetic", 4)) == [own[0], more[0], own[1], more[1]]
    assert sources_of(settings, Condition(MINORITY, "synthetic", 2)) == [finished / "minority"]
    given = study_of(finished, **PLAIN, synthetic_dir=finished / "synthetic").settings
    assert sources_of(given, ADDED) == [finished / "synthetic"]
    assert base_count(settings) == base_count(given) == 3


def test_a_set_from_elsewhere_has_no_larger_numbers_and_no_minority(study_of, finished):
    given = {"synthetic_dir": finished / "synthetic", "synthetic_counts": [2, 9], "minority_class": "disc"}
    found = conditions_of(study_of(finished, **{**PLAIN, **given}).settings)
    assert {condition.count for condition in found} == {0, 2, 3} and {c.protocol for c in found} == {PATIENT}


def test_images_of_a_plan_are_those_of_its_entries(settings, finished):
    data = read_utility_data(settings)
    made, rows = read_image_folder(finished / "stylise" / "disc" / "aggrgan_ssim")
    entries = (Entry("real", 5), Entry("synthetic", 1), Entry("real", 5, 1), Entry("flip", 5, 9))
    plan = Plan(entries, entries[:1], {})
    training = data.images(plan, ADDED).training
    real = read_real(settings)[5].float()
    expected = [real, made[1].half().float(), real, real.flip(-1)]
    assert torch.equal(training.images[:3], torch.stack(expected[:3])) and training.labels.tolist() == [0] * 4
    assert torch.allclose(training.images[3], expected[3])
    patient_of = {row["id"]: row["patient"] for row in read_manifest(finished / "prepare")}
    name, patient, label = data.told(Entry("synthetic", 1), ADDED)
    assert (patient, label) == (patient_of[rows[1]["reference"]], "disc") and name.startswith("disc/")
