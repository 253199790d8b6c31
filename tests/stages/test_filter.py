"""The data set without flagged images."""

from __future__ import annotations

import json
import logging

import pytest

from monai_aggrgan.data import read_manifest
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.evaluate import AUDIT, DISTRIBUTION, MEMORIZATION, RESULTS, write_tables

METHOD = "aggrgan_ssim"


def flag(study, class_name: str, count: int) -> list[str]:
    """Flag the first images of the finished set; returns their files."""
    folder = study / "evaluate" / class_name
    tables = {name: read_manifest(folder, name=name) for name in (RESULTS, DISTRIBUTION, MEMORIZATION, AUDIT)}
    rows = tables[MEMORIZATION]
    mine = [row for row in rows if row["method"] == METHOD]
    for row in mine:
        row["flagged"] = ""
    for row in mine[:count]:
        row["flagged"], row["why"] = "yes", "a copy once aligned"
    write_tables(folder, tables)
    return [row["file"].rpartition("/")[2] for row in mine[:count]]


def test_flagged_images_are_left_out_and_the_others_are_whole(study_of, copied):
    gone = flag(copied, "disc", 1)
    flag(copied, "square", 0)
    study_of(copied).run("filter")
    whole = read_manifest(copied / "synthetic")
    kept = [row for row in whole if row["file"] != f"disc/{gone[0]}"]
    assert len(kept) == len(whole) - 1
    assert read_manifest(copied / "filtered") == kept
    told = json.loads((copied / "filtered" / "datalist.json").read_text(encoding="utf-8"))
    assert [entry["image"] for entry in told["training"]] == [row["file"] for row in kept]
    for row in kept:
        name = row["file"]
        assert (copied / "filtered" / name).read_bytes() == (copied / "synthetic" / name).read_bytes()
    assert not (copied / "filtered" / "disc" / gone[0]).exists()


def test_a_class_of_which_nothing_is_left_is_said_loudly(study_of, copied, caplog):
    flag(copied, "disc", 3)
    flag(copied, "square", 0)
    study_of(copied).run("filter")
    (record,) = [record for record in caplog.records if "disc: 0 of 3 images are left" in record.getMessage()]
    assert record.levelno == logging.WARNING
    assert {row["class_name"] for row in read_manifest(copied / "filtered")} == {"square"}
    lists = [
        json.loads((copied / name / "datalist.json").read_text(encoding="utf-8")) for name in ("synthetic", "filtered")
    ]
    assert lists[0]["labels"] == lists[1]["labels"] == {"0": "disc", "1": "square"}  # a label keeps its class
    assert {entry["label"] for entry in lists[1]["training"]} == {1}


@pytest.mark.parametrize("stage", ["filter", "report"])
@pytest.mark.parametrize("damage", ["cut", "column", "flag"])
def test_a_table_that_is_not_as_it_was_written_is_refused(study_of, copied, stage, damage):
    path = copied / "evaluate" / "square" / MEMORIZATION
    text = path.read_text(encoding="utf-8")
    damaged = {"cut": text[: len(text) // 2], "column": text.replace("flagged", "gone"), "flag": text + "x\n"}[damage]
    path.write_text(damaged, encoding="utf-8")
    with pytest.raises(InputError, match=r"square/memorization.csv is damaged"):
        study_of(copied).run(stage, again=True)


def test_another_verdict_makes_it_anew(study_of, copied):
    before = (copied / "filtered" / "stage.json").stat().st_mtime_ns
    study_of(copied).run("filter")
    assert (copied / "filtered" / "stage.json").stat().st_mtime_ns == before
    flag(copied, "disc", 2)
    study_of(copied).run("filter")
    assert (copied / "filtered" / "stage.json").stat().st_mtime_ns != before
