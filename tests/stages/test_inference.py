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
    places = {"study_dir": finished, "dataset_dir": finished / "prepare", "output_dir": tmp_path}
    choices = {"section": "training", "metric": "ssim", "matching": "best", "merging": "mean", "gaussian": "filter"}
    sizes = {"images": None, "pool_size": 16, "generators": ["dcgan1", "wgan_div"], "vgg_weights": "random"}
    return {**places, **choices, **sizes, "class_name": "disc", "output_ext": ".png"}


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
        ({"images": 0}, "--images must be at least 1, or None for all, got 0"),
        ({"matching": "unique", "pool_size": 2}, "--pool_size of at least the 8 references, got 2"),
        ({"vgg_weights": "vgg.pth"}, "--vgg_weights must be a file or one of cache, download, random, got 'vgg.pth'"),
    ],
)
def test_what_cannot_work_is_refused_by_its_option(options, given, message):
    with pytest.raises(InputError, match=message):
        inference.check(**{**options, **given})


def test_images_of_another_run_are_not_mixed_with_new_ones(options, tmp_path):
    (tmp_path / "manifest.csv").touch()
    with pytest.raises(InputError, match="holds the images of another run: name a new folder"):
        inference.check(**options)


def test_at_the_command_line_it_is_one_sentence(options, capsys):
    with pytest.raises(SystemExit) as stopped:
        check_inference(**{**options, "images": 0})
    assert stopped.value.code == 2
    assert capsys.readouterr().err.strip() == "--images must be at least 1, or None for all, got 0."
