"""A data set that is a CSV: one line an image, with its class and, where known, its patient, fold and label."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.image_files import folders_and_files, is_image, stem_of
from monai_aggrgan.data.listed_files import case_name, listed_files, refuse_repeated_files
from monai_aggrgan.exceptions import InputError, said_by

__all__ = ["read_csv_datalist"]


def read_csv_datalist(path: Path | str, *, root: Path | str | None = None) -> list[Case]:
    """Images that a CSV lists, with patients, folds and labels.

    Args:
        path: CSV with the columns `image` and `class`, and, where known, `patient_id` (or `patient`), `fold` and
            `label` (a segmentation). Other columns are not read.
        root: folder of the images; the CSV's own by default. A row's image is the file `root/image`, the DICOM series
            in the folder `root/image`, or else the file of any image suffix at `root/class/<stem of image>`: one list
            serves copies at other sizes and formats. A label is the file `root/label`.

    Returns:
        A case of one class for each row, named as `case_name` does.

    Raises:
        InputError: when the list cannot be read, lacks a column or a value, names something that is not there or
            cannot be told, or names a file twice for a class.
    """
    path = Path(path)
    root = path.parent if root is None else Path(root)
    stems = cache(_files_by_stem)
    cases = []
    for row in _rows(path):
        image = _find_image(row, root=root, stems=stems, source=path)
        cases.append(
            Case(
                name=case_name(root / row["image"], class_name=row["class"], root=root),
                images={row["class"]: listed_files(image)},
                label=_find_label(row, root=root, source=path),
                patient=row.get("patient_id") or row.get("patient") or None,
                fold=row.get("fold") or None,
            )
        )
    refuse_repeated_files(cases, source=path)
    return cases


def _rows(path: Path) -> list[dict[str, str]]:
    if not os.path.isfile(path):
        raise InputError(
            f"{path} is not a file: --datalist must name a CSV with columns image, class, patient_id, fold."
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin it with a byte order mark
            reader = csv.DictReader(file, restkey="", restval="")
            rows = [{key: str(value).strip() for key, value in row.items()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV file ({said_by(error)}).") from error
    if not rows:
        raise InputError(f"{path} lists no image: it needs a header line and one line an image.")
    header = reader.fieldnames or ()
    if missing := {"image", "class"} - set(header):
        raise InputError(
            f"{path} has no column {', '.join(sorted(missing))}: its header is {', '.join(header)} (commas separate)."
        )
    if lacking := [number for number, row in enumerate(rows, 1) if not row["image"] or not row["class"]]:
        raise InputError(f"{path} has no image or no class in row {lacking[0]}: fill in both.")
    return rows


Stems = Callable[[Path], dict[str, list[Path]]]


def _files_by_stem(folder: Path) -> dict[str, list[Path]]:
    by_stem: dict[str, list[Path]] = {}
    for path in folders_and_files(folder)[1] if os.path.isdir(folder) else []:
        if is_image(path):
            by_stem.setdefault(stem_of(path.name), []).append(path)
    return by_stem


def _find_image(row: dict[str, str], *, root: Path, stems: Stems, source: Path) -> Path:
    image, in_class = root / row["image"], root / row["class"]
    if os.path.exists(image):
        return image
    name = case_name(image, class_name=row["class"], root=root)
    for copy in (image, in_class / name, in_class / image.name):
        found = stems(copy.parent).get(stem_of(copy.name), [])
        if len(found) > 1:
            raise InputError(
                f"{source} names {row['image']}, which {found[0]} and {found[1].name} may replace: name the file meant."
            )
        if found:
            return found[0]
    raise InputError(f"{source} names {row['image']}, which is not in {root}: correct the list or --dataset_dir.")


def _find_label(row: dict[str, str], *, root: Path, source: Path) -> str | None:
    if not row.get("label"):
        return None
    label = root / row["label"]
    if not os.path.isfile(label):
        raise InputError(f"{source} names the label {row['label']}, which is not in {root}: correct the list.")
    return str(label)
