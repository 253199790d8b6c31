"""Files that say what the data are."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from monai_aggrgan.data.manifest import write_manifest
from monai_aggrgan.data.phantoms import phantom_slice
from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.evaluation.data_summary import write_data_summary
from monai_aggrgan.exceptions import InputError

Write = Callable[..., Path]


def flat(grey: int, *, size: int = 64) -> Tensor:
    return torch.full((1, size, size), grey / 255)


def head(seed: int) -> Tensor:
    return torch.from_numpy(phantom_slice("ring", seed=seed, size=64))[None]


def greys(path: Path) -> set[int]:
    """Greys of which there are whole images."""
    values, counts = np.unique(np.asarray(Image.open(path)), return_counts=True)
    return set(values[counts >= 3 * 128 * 128].tolist()) - {255}


@pytest.fixture
def defective(write_prepared: Write) -> Path:
    """Two classes; held out are a darker copy (b/3) and an identical one (a/4) of training images."""
    images = [("a", TRAINING, head(seed)) for seed in range(3)]
    images += [("a", HELD_OUT, head(7)), ("a", HELD_OUT, head(0))]
    images += [("b", TRAINING, head(seed)) for seed in range(10, 13)] + [("b", HELD_OUT, 0.9 * head(11).flip(-1))]
    return write_prepared(images)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_all_files_are_written_and_say_the_same_as_the_result(defective: Path) -> None:
    summary = write_data_summary(defective, seed=1)
    assert (defective / "summary.txt").read_text(encoding="utf-8") == summary.text
    rows = read(defective / "summary.csv")
    assert [(row["class_name"], row["section"], row["images"], row["patients"]) for row in rows] == [
        ("a", "training", "3", "3"),
        ("a", "held_out", "2", "2"),
        ("b", "training", "3", "3"),
        ("b", "held_out", "1", "1"),
    ]
    assert rows == [{name: str(value) for name, value in row.items()} for row in summary.rows]
    assert [group.ids for group in summary.duplicates] == [("a/0", "a/4")]
    assert [(pair.held_out, pair.training) for pair in summary.near_duplicates] == [("b/3", "b/1")]
    for name in ("contact_sheet.png", "near_duplicates.png"):
        assert Image.open(defective / name).mode == "RGB"
    assert not list(defective.glob(".partial*"))


def test_duplicates_are_listed_image_by_image(defective: Path) -> None:
    similarity = write_data_summary(defective).near_duplicates[0].similarity
    rows = read(defective / "duplicates.csv")
    assert [(row["group"], row["kind"], row["where"], row["id"], row["section"], row["patient"]) for row in rows] == [
        ("1", "identical", "across the split", "a/0", "training", "p-0"),
        ("1", "identical", "across the split", "a/4", "held_out", "p-4"),
        ("2", "near", "across the split", "b/3", "held_out", "p-8"),
        ("2", "near", "across the split", "b/1", "training", "p-6"),
    ]
    assert [(row["similarity"], row["mirrored"]) for row in rows] == [("", "")] * 2 + [(f"{similarity:.3f}", "yes")] * 2


def test_without_duplicates_nothing_is_left_of_an_earlier_run(write_prepared: Write) -> None:
    folder = write_prepared([("a", side, head(seed)) for seed, side in enumerate((TRAINING, HELD_OUT) * 2)])
    for name in ("duplicates.csv", "near_duplicates.png"):
        (folder / name).write_text("earlier")
    summary = write_data_summary(folder)
    assert (summary.duplicates, summary.near_duplicates) == ([], [])
    assert not (folder / "duplicates.csv").exists() and not (folder / "near_duplicates.png").exists()


def test_text_holds_the_table_and_every_notice_in_a_terminals_width(defective: Path) -> None:
    summary = write_data_summary(defective)
    assert summary.text.startswith("9 images of 9 patients in 2 classes, prepared at 64x64 pixels\n\nclass")
    words = " ".join(summary.text.split())
    assert summary.notices and all(f"- {notice}" in words for notice in summary.notices)
    assert max(map(len, summary.text.splitlines())) <= 110


@pytest.mark.parametrize(
    ("patients", "head"),
    [
        (["", ""], "2 images of unknown patients in 1 class, "),
        (["", "p-1"], "2 images of unknown patients and 1 known in 1 class, "),
        (["p-1", "p-1"], "2 images of 1 patient in 1 class, "),
    ],
)
def test_text_begins_with_what_is_known(write_prepared: Write, patients: list[str], head: str) -> None:
    folder = write_prepared([("a", TRAINING, flat(1)), ("a", HELD_OUT, flat(2))])
    rows = read(folder / "manifest.csv")
    write_manifest(folder, [{**row, "patient": patient} for row, patient in zip(rows, patients, strict=True)])
    assert write_data_summary(folder).text.startswith(head)


def test_text_says_when_nothing_needs_attention(write_prepared: Write) -> None:
    images = [("a", TRAINING, flat(grey)) for grey in range(50)] + [("a", HELD_OUT, flat(grey)) for grey in (60, 61)]
    summary = write_data_summary(write_prepared(images, spacing="0.5x0.5"))
    assert summary.notices == [] and summary.text.endswith("\n\nNothing needs attention.\n")


def test_no_name_of_a_file_gets_out(defective: Path) -> None:
    summary = write_data_summary(defective)
    assert "Jane" in (defective / "manifest.csv").read_text()
    told = [(defective / name).read_text() for name in ("summary.txt", "summary.csv", "duplicates.csv")]
    assert "Jane" not in "".join([repr(summary), *told])


def test_the_sheet_shows_images_of_each_class_and_side_drawn_by_the_seed(write_prepared: Write) -> None:
    training, held_out = range(10, 40), range(100, 103)
    images = [("a", TRAINING, flat(grey)) for grey in training] + [("a", HELD_OUT, flat(grey)) for grey in held_out]
    folder = write_prepared([*images, ("b", TRAINING, flat(200)), ("b", HELD_OUT, flat(210))])
    drawn = []
    for seed in (0, 0, 1):
        write_data_summary(folder, seed=seed)
        shown = greys(folder / "contact_sheet.png")
        assert shown & set(range(100, 255)) == {*held_out, 200, 210}
        assert len(shown & set(training)) == 8
        drawn.append(shown)
    assert drawn[0] == drawn[1] != drawn[2]


def test_large_images_are_shown_small(write_prepared: Write) -> None:
    folder = write_prepared([("a", side, flat(grey, size=256)) for grey, side in ((50, TRAINING), (60, HELD_OUT))])
    write_data_summary(folder)
    picture = np.asarray(Image.open(folder / "contact_sheet.png"))[..., 0]
    assert [int((picture == grey).sum()) for grey in (50, 60)] == pytest.approx([128 * 128] * 2, rel=0.01)


def test_twelve_pairs_are_shown_in_two_columns(write_prepared: Write) -> None:
    heads = [head(seed) for seed in range(14)]
    images = [("a", TRAINING, image) for image in heads] + [("a", HELD_OUT, 0.9 * image) for image in heads]
    folder = write_prepared(images)
    assert len(write_data_summary(folder).near_duplicates) == 14
    width, height = Image.open(folder / "near_duplicates.png").size
    assert height // 136 == 6 and width > 6 * 136


def test_a_mirrored_pair_is_turned_alike_before_it_is_compared(write_prepared: Write) -> None:
    folder = write_prepared([("a", TRAINING, head(0)), ("a", HELD_OUT, head(0).flip(-1))])
    (pair,) = write_data_summary(folder).near_duplicates
    picture = np.asarray(Image.open(folder / "near_duplicates.png"))[..., 0]
    line = 23  # of white below and at the right, beside 4 around the image
    difference = picture[-line - 132 : -line - 4, -line - 132 : -line - 4]
    assert pair.mirrored and difference.max() == 0


def test_what_is_not_prepared_is_refused(tmp_path: Path, write_prepared: Write) -> None:
    with pytest.raises(InputError, match=r"There is no manifest\.csv"):
        write_data_summary(tmp_path)
    folder = write_prepared([("a", TRAINING, flat(1)), ("a", HELD_OUT, flat(2))])
    (folder / "a" / "images.npy").unlink()
    with pytest.raises(InputError, match=r"images\.npy cannot be read"):
        write_data_summary(folder)
    (folder / "manifest.csv").write_text("id,class_name\n")
    with pytest.raises(InputError, match="is empty: prepare"):
        write_data_summary(folder)
