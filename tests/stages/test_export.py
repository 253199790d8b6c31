"""The data set tells what its generators were trained on, and nothing about patients."""

from __future__ import annotations

import pytest

from monai_aggrgan.data import read_manifest
from monai_aggrgan.stages.export import TRAINED_ON

COLUMNS = ["class_name", "sha256", "id"]


@pytest.mark.parametrize("name", ["synthetic", "filtered"])
def test_the_set_lists_the_training_images_by_id_and_content_alone(finished, name):
    told = read_manifest(finished / name, name=TRAINED_ON)
    prepared = [row for row in read_manifest(finished / "prepare") if row["section"] == "training"]
    assert told == [{column: row[column] for column in COLUMNS} for row in prepared]
    assert all(list(row) == COLUMNS and len(row["sha256"]) == 64 for row in told)
    assert {row["reference"] for row in read_manifest(finished / name)} <= {row["id"] for row in told}


def test_a_set_of_an_older_version_is_exported_again(study_of, copied):
    whole = (copied / "synthetic" / TRAINED_ON).read_bytes()
    (copied / "synthetic" / TRAINED_ON).unlink()
    record = copied / "synthetic" / "stage.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"2 prepare"', '"other"'), encoding="utf-8")
    study_of(copied).run("export")
    assert (copied / "synthetic" / TRAINED_ON).read_bytes() == whole
