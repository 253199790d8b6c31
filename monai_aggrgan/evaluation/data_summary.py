"""What the data are, before a training starts: as text, as tables, and as pictures."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from monai_aggrgan.data.image_folder import write_png
from monai_aggrgan.data.manifest import map_image_array, read_manifest, whole_file, write_manifest
from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.evaluation.data_notices import data_notices
from monai_aggrgan.evaluation.data_rows import WIDTH, data_rows, table_text
from monai_aggrgan.evaluation.duplicates import Duplicates, find_duplicates
from monai_aggrgan.evaluation.near_duplicates import NearDuplicate, find_near_duplicates
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.visualize.figures import labelled_rows

__all__ = [
    "CONTACT_SHEET",
    "DUPLICATES",
    "NEAR_DUPLICATES",
    "NOTICES",
    "SUMMARY",
    "TEXT",
    "DataSummary",
    "write_data_summary",
]

TEXT, SUMMARY, NOTICES, DUPLICATES = "summary.txt", "summary.csv", "notices.csv", "duplicates.csv"
CONTACT_SHEET, NEAR_DUPLICATES = "contact_sheet.png", "near_duplicates.png"
SHOWN, PAIRS = 8, 12  # images of a class and side, pairs of near-duplicates
SIDE = 128  # pixels of an image in a picture, at most

Images = Mapping[str, tuple[Tensor, list[dict[str, str]]]]
"""Class name -> mapped images and their rows."""


@dataclass(frozen=True)
class DataSummary:
    """What a prepared data set holds and what about it needs attention.

    Attributes:
        rows: see `data_rows`, as in summary.csv.
        notices: sentences, gravest first.
        text: all of it for a terminal, as in summary.txt.
        duplicates: groups of images whose pixels are the same.
        near_duplicates: held-out images that are nearly a training image, most alike first.
    """

    rows: list[dict[str, Any]]
    notices: list[str]
    text: str
    duplicates: list[Duplicates]
    near_duplicates: list[NearDuplicate]


def write_data_summary(folder: Path | str, *, seed: int = 0) -> DataSummary:
    """Say what a prepared data set holds, in files beside its manifest.

    They are summary.txt, summary.csv, notices.csv, contact_sheet.png (for each class and side 8 images, drawn by
    `seed`) and, where there are any, duplicates.csv and near_duplicates.png (the 12 pairs most alike). They name images
    by their ids and patients by their pseudonyms; names of files stand in none. Memory does not grow with the number of
    images.

    Args:
        folder: a finished prepared data set: a manifest, and a folder with images.npy and a manifest for each class.
        seed: of the images that are shown.

    Raises:
        InputError: when a manifest is absent or empty, or an array is absent or damaged.
    """
    folder = Path(folder)
    rows = read_manifest(folder)
    if not rows:
        raise InputError(f"The manifest of {folder} is empty: prepare the data again.")
    images = {name: map_image_array(folder / name) for name in dict.fromkeys(row["class_name"] for row in rows)}
    summary = _summarise(folder, rows, image_size=next(iter(images.values()))[0].shape[-1])
    write_manifest(folder, summary.rows, name=SUMMARY)
    write_manifest(folder, [{"notice": notice} for notice in summary.notices], name=NOTICES)
    _write_duplicates(folder, rows, summary)
    write_png(folder / CONTACT_SHEET, labelled_rows(_drawn(images, seed=seed)))
    _write_near_duplicates(folder, images, summary.near_duplicates)
    with whole_file(folder / TEXT) as partial:
        partial.write_text(summary.text, encoding="utf-8")
    return summary


def _summarise(folder: Path, rows: list[dict[str, str]], *, image_size: int) -> DataSummary:
    records, duplicates, near = data_rows(rows), find_duplicates(rows), find_near_duplicates(folder)
    notices = data_notices(rows, records, duplicates=duplicates, near_duplicates=near, image_size=image_size)
    head = f"{_count(len(rows), 'image')} of {_patients(rows)} in {_count(len(records) // 2, 'class', 'es')}"
    sentences = [fill(notice, WIDTH, initial_indent="- ", subsequent_indent="  ") for notice in notices]
    attention = "\n".join(["What needs attention:", *sentences] if notices else ["Nothing needs attention."])
    text = f"{head}, prepared at {image_size}x{image_size} pixels\n\n{table_text(records)}\n\n{attention}\n"
    return DataSummary(records, notices, text, duplicates, near)


def _patients(rows: Sequence[Mapping[str, str]]) -> str:
    patients = {row["patient"] for row in rows}
    known = len(patients - {""})
    if "" in patients:
        return f"unknown patients and {known} known" if known else "unknown patients"
    return _count(known, "patient")


def _count(number: int, noun: str, ending: str = "s") -> str:
    return f"{number} {noun}{'' if number == 1 else ending}"


def _write_duplicates(folder: Path, rows: Sequence[Mapping[str, str]], summary: DataSummary) -> None:
    """Write one row an image, those of a group one below the other; of a near-duplicate the held-out image first."""
    groups: list[tuple[tuple[str, ...], dict[str, object]]] = [
        (group.ids, {"kind": "identical", "where": group.where}) for group in summary.duplicates
    ]
    for pair in summary.near_duplicates:
        told = {"similarity": f"{pair.similarity:.3f}", "mirrored": "yes" if pair.mirrored else "no"}
        groups.append(((pair.held_out, pair.training), {"kind": "near", "where": "across the split", **told}))
    by_id = {row["id"]: {name: row[name] for name in ("id", "class_name", "section", "patient")} for row in rows}
    (folder / DUPLICATES).unlink(missing_ok=True)
    if groups:
        numbered = enumerate(groups, start=1)
        write_manifest(
            folder,
            [{"group": number, **by_id[name], **told} for number, (ids, told) in numbered for name in ids],
            name=DUPLICATES,
        )


def _drawn(images: Images, *, seed: int) -> list[tuple[str, list[Tensor]]]:
    """For each class and side a label and some images."""
    drawn = []
    for (class_name, (array, rows)), section in product(images.items(), (TRAINING, HELD_OUT)):
        mine = [index for index, row in enumerate(rows) if row["section"] == section]
        chosen = random.Random(f"{seed} {class_name} {section}").sample(mine, min(SHOWN, len(mine)))
        label = f"{class_name}\n{section.replace('_', ' ')}\n{_count(len(mine), 'image')}"
        drawn.append((label, [_small(array[index]) for index in chosen]))
    return drawn


def _write_near_duplicates(folder: Path, images: Images, pairs: Sequence[NearDuplicate]) -> None:
    (folder / NEAR_DUPLICATES).unlink(missing_ok=True)
    if pairs:
        shown = [_pair(*images[pair.class_name], pair) for pair in pairs[:PAIRS]]
        halves = [half for half in (shown[: PAIRS // 2], shown[PAIRS // 2 :]) if half]
        pictures = [labelled_rows(half, columns=["held out", "training", "difference"]) for half in halves]
        lacking = [len(pictures[0]) - len(picture) for picture in pictures]
        whole = [
            np.pad(picture, ((0, rows), (0, 0), (0, 0)), constant_values=255)
            for picture, rows in zip(pictures, lacking, strict=True)
        ]
        write_png(folder / NEAR_DUPLICATES, np.hstack(whole))


def _pair(array: Tensor, rows: Sequence[Mapping[str, str]], pair: NearDuplicate) -> tuple[str, list[Tensor]]:
    """A label and the pair, turned alike, with what differs."""
    places = {row["id"]: index for index, row in enumerate(rows)}
    held_out, training = (_small(array[places[name]]) for name in (pair.held_out, pair.training))
    training = training.flip(-1) if pair.mirrored else training
    one, other = (name.removeprefix(f"{pair.class_name}/") for name in (pair.held_out, pair.training))
    likeness = f"similarity {pair.similarity:.2f}{', mirrored' if pair.mirrored else ''}"
    label = f"{pair.class_name}\nheld out {one}\ntraining {other}\n{likeness}"
    return label, [held_out, training, (held_out - training).abs()]


def _small(image: Tensor) -> Tensor:
    """An image (1, H, W) for a picture, the means of whole numbers of pixels where it is larger than 128."""
    factor = max(1, -(-max(image.shape[1:]) // SIDE))
    return F.avg_pool2d(image.float()[None], factor)[0]
