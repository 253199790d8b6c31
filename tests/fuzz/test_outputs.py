"""Whatever names data sets and folders of others have, files appear in the output folder only."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from monai_aggrgan import Study
from monai_aggrgan.data import write_image_array, write_manifest
from monai_aggrgan.stages.export import write_dataset
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.study import STAGES
from tests.conftest import OPTIONS
from tests.fuzz.properties import NAMES, folder_where_nothing_appears, value_or_sentence

import torch  # isort: skip

FEW = settings(max_examples=max(4, settings().max_examples // 6))
UP = ["../../x", "..", "/tmp/aggrgan_x", "a/../../../x", "..\\x", "\ud800", "a" * 300, "=1", "$x", "a\nb"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch) -> Iterator[None]:
    """A working folder and a home, in which nothing may appear."""
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield
    assert not [*(tmp_path / "work").rglob("*"), *(tmp_path / "home").rglob("*")]
    assert not os.path.exists("/tmp/aggrgan_x")


def study_in(output: Path, **options: object) -> Study:
    return Study(**{**OPTIONS, "output_dir": output, "generators": ["dcgan1"], "num_workers": 0, **options})


@FEW
@given(class_name=NAMES, patient=NAMES, fold=NAMES, stem=NAMES)
@example(class_name="../../x", patient="../../x", fold="../../x", stem="x")
@example(class_name="b", patient="\ud800", fold="\ud800", stem="=x")
def test_preparing_a_list_of_any_names(class_name, patient, fold, stem):
    with folder_where_nothing_appears() as output:
        data = output / "data"
        data.mkdir()
        rows = []
        for number in range(6):
            name = f"{number}{stem.replace('/', '_')}.png"
            try:
                Image.fromarray(np.random.default_rng(number).integers(0, 255, (16, 16), np.uint8)).save(data / name)
            except (OSError, ValueError):
                name = f"{number}.png"
                Image.fromarray(np.random.default_rng(number).integers(0, 255, (16, 16), np.uint8)).save(data / name)
            rows.append(
                {"image": name, "class": class_name, "patient_id": f"{patient}{number}", "fold": f"{fold}{number % 2}"}
            )
        with (data / "list.csv").open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            try:
                writer.writerows(rows)
            except (UnicodeEncodeError, csv.Error):
                return
        value_or_sentence(
            lambda: study_in(output / "study", dataset_dir=data, datalist=data / "list.csv").run("prepare"), Path
        )


@FEW
@given(name=NAMES, seen=st.sampled_from(["prepare", "train", "generate", "select", "aggregate", "stylise", "export"]))
@example(name="../../x", seen="train")
@example(name="$(touch x)", seen="train")
def test_a_prepared_folder_of_somebody_else(name, seen):
    with folder_where_nothing_appears() as output:
        prepared = output / "prepare"
        rows = [{"class_name": name, "id": f"{name}/{n}", "section": "training", "sha256": ""} for n in range(2)]
        write_image_array(prepared / "a", torch.rand(2, 1, 16, 16), rows)
        write_manifest(prepared, rows)
        (prepared / "stage.json").write_text(
            '{"name": "prepare", "settings": {"size": 16, "inputs": {}}, "finished": true}'
        )
        study = value_or_sentence(lambda: study_in(output), Study)
        value_or_sentence(lambda: [*STAGES[seen](study.settings)], list)


@pytest.mark.parametrize("name", UP)
def test_a_class_that_leads_out_is_refused_before_anything_is_written(name):
    with folder_where_nothing_appears() as output:
        write_manifest(output / "prepare", []) if (output / "prepare").mkdir() else None
        rows = [{"class_name": name, "id": "0", "section": "training"}]
        (output / "prepare" / "manifest.csv").write_text("class_name,id,section\n", encoding="utf-8")
        write_manifest(output / "prepare", rows)
        given_settings = StudySettings(**{**OPTIONS, "output_dir": output, "dataset_dir": None})
        assert value_or_sentence(given_settings.prepared_classes, list) is None


@pytest.mark.parametrize("file", ["../../x.nii.gz", "/tmp/aggrgan_x", "..\\..\\x.nii.gz"])
def test_an_image_that_leads_out_is_not_exported(file):
    with folder_where_nothing_appears() as output:
        for row in (
            {"file": file, "preview": "0.png", "class_name": "a"},
            {"file": "0.nii.gz", "preview": file, "class_name": "a"},
        ):
            (output / "0.nii.gz").touch()
            settings_ = StudySettings(**{**OPTIONS, "output_dir": output, "dataset_dir": None})
            assert (
                value_or_sentence(lambda row=row, s=settings_: write_dataset(output, [(output, row)], s), type(None))
                is None
            )
