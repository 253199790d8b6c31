"""Classifiers of one's own are refused in a sentence where their config is not one; what decides a training."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from monai_aggrgan.data import write_manifest
from monai_aggrgan.evaluation.conditions import PATIENT, Condition
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages import classify
from monai_aggrgan.study import check_classify

CONFIGS = Path(__file__).resolve().parents[2] / "bundles" / "brain_mri_aggrgan" / "configs"
SMALL = (CONFIGS / "classifier_small.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def settings_of(study_of, tmp_path_factory):
    """Makes settings of a study with three classes and the classifier `mine` of a text."""
    folder = tmp_path_factory.mktemp("bundle") / "configs"
    shutil.copytree(CONFIGS, folder)
    (folder.parent / "study" / "prepare").mkdir(parents=True)
    write_manifest(folder.parent / "study" / "prepare", [{"id": name, "class_name": name} for name in "abc"])

    def make(text: str):
        (folder / "classifier_mine.yaml").write_text(text, encoding="utf-8")
        return study_of(folder.parent / "study", config_dir=folder, classifiers=["mine"]).settings

    return make


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            SMALL.replace("label: ResNet-10, small\n", ""),
            "classifier_mine.yaml lacks label, a text: it must have label, ",
        ),
        (SMALL.replace("learning_rate: 0.0003\n", ""), "lacks learning_rate, a number above 0: it must have"),
        ("label: A\nlearning_rate: 0.1\n", "lacks network_def, a mapping with _target_"),
        (
            "label: A\nlearning_rate: 0.1\nnetwork_def: mine\n",
            "network_def must be a mapping with _target_, got 'mine'",
        ),
        (SMALL.replace("0.0003", "quick"), "learning_rate must be a number above 0, got 'quick'"),
        (SMALL.replace("ResNet-10, small", "12"), "label must be a text, got 12"),
        ("label: [a\n  b: :\n", r"classifier_mine.yaml is no YAML at line 2 \(.*\): correct it"),
        ("- a list\n", "classifier_mine.yaml is no mapping of settings"),
        ("", "classifier_mine.yaml is no mapping of settings"),
    ],
)
def test_a_config_that_is_none_is_refused_in_one_sentence(settings_of, text, told):
    with pytest.raises(InputError, match=told) as caught:
        settings_of(text).check_classifiers()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SMALL.replace("0.0003", "$-1"), "learning_rate must be a number above 0, got -1"),
        (
            SMALL.replace("monai.networks.nets.ResNet", "nopackage.Net"),
            "needs the package nopackage, .* pip install nopa",
        ),
        (SMALL.replace("nets.ResNet", "nets.ResNett"), "cannot be used here .*ResNett"),
        (SMALL.replace("$len(@classes)", "7"), r"gives \(2, 7\) for 2 images and 3 classes: it must be \(2, 3\)"),
    ],
)
def test_a_classifier_that_cannot_be_built_is_refused_in_one_sentence(settings_of, text, told):
    with pytest.raises(InputError, match=told):
        classify._build(settings_of(text), "mine", classes=3)


def test_a_training_has_a_folder_of_its_own(settings_of):
    settings = settings_of(SMALL)
    conditions = [Condition(PATIENT, "real"), Condition(PATIENT, "synthetic", 3), Condition(PATIENT, "synthetic", 4)]
    folders = {classify.folder_of(settings, "mine", condition, seed) for condition in conditions for seed in (0, 1)}
    assert len(folders) == 6
    last = classify.folder_of(settings, "mine", conditions[1], 1)
    assert last.parts[-5:] == ("classify", "mine", "patient", "synthetic-3", "seed-1")


def test_the_config_alone_says_how_it_is_used(capsys):
    with pytest.raises(SystemExit):
        check_classify(None)
    assert "classify.yaml is run by the study" in capsys.readouterr().err
