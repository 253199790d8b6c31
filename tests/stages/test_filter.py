"""The data set without flagged images."""

from __future__ import annotations

import json
import logging

from monai_aggrgan.data import read_manifest, write_manifest

METHOD = "aggrgan_ssim"


def flag(study, class_name: str, count: int) -> list[str]:
    """Flag the first images of the finished set; returns their files."""
    folder = study / "evaluate" / class_name
    rows = read_manifest(folder, name="memorization.csv")
    mine = [row for row in rows if row["method"] == METHOD]
    for row in mine:
        row["flagged"] = ""
    for row in mine[:count]:
        row["flagged"], row["why"] = "yes", "a copy once aligned"
    write_manifest(folder, rows, name="memorization.csv")
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


def test_another_verdict_makes_it_anew(study_of, copied):
    before = (copied / "filtered" / "stage.json").stat().st_mtime_ns
    study_of(copied).run("filter")
    assert (copied / "filtered" / "stage.json").stat().st_mtime_ns == before
    flag(copied, "disc", 2)
    study_of(copied).run("filter")
    assert (copied / "filtered" / "stage.json").stat().st_mtime_ns != before
