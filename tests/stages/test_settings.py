from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import torch

from monai_aggrgan.data.manifest import write_manifest
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.settings import StudySettings

CONFIGS = Path(__file__).resolve().parents[2] / "bundles" / "brain_mri_aggrgan" / "configs"
GIVEN = {"config_dir": CONFIGS, "dataset_dir": "slices", "output_dir": "study"}


def settings(**options: object) -> StudySettings:
    return StudySettings.from_options(**{**GIVEN, **options})


def test_none_stands_for_the_default():
    names = [field.name for field in fields(StudySettings) if field.name not in GIVEN]
    told = settings(**dict.fromkeys(names))
    for field in fields(StudySettings):
        if field.name not in GIVEN:
            default = field.default_factory() if field.default is MISSING else field.default
            assert getattr(told, field.name) == default


def test_the_defaults_are_the_papers():
    told = settings()
    assert told.generators == ("dcgan1", "dcgan2", "wgan_div") and told.max_epochs is None
    assert (told.references, told.top_k, told.sigma, told.gaussian) == (300, 2, 1.0, "filter")
    assert (told.matching, told.merging, told.ablation) == ("best", "edge-weighted", True)
    assert (told.style_iterations, told.image_size, told.precision) == (2000, 128, "float32")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("glioma", ("glioma",)),
        (["glioma", "pituitary"], ("glioma", "pituitary")),
        (("glioma",), ("glioma",)),
        ([1, 2], ("1", "2")),
        (1, ("1",)),
        (None, None),
    ],
)
def test_classes_are_given_in_any_shape(given, expected):
    assert settings(classes=given).classes == expected


def test_generators_are_given_in_any_shape():
    assert settings(generators="wgan_div").generators == ("wgan_div",)
    assert settings(generators=["dcgan2", "wgan_div_conv"]).generators == ("dcgan2", "wgan_div_conv")


def test_paths_and_names_from_a_command_line_become_what_they_are():
    told = settings(dataset_dir="~/slices", datalist="list.csv", held_out_fold=1, vgg_weights=Path("vgg.pth"))
    assert told.dataset_dir == Path.home() / "slices" and told.datalist == Path("list.csv")
    assert (told.held_out_fold, told.vgg_weights) == ("1", "vgg.pth")


