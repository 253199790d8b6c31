"""Where real images come from: a folder with one folder per class, or a CSV that lists files, folds and patients."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import TypedDict

from monai_aggrgan.exceptions import InputError

__all__ = ["IMAGE_SUFFIXES", "SliceItem", "list_class_folders", "read_csv_datalist", "select_classes"]

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy", ".nii", ".nii.gz")


class SliceItem(TypedDict):
    """One image file of a data set, in the manner of a MONAI datalist.

    `patient` and `fold` are None where they are not known.
    """

    image: str
    class_name: str
    patient: str | None
    fold: str | None


def list_class_folders(root: Path | str) -> list[SliceItem]:
    """Every image of a folder that has one folder per class; patients and folds are not known.

    Raises:
        InputError: when the folder is absent, has no class folders, or a class folder has no image.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: --dataset_dir must name a folder with one folder per class.")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise InputError(f"{root} has no folders in it: put each class's images into a folder named after the class.")
    return [item for folder in folders for item in _list_class(folder)]


def _list_class(folder: Path) -> list[SliceItem]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    images = [path for path in files if _is_image(path)]
    if not images:
        raise InputError(f"{folder} has no image in it: images end in {', '.join(IMAGE_SUFFIXES)}.")
    if left_out := [path.name for path in files if not _is_image(path)]:
        logger.warning(
            "%s: %d files are no images by their names and are left out (%s)", folder, len(left_out), left_out[0]
        )
    return [SliceItem(image=str(path), class_name=folder.name, patient=None, fold=None) for path in images]


def _is_image(path: Path) -> bool:
    return path.name.lower().endswith(IMAGE_SUFFIXES)


def read_csv_datalist(path: Path | str, *, root: Path | str | None = None) -> list[SliceItem]:
    """Images that a CSV lists, with patients and folds.

    Args:
        path: CSV with the columns `image` and `class`, and, where known, `patient_id` (or `patient`) and `fold`.
        root: folder of the images; the CSV's own by default. A row's image is `root/image`, or else the file of any
            image suffix at `root/class/<stem of image>`: one list serves copies at other sizes and formats.

    Raises:
        InputError: when the list cannot be read, lacks a column or a value, or names an image that is not there.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path} is not a file: --datalist must name a CSV with columns image, class, patient_id, fold."
        )
    root = path.parent if root is None else Path(root)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin it with a byte order mark
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV file ({error}).") from error
    if not rows:
        raise InputError(f"{path} lists no image: it needs a header line and one line an image.")
    if missing := {"image", "class"} - set(rows[0]):
        raise InputError(f"{path} has no column {', '.join(sorted(missing))}: its header is {', '.join(rows[0])}.")
    if lacking := [number for number, row in enumerate(rows, 1) if not row["image"] or not row["class"]]:
        raise InputError(f"{path} has no image or no class in row {lacking[0]}: fill in both.")
    by_stem = _files_by_stem(root, {row["class"] for row in rows})
    return [_item_of(row, root=root, by_stem=by_stem, source=path) for row in rows]


def _files_by_stem(root: Path, classes: set[str]) -> dict[tuple[str, str], Path]:
    folders = [(name, root / name) for name in classes if (root / name).is_dir()]
    return {(name, _stem(file.name)): file for name, folder in folders for file in folder.iterdir() if _is_image(file)}


def _stem(name: str) -> str:
    suffix = next((suffix for suffix in (".nii.gz", *IMAGE_SUFFIXES) if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def _item_of(row: dict[str, str], *, root: Path, by_stem: dict[tuple[str, str], Path], source: Path) -> SliceItem:
    image: Path | None = root / row["image"]
    if image is None or not image.is_file():
        image = by_stem.get((row["class"], _stem(Path(row["image"]).name)))
    if image is None:
        raise InputError(f"{source} names {row['image']}, which is not in {root}: correct the list or --dataset_dir.")
    patient = row.get("patient_id") or row.get("patient") or None
    return SliceItem(image=str(image), class_name=row["class"], patient=patient, fold=row.get("fold") or None)


def select_classes(items: list[SliceItem], classes: list[str] | None) -> list[SliceItem]:
    """Items of the named classes, in the data set's order; all of them when `classes` is None.

    Raises:
        InputError: when a class is named that the data set does not have.
    """
    known = list(dict.fromkeys(item["class_name"] for item in items))
    for name in classes or []:
        if name not in known:
            raise InputError(f"There is no class '{name}' in the data set: its classes are {', '.join(known)}.")
    return [item for item in items if classes is None or item["class_name"] in classes]
