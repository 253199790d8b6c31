"""What inference.yaml refuses, each in one sentence and before anything is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages import inference
from monai_aggrgan.study import check_inference


@pytest.fixture
def options(finished, tmp_path) -> dict[str, Any]:
    """Options that work on the finished study of drawings."""
    places = {"study_dir": finished, "dataset_dir": finished / "prepare", "output_dir": tmp_path / "images"}
    choices = {"section": "training", "metric": "ssim", "matching": "best", "merging": "mean", "gaussian": "filter"}
    sizes = {"images": None, "pool_size": 16, "generators": ["dcgan1", "wgan_div"], "vgg_weights": "random"}
    return {**places, **choices, **sizes, "class_name": "disc", "output_ext": ".png"}


@pytest.fixture
def begun(options) -> dict[str, Any]:
    """Options of a run that has begun."""
    inference.begin(**options, first_seed=0, sigma=1.0)
    return {**options, "first_seed": 0, "sigma": 1.0}


def test_what_works_passes(options, tmp_path):
    inference.check(**options)
    inference.check(**{**options, "metric": lambda judged, references: None, "matching": "unique", "images": 3})
    (tmp_path / "vgg.pth").touch()
    inference.check(**{**options, "vgg_weights": str(tmp_path / "vgg.pth")})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metric": "ssmi"}, "--metric must be one of ssim, psnr, got 'ssmi'"),
        ({"matching": "uniqe"}, "--matching must be one of best, unique, got 'uniqe'"),
        ({"merging": "edges"}, "--merging must be one of edge-weighted, .* got 'edges'"),
        ({"gaussian": "x"}, "--gaussian must be one of filter, function"),
        ({"section": "test"}, "--section must be one of training, held_out"),
        ({"output_ext": ".jpg"}, "--output_ext must be one of .nii.gz, .png"),
        ({"study_dir": "nowhere"}, "--study_dir nowhere holds no trained study"),
        ({"class_name": "glioma"}, "--class_name must be one of disc, square, got 'glioma'"),
        ({"generators": ["dcgan3"]}, "names 'dcgan3', .* there are dcgan1, dcgan2, wgan_div"),
        ({"images": 0}, "--images must be a whole number of at least 1, or None for one a reference, got 0"),
        ({"images": "many"}, "--images must be a whole number of at least 1, .* got 'many'"),
        ({"pool_size": 0}, "--pool_size must be a whole number of at least 1, got 0"),
        ({"first_seed": -1}, "--first_seed must be a whole number of at least 0, got -1"),
        ({"matching": "unique", "pool_size": 2}, "--pool_size of at least the 8 references, got 2"),
        ({"vgg_weights": "vgg.pth"}, "--vgg_weights must be a file or one of cache, download, random, got 'vgg.pth'"),
    ],
)
def test_what_cannot_work_is_refused_by_its_option(options, given, message):
    with pytest.raises(InputError, match=message):
        inference.check(**{**options, **given})


def test_images_of_another_run_are_not_mixed_with_new_ones(options, tmp_path):
    (tmp_path / "images").mkdir()
    inference.check(**options)
    (tmp_path / "images" / "notes.txt").touch()
    with pytest.raises(InputError, match="holds files already: name a new folder"):
        inference.check(**options)
    (tmp_path / "images" / "manifest.csv").touch()
    with pytest.raises(InputError, match="holds the images of another run: name a new folder"):
        inference.check(**options)
    with pytest.raises(InputError, match="is a file: name a new folder"):
        inference.check(**{**options, "output_dir": tmp_path / "images" / "notes.txt"})


def test_the_same_command_may_go_on(begun, tmp_path):
    (tmp_path / "images" / "disc").mkdir()
    inference.begin(**begun)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pool_size": 32}, r"made with other options \(pool_size 16 before and 32 now\): give them as they were"),
        ({"images": 20, "sigma": 2.0}, "images null before and 20 now, sigma 1.0 before and 2.0 now"),
        ({"metric": "psnr"}, 'metric "ssim" before and "psnr" now'),
        ({"generators": ["dcgan1", "dcgan2"]}, "generators .*, trained generators"),
    ],
)
def test_unfinished_images_of_other_options_are_not_mixed_with_new_ones(begun, given, message):
    with pytest.raises(InputError, match=message):
        inference.begin(**{**begun, **given})


def test_images_of_generators_that_were_trained_anew_are_not_mixed(copied, options):
    here = {**options, "study_dir": copied, "dataset_dir": copied / "prepare"}
    inference.begin(**here)
    (copied / "train" / "disc" / "dcgan1" / "generator.pt").write_bytes(b"other weights")
    with pytest.raises(InputError, match=r"other options \(trained generators\)"):
        inference.begin(**here)


def test_at_the_command_line_it_is_one_sentence(options, capsys):
    with pytest.raises(SystemExit) as stopped:
        check_inference(**{**options, "images": 0})
    assert stopped.value.code == 2
    assert capsys.readouterr().err.strip() == (
        "--images must be a whole number of at least 1, or None for one a reference, got 0."
    )
