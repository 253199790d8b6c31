"""The Figshare brain tumour set (Cheng 2015): its slices, classes, patients and folds, from .mat files or as JPEG."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.image_files import folders_and_files
from monai_aggrgan.data.mat_reader import read_mat_header, read_mat_vector
from monai_aggrgan.exceptions import InputError, said_by

__all__ = [
    "FIGSHARE_COUNTS",
    "FIGSHARE_FOLDS_FILE",
    "figshare_folds_file",
    "figshare_mat_files",
    "figshare_number",
    "is_figshare",
    "list_figshare",
]

logger = logging.getLogger(__name__)

FIGSHARE_COUNTS = {"meningioma": 708, "glioma": 1426, "pituitary": 930}
"""Class -> how many slices it has, in order of the labels 1, 2, 3 of the .mat files."""
SLICES = 3064
FOLDS = ("1", "2", "3", "4", "5")
FIGSHARE_FOLDS_FILE, FOLDS_KEY = "cvind.mat", "cvind"
LIST, IMAGES = "slices.csv", "images"
COLUMNS = ("number", "class", "image")
WRAPPERS = 2
"""Levels of folders in which archives wrap the .mat files, at most, such as 1512427/brainTumorDataPublic_1-766."""
ARCHIVE = re.compile(r"brainTumorDataPublic|1512427", re.IGNORECASE)
NUMBERED = re.compile(r"([1-9]\d{0,3})\.mat", re.IGNORECASE)


def is_figshare(root: Path | str) -> bool:
    """Whether a folder is the Figshare set, or a part of it. Opens no file.

    It is when it has a file called `1.mat` to `3064.mat`, directly, in folders with the names of the archives, or in
    any that come with `cvind.mat`; or `slices.csv` and `images` with a folder for each of the three classes. A folder
    per class with such files is none: it says itself what the classes are.

    Raises:
        InputError: when a folder cannot be read.
    """
    root = Path(root)
    if not root.is_dir():
        return False
    if _is_jpeg_tree(root):
        return True
    folders = {path.parent for path in _files(root) if figshare_number(path) is not None}
    named = any(folder == root or ARCHIVE.search(folder.name) for folder in folders)
    return bool(folders) and (named or figshare_folds_file(root) is not None)


def list_figshare(
    root: Path | str, *, progress: bool = True, damaged: list[tuple[Path, InputError]] | None = None
) -> list[Case]:
    """Every slice of the Figshare set, or of the part of it that is there, with class, patient and official fold.

    Of `.mat` files the class is `cjdata.label` (1 meningioma, 2 glioma, 3 pituitary), the patient `cjdata.PID` and the
    fold, 1 to 5, what `cvind.mat` has for the number of the file. Without `cvind.mat` folds are not known, and the log
    says so. Of the JPEG copy all of that stands in `slices.csv`, the patient for a few slices only.

    Args:
        root: folder of the `.mat` files and `cvind.mat`, or of one or two levels of folders around them; or of
            `slices.csv` (columns number, class, image, fold, patient_id) and `images/<class>/<number>.jpg`. Of a folder
            with both, the `.mat` files are taken.
        progress: whether to show a bar while the headers of the `.mat` files are read.
        damaged: is filled with the `.mat` files that cannot be listed, and why; None to refuse the set for them.

    Returns:
        Cases of one class, named by the number of their file, in order of it. An image that `slices.csv` names is
        listed whether it is there or not.

    Raises:
        InputError: when there is no slice, a number is there twice, a file is damaged or has no label of the three,
            folds do not fit, or a folder or list cannot be read.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: --dataset_dir must name the folder of the Figshare set.")
    files = figshare_mat_files(root)
    if files:
        return _list_mat_files(root, files, progress=progress, damaged=damaged)
    if _is_jpeg_tree(root):
        return _list_jpeg_tree(root)
    raise InputError(
        f"{root} has no slice of the Figshare set in it: neither 1.mat to {SLICES}.mat, in it or in folders, nor {LIST}"
        f" with {IMAGES}/{', '.join(FIGSHARE_COUNTS)}."
    )


def figshare_number(path: Path | str) -> int | None:
    """Number of a slice by the name of its file: 17 of `17.mat`; None for any other name."""
    match = NUMBERED.fullmatch(Path(path).name)
    return int(match[1]) if match and int(match[1]) <= SLICES else None


def figshare_mat_files(root: Path | str) -> dict[int, Path]:
    """Number of a slice -> its `.mat` file in a folder or the folders in it, in order of the numbers.

    Raises:
        InputError: when a number is there twice, or a folder cannot be read.
    """
    found: dict[int, Path] = {}
    for path in _files(Path(root)):
        number = figshare_number(path)
        if number in found:
            raise InputError(f"{found[number]} and {path} would both be slice {number}: remove one of them.")
        if number is not None:
            found[number] = path
    return dict(sorted(found.items()))