def test_a_datalist_may_stand_for_the_folder():
    assert settings(dataset_dir=None, datalist="list.csv").dataset_dir is None


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"output_dir": None}, "--output_dir is missing"),
        ({"dataset_dir": None}, "--dataset_dir is missing"),
        ({"colour": "red"}, "no option 'colour'"),
        ({"mixed_sizes": "crop"}, "--mixed_sizes must be one of refuse, resize, got 'crop'"),
        ({"on_error": "ignore"}, "--on_error must be one of raise, skip, got 'ignore'"),
        ({"matching": "first"}, "--matching must be one of best, unique, got 'first'"),
        (
            {"merging": "median"},
            "--merging must be one of edge-weighted, metric-weighted, mean, best-single, got 'median'",
        ),
        ({"ablation": "yes"}, "--ablation must be True or False, got 'yes'"),
        ({"ablation": 1}, "--ablation must be True or False, got 1"),
        ({"gaussian": "blur"}, "--gaussian must be one of filter, function, got 'blur'"),
        ({"precision": "half"}, "--precision must be one of float32, bfloat16, auto, got 'half'"),
        ({"pool_size": 0}, "--pool_size must be a whole number of at least 1, got 0"),
        ({"pool_size": "many"}, "--pool_size must be a whole number of at least 1, got 'many'"),
        ({"references": 0}, "--references must be .* at least 1"),
        ({"top_k": 0}, "--top_k must be .* at least 1"),
        ({"top_k": 1.5}, "--top_k must be a whole number"),
        ({"style_iterations": -1}, "--style_iterations must be .* at least 0"),
        ({"seed": -1}, "--seed must be .* at least 0"),
        ({"seed": True}, "--seed must be a whole number"),
        ({"max_epochs": 0}, "--max_epochs must be .* at least 1"),
        ({"image_size": 8}, "--image_size must be .* at least 16"),
        ({"image_size": 100}, "--image_size must be a power of two such as 64, 128 or 256, got 100"),
        ({"sigma": 0}, "--sigma must be a number above 0, got 0"),
        ({"sigma": "wide"}, "--sigma must be a number above 0, got 'wide'"),
        ({"sigma": float("nan")}, "--sigma must be a number above 0, got nan"),
        ({"style_tolerance": 1.0}, "--style_tolerance must be a number from 0 to below 1, got 1.0"),
        ({"style_tolerance": -0.1}, "--style_tolerance must be"),
        ({"held_out_fraction": 0}, "--held_out_fraction must be a number between 0 and 1, got 0"),
        ({"held_out_fraction": 1}, "--held_out_fraction must be a number between 0 and 1, got 1"),
        ({"held_out_fraction": "a fifth"}, "--held_out_fraction must be a number between 0 and 1, got 'a fifth'"),
        ({"layout": "tree"}, "--layout must be one of auto, class_folders, brats, figshare, got 'tree'"),
        ({"plane": "oblique"}, "--plane must be one of axial, coronal, sagittal, stored, got 'oblique'"),
        ({"slices": "all"}, "--slices must be one of auto, label, foreground, every, got 'all'"),
        ({"slice_step": 0}, "--slice_step must be a whole number of at least 1, got 0"),
        ({"slice_positions": [2]}, "--slice_positions must be numbers from 0 to 1"),
        ({"intensity": "window"}, "--intensity must be one of volume, slice, or two intensities, got 'window'"),
        ({"intensity": [40]}, "--intensity must be two rising intensities"),
        ({"percentiles": [99, 1]}, "--percentiles must be two rising numbers from 0 to 100"),
        ({"num_workers": -1}, "--num_workers must be a whole number of at least 0, got -1"),
        ({"training": "base_width=32"}, "--training must be a mapping"),
        ({"generators": "stylegan"}, "no generator 'stylegan': .* knows dcgan1, dcgan2, infogan, lsgan, wgan_div"),
        ({"generators": []}, "--generators names none"),
        ({"classes": []}, "--classes names none"),
        ({"config_dir": "nowhere"}, "nowhere has no train_<generator>.yaml: --bundle_root"),
        ({"device": "abacus"}, "--device abacus cannot be used here"),
        ({"device": "cuda:99"}, "--device cuda:99 cannot be used here"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(option, message):
    with pytest.raises(InputError, match=message) as caught:
        settings(**option)
    assert "\n" not in str(caught.value)


def test_auto_is_the_gpu_where_there_is_one():
    assert settings(device="cpu").torch_device.type == "cpu"
    assert settings(device="auto").torch_device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_labels_come_from_the_configs():
    labels = settings(generators=["wgan_div", "dcgan1"]).labels
    assert list(labels.items()) == [("wgan_div", "WGAN-div"), ("dcgan1", "DCGAN-1")]


def test_prepared_classes_are_those_wanted_in_the_data_sets_order(tmp_path):
    (tmp_path / "prepare").mkdir()
    rows = [{"id": name, "class_name": name} for name in ("tabby", "ginger", "black", "tabby")]
    write_manifest(tmp_path / "prepare", rows)
    assert settings(output_dir=tmp_path).prepared_classes() == ["tabby", "ginger", "black"]
    assert settings(output_dir=tmp_path, classes=["black", "tabby"]).prepared_classes() == ["tabby", "black"]
    with pytest.raises(InputError, match=r"Class 'white' is not prepared in .*: it has tabby, ginger, black"):
        settings(output_dir=tmp_path, classes="white").prepared_classes()
    with pytest.raises(InputError, match="run the stage that writes this folder first"):
        settings(output_dir=tmp_path / "nowhere").prepared_classes()


def test_all_options_as_plain_values():
    plain = settings(training={"base_width": 8}).as_json()
    assert list(plain) == [field.name for field in fields(StudySettings)]
    assert json.loads(json.dumps(plain)) == plain
    assert plain["output_dir"] == "study" and plain["training"] == {"base_width": 8}
