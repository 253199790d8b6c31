"""The stage `evaluate` on the finished study of drawings: what its four files hold."""

from __future__ import annotations

import math

import pytest
import torch

from monai_aggrgan.data import read_manifest
from monai_aggrgan.data.image_folder import read_nifti
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.metrics.pairwise import pairwise_ssim
from monai_aggrgan.stages.evaluate import images_of

CLASSES = ("disc", "square")
FILES = ("results.csv", "distribution.csv", "memorization.csv", "audit.csv")
SPACES = ("vgg19", "pixels")


def rows_of(finished, name: str, class_name: str = "disc") -> list[dict[str, str]]:
    return read_manifest(finished / "evaluate" / class_name, name=name)


def test_the_report_holds_the_rows_of_all_classes(finished):
    for name in FILES:
        together = [row for class_name in CLASSES for row in rows_of(finished, name, class_name)]
        assert read_manifest(finished / "report", name=name) == together


def test_patients_are_those_of_the_references_and_of_real_images_their_own(finished):
    patient = {row["id"]: row["patient"] for row in read_manifest(finished / "prepare")}
    image_of = {row["reference"]: row["image_of"] for row in read_manifest(finished / "aggregate" / "disc" / "real")}
    for row in rows_of(finished, "results.csv"):
        shown = image_of[row["reference"]] if row["method"] == "real" else row["reference"]
        assert row["patient"] == patient[shown] != ""


def test_distributions_have_a_row_for_each_method_space_and_metric_at_equal_n(finished, study_of):
    rows = rows_of(finished, "distribution.csv")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    assert methods == list(images_of(study_of(finished).settings, "disc"))
    of_space = ["kid", "frechet", "frechet_ratio", "precision", "recall", "density", "coverage"]
    expected = [(space, metric) for space in SPACES for metric in of_space] + [
        ("images", "ms_ssim"),
        ("images", "distinct"),
    ]
    for method in methods:
        mine = [row for row in rows if row["method"] == method]
        assert [(row["space"], row["metric"]) for row in mine] == expected
        assert {(row["n"], row["reference_n"]) for row in mine} == {("3", "4")}
        assert "random weights" in mine[0]["extractor"]
    real = next(row for row in rows if row["method"] == "real" and row["metric"] == "frechet_ratio")
    assert float(real["value"]) == 1


def test_every_image_is_audited_and_so_is_every_held_out_one(finished, study_of):
    settings = study_of(finished).settings
    rows = rows_of(finished, "memorization.csv")
    training = {row["id"] for row in read_manifest(finished / "prepare" / "disc") if row["section"] == "training"}
    for method, listed in images_of(settings, "disc").items():
        mine = [row for row in rows if row["method"] == method]
        if method == "real":
            assert len(mine) == 4 and not training & {row["file"] for row in mine}
            continue
        assert [row["file"] for row in mine] == [
            (folder / row["file"]).relative_to(finished).as_posix() for folder, row in listed
        ]
        assert {row["ssim_training"] for row in mine} <= training
    audit = rows_of(finished, "audit.csv")
    flagged = {row["method"]: row for row in audit if row["measure"] == "flagged"}
    for method, row in flagged.items():
        share = [bool(line["flagged"]) for line in rows if line["method"] == method]
        assert float(row["value"]) == pytest.approx(sum(share) / len(share))
        assert row["verdict"] in ("pass", "fail")


def test_aligned_ssim_is_at_least_that_without_alignment(finished):
    aligned = {row["file"]: float(row["ssim"]) for row in rows_of(finished, "memorization.csv")}
    for row in rows_of(finished, "results.csv"):
        if row["method"] != "real":
            assert aligned[row["file"]] >= float(row["ssim_nearest"]) - 1e-5


def test_values_of_remembered_images_are_those_of_the_images_themselves(finished):
    rows = [row for row in rows_of(finished, "results.csv") if row["method"] in ("ablation_best_single", "steps_100")]
    training = read_manifest(finished / "prepare" / "disc")
    from monai_aggrgan.data.prepared import PreparedSlices

    slices = PreparedSlices(finished / "prepare", class_name="disc")
    place = {row["id"]: index for index, row in enumerate(slices.rows)}
    assert training and rows
    for row in rows:
        image = read_nifti(finished / row["file"])[None]
        scores = pairwise_ssim(image, slices.images)[0]
        assert float(row["ssim_paired"]) == pytest.approx(scores[place[row["reference"]]].item(), abs=2e-5)
        assert float(row["ssim_nearest"]) == pytest.approx(scores.max().item(), abs=2e-5)


def test_a_user_names_a_feature_space(study_of, copied, tmp_path):
    module = torch.jit.script(torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten()))
    torch.jit.save(module, tmp_path / "mine.ts")
    spaces = {"mine": {"path": str(tmp_path / "mine.ts"), "size": 16}}
    study_of(copied, feature_spaces=spaces, classes="disc").run("evaluate", "filter", "report")
    rows = rows_of(copied, "distribution.csv")
    assert {row["space"] for row in rows} == {*SPACES, "mine", "images"}
    assert {row["extractor"][:7] for row in rows if row["space"] == "mine"} == {"mine.ts"}
    kid = next(row for row in rows if (row["method"], row["space"], row["metric"]) == ("dcgan1", "mine", "kid"))
    assert math.isfinite(float(kid["value"]))
    assert "mine_closeness" in rows_of(copied, "memorization.csv")[0]
    page = (copied / "report" / "report.html").read_text(encoding="utf-8")
    assert "mine.ts" in page and str(tmp_path) not in page.replace(str(copied), "")  # a report travels
    assert str(tmp_path) not in (copied / "report" / "report.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ({"vgg19": {"path": "x.ts"}}, "cannot have the name 'vgg19'"),
        ({"a b": {"path": "x.ts"}}, "cannot have the name 'a b'"),
        ({"mine": "x.ts"}, "--feature_spaces must be like"),
        ({"mine": {"path": "absent.ts"}}, "there is no file 'absent.ts'"),
        ({"mine": {"_target_": "torch.nn.Nothing"}}, "cannot make torch.nn.Nothing"),
    ],
)
def test_a_feature_space_that_cannot_be_is_refused_before_hours_are_spent(study_of, finished, spaces, message):
    with pytest.raises(InputError, match=message):
        study_of(finished, feature_spaces=spaces).run("evaluate")


def test_a_space_that_tells_nothing_apart_is_refused(study_of, copied):
    """Else every image would be a copy of every other, held-out ones too, and the audit would pass."""

    class Zeros(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.zeros(images.shape[0], 3)

    torch.jit.save(torch.jit.script(Zeros()), copied / "zeros.ts")
    spaces = {"zeros": {"path": str(copied / "zeros.ts")}}
    with pytest.raises(InputError, match="'zeros' gives the same features for all 8 training images of class 'disc'"):
        study_of(copied, feature_spaces=spaces).run("evaluate")


def test_a_module_that_cannot_be_imported_is_named(study_of, finished):
    with pytest.raises(InputError, match=r"'mine': cannot make nopackage\.Encoder"):
        study_of(finished, feature_spaces={"mine": {"target": "nopackage.Encoder", "size": 32}}).run("evaluate")
