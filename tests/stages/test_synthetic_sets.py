"""Synthetic images are read where no test patient is behind them, and refused else."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from monai_aggrgan.data import read_manifest
from monai_aggrgan.data.image_folder import read_nifti, write_image_files
from monai_aggrgan.data.manifest import MANIFEST, write_manifest
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.export import TRAINED_ON
from monai_aggrgan.stages.synthetic_sets import read_synthetic

Row = dict[str, str]


@pytest.fixture
def elsewhere(copied, tmp_path) -> Path:
    """The set of the study in a folder of its own."""
    return Path(shutil.copytree(copied / "synthetic", tmp_path / "given"))


def change(folder: Path, edit: Callable[[list[Row]], object], *, name: str = MANIFEST) -> None:
    rows = read_manifest(folder, name=name)
    edit(rows)
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def held_out(study: Path) -> list[Row]:
    return [row for row in read_manifest(study / "prepare") if row["section"] == "held_out"]


def test_the_studys_own_set_is_read_class_by_class(study_of, finished):
    images, rows = read_synthetic(study_of(finished).settings)
    assert images.shape == (6, 1, 16, 16) and images.dtype == torch.float32
    assert [row["class_name"] for row in rows] == ["disc"] * 3 + ["square"] * 3
    assert {row["method"] for row in rows} == {"aggrgan_ssim"}
    for image, row in zip(images, rows, strict=True):
        assert torch.equal(image, read_nifti(finished / "stylise" / row["class_name"] / "aggrgan_ssim" / row["file"]))


@pytest.mark.parametrize("name", ["synthetic", "filtered"])
def test_an_exported_set_is_read_as_well(study_of, copied, name):
    own, rows = read_synthetic(study_of(copied).settings)
    images, given = read_synthetic(study_of(copied).settings, folder=copied / "synthetic")
    assert torch.equal(images, own) and [row["sha256"] for row in given] == [row["sha256"] for row in rows]
    if name == "filtered":
        shutil.rmtree(copied / "filtered")
        shutil.copytree(copied / "synthetic", copied / "filtered")
        change(copied / "filtered", lambda rows: rows.pop(0))
        images, given = read_synthetic(study_of(copied).settings, folder=copied / "filtered")
        assert len(images) == len(given) == 5


def test_what_is_absent_is_refused(study_of, copied, elsewhere):
    settings = study_of(copied).settings
    with pytest.raises(InputError, match=r"--synthetic_dir .*/nowhere is no folder: name one such as"):
        read_synthetic(settings, folder=elsewhere / "nowhere")
    (elsewhere / MANIFEST).rename(elsewhere / "other.csv")
    with pytest.raises(InputError, match=r"given has no manifest.csv, so it is no synthetic set of a study: export"):
        read_synthetic(settings, folder=elsewhere)
    shutil.rmtree(copied / "stylise" / "square" / "aggrgan_ssim")
    with pytest.raises(InputError, match=r"There is no manifest.csv in .*aggrgan_ssim: run the stage"):
        read_synthetic(settings)


@pytest.mark.parametrize("name", [MANIFEST, TRAINED_ON])
def test_a_table_without_its_columns_or_rows_is_refused(study_of, copied, elsewhere, name):
    path = elsewhere / name
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    for text in (header.replace("class_name", "kind").replace("id", "name"), header):
        path.write_text("\n".join([text, *(lines if text != header else [])]) + "\n", encoding="utf-8")
        with pytest.raises(InputError, match=rf"{name} must have rows with .*, and some lack them: export it again"):
            read_synthetic(study_of(copied).settings, folder=elsewhere)


def test_other_classes_are_refused(study_of, copied, elsewhere):
    settings = study_of(copied).settings
    change(elsewhere, lambda rows: [row.update(class_name="ring") for row in rows if row["class_name"] == "square"])
    with pytest.raises(InputError, match=r"given lacks square and also has ring, and the study has the classes disc, "):
        read_synthetic(settings, folder=elsewhere)
    shutil.copy(copied / "synthetic" / MANIFEST, elsewhere)
    with pytest.raises(InputError, match=r"given also has square, and the study has the classes disc: give"):
        read_synthetic(study_of(copied, classes=("disc",)).settings, folder=elsewhere)


def test_another_size_is_refused(study_of, copied, elsewhere):
    first = read_manifest(elsewhere)[0]["file"]
    write_image_files(elsewhere, first.removesuffix(".nii.gz"), torch.zeros(1, 8, 8))
    with pytest.raises(InputError, match=rf"{first} is 8x8 and the study's images are 16x16: give a set of this size"):
        read_synthetic(study_of(copied).settings, folder=elsewhere)


def test_intensities_out_of_range_are_refused(study_of, copied, elsewhere):
    import nibabel

    path = elsewhere / read_manifest(elsewhere)[0]["file"]
    pixels = nibabel.load(path).get_fdata() * 255 + 1
    nibabel.save(nibabel.Nifti1Image(pixels.astype("float32"), None), path)
    with pytest.raises(InputError, match=r"has intensities outside \[0, 1\]"):
        read_synthetic(study_of(copied).settings, folder=elsewhere)


@pytest.mark.parametrize("column", ["reference", "style_image"])
def test_images_that_answer_held_out_ones_are_refused(study_of, copied, elsewhere, column):
    tested = held_out(copied)[0]["id"]
    change(elsewhere, lambda rows: [row.update({column: tested}) for row in rows[:2]])
    with pytest.raises(InputError, match=r"^2 of the 6 images in .*given answer held-out ones .* made from test pat"):
        read_synthetic(study_of(copied).settings, folder=elsewhere)
    change(elsewhere, lambda rows: [row.update({column: "disc/0123456789"}) for row in rows[:2]])
    with pytest.raises(InputError, match=r"^2 of the 6 images in .*given answer no real image of this study, so it"):
        read_synthetic(study_of(copied).settings, folder=elsewhere)


def test_the_studys_own_images_are_checked_as_well(study_of, copied):
    tested = held_out(copied)[0]["id"]
    change(copied / "stylise" / "disc" / "aggrgan_ssim", lambda rows: rows[0].update(reference=tested))
    with pytest.raises(InputError, match=r"^1 of the 6 images in .*stylise answer held-out ones"):
        read_synthetic(study_of(copied).settings)


@pytest.mark.parametrize("known_by", ["id", "sha256"])
def test_a_set_whose_generators_saw_held_out_images_is_refused(study_of, copied, elsewhere, known_by):
    other = {"id": "disc/elsewhere", "sha256": "0" * 64}

    def edit(rows: list[Row]) -> None:
        for row, tested in zip(rows[:2], held_out(copied)[:2], strict=True):
            row.update({**other, known_by: tested[known_by]})

    change(elsewhere, edit, name=TRAINED_ON)
    with pytest.raises(InputError, match=r"^2 of the 16 images that .*given was trained on are held-out ones of"):
        read_synthetic(study_of(copied).settings, folder=elsewhere)


def test_the_set_of_a_study_with_another_split_is_refused(study_of, copied, tmp_path):
    other = study_of(tmp_path / "other", seed=5)
    other.run("prepare")
    ours, theirs = ({row["id"] for row in held_out(study)} for study in (copied, tmp_path / "other"))
    assert ours != theirs
    saw = len(theirs - ours)
    with pytest.raises(InputError, match=rf"^{saw} of the 16 images that .* was trained on are held-out ones"):
        read_synthetic(other.settings, folder=copied / "synthetic")


def test_a_set_that_cannot_be_checked_is_refused(study_of, copied, elsewhere):
    settings = study_of(copied).settings
    change(elsewhere, lambda rows: rows[0].update(sha256="0" * 64), name=TRAINED_ON)  # of that name, but another
    with pytest.raises(InputError, match=r"^1 of the 16 images that .* are not in this study, so it cannot be checked"):
        read_synthetic(settings, folder=elsewhere)
    change(elsewhere, lambda rows: rows[0].update(sha256="", id="disc/elsewhere"), name=TRAINED_ON)
    with pytest.raises(InputError, match=r"^1 of the 16 images .*: export it again .* or leave out --synthetic_dir"):
        read_synthetic(settings, folder=elsewhere)
    (elsewhere / TRAINED_ON).unlink()
    with pytest.raises(InputError, match=r"given has no trained_on.csv, so it cannot be checked that no test patient"):
        read_synthetic(settings, folder=elsewhere)


def test_renamed_and_unhashed_images_are_known_by_what_is_left(study_of, copied, elsewhere):
    change(elsewhere, lambda rows: rows[0].update(id="disc/elsewhere"), name=TRAINED_ON)
    change(elsewhere, lambda rows: rows[1].update(sha256=""), name=TRAINED_ON)
    assert len(read_synthetic(study_of(copied).settings, folder=elsewhere)[1]) == 6


def test_a_study_with_a_patient_on_both_sides_is_refused(study_of, copied):
    rows = read_manifest(copied / "prepare")
    sides = {side: next(row for row in rows if row["section"] == side) for side in ("training", "held_out")}
    sides["training"]["patient"] = sides["held_out"]["patient"]
    write_manifest(copied / "prepare", rows)
    with pytest.raises(InputError, match=r"held-out images of the same patients \(1 of them\)"):
        read_synthetic(study_of(copied).settings)


def test_a_study_that_was_split_anew_is_refused(study_of, copied):
    change(copied / "prepare" / "disc", lambda rows: rows.reverse())
    with pytest.raises(InputError, match=r"was trained on other images or another split"):
        read_synthetic(study_of(copied).settings)


def test_a_broken_image_of_a_given_set_is_not_to_be_made_by_this_study(study_of, copied, elsewhere):
    row = read_manifest(elsewhere)[1]
    (elsewhere / row["file"]).write_bytes(b"no NIfTI")
    told = rf"{row['file']} is absent or damaged \(.*\): bring the file back, or export it again from this study"
    with pytest.raises(InputError, match=told) as caught:
        read_synthetic(study_of(copied).settings, folder=elsewhere)
    assert "delete" not in str(caught.value)