def figshare_folds_file(root: Path | str) -> Path | None:
    """The file of the official folds in a folder or the folders in it; None where there is none.

    Raises:
        InputError: when a folder cannot be read.
    """
    return next((path for path in _files(Path(root)) if path.name.lower() == FIGSHARE_FOLDS_FILE), None)


def _files(folder: Path, *, wrappers: int = WRAPPERS) -> Iterator[Path]:
    """Files of a folder, then those of the folders in it; nothing that is hidden, such as __MACOSX/._1.mat."""
    folders, files = folders_and_files(folder)
    yield from files
    for inner in folders if wrappers else []:
        yield from _files(inner, wrappers=wrappers - 1)


def _list_mat_files(
    root: Path, files: dict[int, Path], *, progress: bool, damaged: list[tuple[Path, InputError]] | None
) -> list[Case]:
    folds = _read_folds(root, files)
    cases: list[Case] = []
    errors: list[tuple[Path, InputError]] = [] if damaged is None else damaged
    for number, path in tqdm(files.items(), "figshare", unit="file", disable=not progress):
        try:
            cases.append(_case(number, path, folds.get(number)))
        except InputError as error:
            errors.append((path, error))
    if damaged is None and errors:
        more = f" (It is the first of {len(errors)} such files.)" if len(errors) > 1 else ""
        raise InputError(f"{errors[0][1]}{more}") from errors[0][1]
    _warn_of_patients_in_two_folds(root, cases)
    return cases


def _case(number: int, path: Path, fold: str | None) -> Case:
    header = read_mat_header(path)
    label, classes = header.get("label", 0), list(FIGSHARE_COUNTS)
    if label not in range(1, len(classes) + 1):
        known = ", ".join(f"{number} {name}" for number, name in enumerate(classes, 1))
        found = f"the label {label}" if "label" in header else "no label"
        raise InputError(f"{path} has {found}; known are {known}: replace or remove the file.")
    return Case(
        name=str(number),
        images={classes[label - 1]: [str(path)]},
        label=None,
        patient=header.get("PID"),
        fold=fold,
    )


def _read_folds(root: Path, files: dict[int, Path]) -> dict[int, str]:
    """Number -> fold; nothing without the file."""
    path = figshare_folds_file(root)
    if path is None:
        logger.warning("%s has no %s: the official folds of the Figshare set are not known", root, FIGSHARE_FOLDS_FILE)
        return {}
    values = read_mat_vector(path, key=FOLDS_KEY)
    if not np.isin(values, [int(fold) for fold in FOLDS]).all():
        raise InputError(f"{path} has other folds than {', '.join(FOLDS)}: replace it, or remove it to do without.")
    if max(files) > len(values):
        raise InputError(
            f"{path} has {len(values)} folds and {files[max(files)].name} is there: replace it, or remove it to do"
            " without."
        )
    return {number: str(int(value)) for number, value in enumerate(values, 1)}


def _warn_of_patients_in_two_folds(root: Path, cases: list[Case]) -> None:
    folds: dict[str, set[str]] = {}
    for case in cases:
        if case["patient"] and case["fold"]:
            folds.setdefault(case["patient"], set()).add(case["fold"])
    if count := sum(len(met) > 1 for met in folds.values()):
        logger.warning("%s: %d of %d patients have slices in more than one fold", root, count, len(folds))


def _is_jpeg_tree(root: Path) -> bool:
    return (root / LIST).is_file() and all((root / IMAGES / name).is_dir() for name in FIGSHARE_COUNTS)


def _list_jpeg_tree(root: Path) -> list[Case]:
    cases: dict[int, Case] = {}
    for row in _rows(root / LIST):
        number = int(row["number"])
        if number in cases:
            raise InputError(f"{root / LIST} has number {number} twice: keep one of the rows.")
        cases[number] = Case(
            name=str(number),
            images={row["class"]: [str(root / row["image"])]},
            label=None,
            patient=row.get("patient_id") or None,
            fold=row.get("fold") or None,
        )
    return [cases[number] for number in sorted(cases)]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets begin it with a byte order mark
            reader = csv.DictReader(file, restkey="", restval="")
            rows = [{key: str(value).strip() for key, value in row.items()} for row in reader]
            header = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV file ({said_by(error)}): replace it.") from error
    if missing := [name for name in COLUMNS if name not in header]:
        raise InputError(f"{path} has no column {', '.join(missing)}; wanted are {', '.join(COLUMNS)}: replace it.")
    if not rows:
        raise InputError(f"{path} lists no slice: replace it.")
    for row in rows:
        if not (
            row["number"].isdecimal() and len(row["number"]) < 10 and row["class"] in FIGSHARE_COUNTS and row["image"]
        ):
            raise InputError(
                f"{path} has a row with number '{row['number']}', class '{row['class']}' and image '{row['image']}'; a"
                f" whole number, one of {', '.join(FIGSHARE_COUNTS)} and a file are wanted: correct it."
            )
        if row.get("fold") and row["fold"] not in FOLDS:
            raise InputError(
                f"{path} has fold '{row['fold']}' for number {row['number']}; folds are {', '.join(FOLDS)}: correct it."
            )
    return rows
