"""A study that is not there, not finished, or was made with other options is not asked what its images are worth."""

from __future__ import annotations

import shutil

import pytest

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.as_made import refuse_other_options, refuse_unfinished
from monai_aggrgan.study import STAGES


def test_a_finished_study_with_its_own_options_passes(study_of, finished):
    settings = study_of(finished).settings
    refuse_unfinished(settings, STAGES)
    refuse_other_options(settings, STAGES)


def test_a_mistyped_folder_holds_no_study_and_is_not_made(study_of, tmp_path):
    with pytest.raises(InputError, match=r"There is no study in .*/stdy: --output_dir must name the folder"):
        study_of(tmp_path / "stdy").run("enlarge")
    assert not (tmp_path / "stdy").exists()


def test_of_an_unfinished_study_the_stages_to_run_are_named(study_of, copied):
    shutil.rmtree(copied / "stylise" / "disc" / "aggrgan_ssim")
    with pytest.raises(InputError, match=r"is not finished: run its stage `stylise` first; or give the options"):
        study_of(copied).run("classify")
    shutil.rmtree(copied / "generate" / "square")
    with pytest.raises(InputError, match=r"is not finished: run its stages `generate` and `stylise` first"):
        study_of(copied).run("classify")
    refuse_unfinished(study_of(copied, synthetic_dir=copied / "synthetic").settings, STAGES)  # it needs none of these


OTHERS = {
    "training": {"base_width": 8, "batch_size": 2},
    "references": 2,
    "pool_size": 17,
    "style_iterations": 3,
    "max_epochs": 3,
    "vgg_scale": "torchvision",
}
TOLD = [
    *("base_width 4 before and 8 now", "references 3 before and 2 now", "pool_size 16 before and 17 now"),
    *("style_iterations 2 before and 3 now", "max_epochs 2 before and 3 now"),
    'vgg_scale "oxford" before and "torchvision" now',
]


@pytest.mark.parametrize(("given", "told"), [({"image_size": 32}, ["image_size 16 before and 32 now"]), (OTHERS, TOLD)])
def test_options_that_are_not_the_studys_are_named_before_anything_runs(study_of, finished, given, told):
    before = {path.name for path in finished.iterdir()}
    with pytest.raises(InputError, match=r"was made with other options \(.*\): give the options that it was") as caught:
        study_of(finished, **given).run("enlarge")
    assert all(words in str(caught.value) for words in told)
    assert {path.name for path in finished.iterdir()} == before


def test_what_another_machine_is_quicker_with_may_differ(study_of, finished):
    refuse_other_options(study_of(finished, precision="bfloat16", style_precision="bfloat16").settings, STAGES)


def test_of_a_set_from_elsewhere_only_the_size_counts(study_of, finished):
    given = {"synthetic_dir": finished / "synthetic", "pool_size": 17}
    refuse_other_options(study_of(finished, **given).settings, STAGES)
    with pytest.raises(InputError, match="image_size 16 before and 32 now"):
        refuse_other_options(study_of(finished, **given, image_size=32).settings, STAGES)
