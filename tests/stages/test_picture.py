"""The picture of one image of a study: made of the parts that the stages left, and refused in a sentence."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import run
from numpy.typing import NDArray
from PIL import Image

from monai_aggrgan.data import PreparedSlices, map_image_array, read_manifest, read_nifti
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.inferers import merging_weights, method_picture, weighted_sum
from monai_aggrgan.stages import picture
from monai_aggrgan.stages.picture import picture_of
from monai_aggrgan.study import draw

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "brain_mri_aggrgan"
LABELS = {"dcgan1": "DCGAN-1", "dcgan2": "DCGAN-2", "wgan_div": "WGAN-div"}


def rows_of(study: Path, method: str = "aggregate_ssim") -> list[dict[str, str]]:
    return read_manifest(study / "aggregate" / "square" / method)


def candidates_of(study: Path, row: dict[str, str]) -> torch.Tensor:
    """The images (K, 1, H, W) that a row of a manifest names."""
    parts = zip(row["generators"].split("+"), row["seed"].split("+"), strict=True)
    return torch.stack([map_image_array(study / "generate" / "square" / name)[0][int(s)].float() for name, s in parts])


@pytest.fixture
def given(monkeypatch) -> dict[str, Any]:
    """What the picture that is drawn next is drawn from."""
    kept: dict[str, Any] = {}

    def keep(candidates: torch.Tensor, weights: torch.Tensor, **options: Any) -> NDArray[np.uint8]:
        kept.update(candidates=candidates, weights=weights, **options)
        return np.zeros((4, 4, 3), dtype=np.uint8)

    monkeypatch.setattr(picture, "method_picture", keep)
    return kept


@pytest.mark.parametrize("metric", ["ssim", "psnr"])
def test_the_picture_is_drawn_from_the_parts(study_of, finished, metric):
    row = rows_of(finished, f"aggregate_{metric}")[1]
    training = PreparedSlices(finished / "prepare", class_name="square")
    (reference,) = [i for r, i in zip(training.rows, training.images, strict=True) if r["id"] == row["reference"]]
    candidates, scores = candidates_of(finished, row), [float(score) for score in row["scores"].split("+")]
    parts = zip(row["generators"].split("+"), row["seed"].split("+"), scores, strict=True)
    expected = method_picture(
        candidates,
        merging_weights(candidates[None], torch.tensor([scores]))[0],
        reference=reference,
        labels=[f"{LABELS[name]}, seed {seed}, {metric.upper()} {score:.3f}" for name, seed, score in parts],
        styled=read_nifti(finished / "stylise" / "square" / f"aggrgan_{metric}" / row["file"]),
        title=f"square, {row['name']}",
    )
    drawn = picture_of(study_of(finished).settings, row["reference"], method=f"aggregate_{metric}")
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("method", ["aggregate_ssim", "aggregate_psnr"])
def test_its_weights_merge_its_candidates_to_the_studys_file(study_of, finished, given, method):
    for row in rows_of(finished, method):
        picture_of(study_of(finished).settings, row["reference"], method=method)
        merged = weighted_sum(given["candidates"][None], given["weights"][None])[0]
        file = read_nifti(finished / "aggregate" / "square" / method / row["file"])
        torch.testing.assert_close(merged, file, rtol=0, atol=2e-5)  # scores are written with five digits


def test_it_shows_how_the_image_was_merged_whatever_is_set_now(study_of, copied, given):
    other = {"merging": "edge-weighted", "sigma": 3.0, "gaussian": "function", "top_k": 3}
    study_of(copied, classes="square", **other).run("aggregate")
    for row in rows_of(copied):
        picture_of(study_of(copied).settings, row["reference"])
        merged = weighted_sum(given["candidates"][None], given["weights"][None])[0]
        file = read_nifti(copied / "aggregate" / "square" / "aggregate_ssim" / row["file"])
        torch.testing.assert_close(merged, file, rtol=0, atol=2e-5)
        assert (given["sigma"], given["gaussian"], len(given["labels"])) == (3.0, "function", 3)


def test_generators_that_are_not_set_now_go_by_their_names(study_of, finished, given):
    row = rows_of(finished)[0]
    picture_of(study_of(finished, generators="dcgan2").settings, row["reference"])
    names = [label.partition(",")[0] for label in given["labels"]]
    assert names == [{"dcgan2": "DCGAN-2"}.get(name, name) for name in row["generators"].split("+")]


def test_before_style_transfer_it_is_drawn_without(study_of, copied, given):
    shutil.rmtree(copied / "stylise")
    picture_of(study_of(copied).settings, rows_of(copied)[0]["reference"])
    assert given["styled"] is None


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("circle/1", "--image must be CLASS/NAME with a class of disc, square, got 'circle/1'."),
        ("square", "The study has no image 'square': it has square/"),
        ("square/1", "The study has no image 'square/1': it has square/"),
        ("../square/1", "--image must be CLASS/NAME with a class of disc, square, got '../square/1'."),
    ],
)
def test_what_the_study_has_not_is_refused_in_one_sentence(study_of, finished, image, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        study_of(finished).picture(image)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    assert not (finished / "pictures").exists()


def options_of(study_dir: Path) -> dict[str, Any]:
    return {"config_dir": BUNDLE / "configs", "dataset_dir": study_dir, "output_dir": study_dir}


def test_the_command_draws_into_the_study_and_prints_where(study_of, copied, capsys):
    image = rows_of(copied)[2]["reference"]
    draw(options_of(copied), image)
    path = copied / "pictures" / f"{image.replace('/', '_')}.png"
    assert capsys.readouterr().out == f"\nPicture: {path}\n"
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture_of(study_of(copied).settings, image))


@pytest.mark.parametrize(("image", "message"), [(None, "--image is missing: name an image"), ("square/1", "no image")])
def test_the_command_says_what_is_wrong_and_exits_with_2(finished, capsys, image, message):
    with pytest.raises(SystemExit) as caught:
        draw(options_of(finished), image)
    told = capsys.readouterr()
    assert caught.value.code == 2 and told.out == ""
    assert message in told.err.splitlines()[-1]


@pytest.mark.filterwarnings("ignore:parsing config_file")
def test_the_study_config_has_the_command(copied, capsys):
    given = {"bundle_root": str(BUNDLE), "dataset_dir": str(copied), "output_dir": str(copied)}
    image = rows_of(copied)[0]["reference"]
    config = str(BUNDLE / "configs" / "study.yaml")
    run("picture", config_file=config, logging_file=False, image=image, **given)
    assert f"\nPicture: {copied / 'pictures' / image.replace('/', '_')}.png\n" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run("picture", config_file=config, logging_file=False, **given)
    assert "--image is missing" in capsys.readouterr().err


def test_a_style_from_before_another_merging_is_not_shown(study_of, copied, given):
    row = rows_of(copied)[0]
    picture_of(study_of(copied).settings, row["reference"])
    assert given["styled"] is not None
    study_of(copied, merging="best-single").run("aggregate")
    picture_of(study_of(copied).settings, row["reference"])
    assert given["styled"] is None
