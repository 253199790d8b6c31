"""A data set that is a folder with one folder per class: images, volumes and DICOM series, with or without patients."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.dicom_series import group_dicom_series
from monai_aggrgan.data.image_files import (
    IMAGE_SUFFIXES,
    folders_and_files,
    is_data_of_header,
    is_dicom,
    is_image,
    stem_of,
)
from monai_aggrgan.exceptions import InputError

__all__ = ["list_class_folders"]

logger = logging.getLogger(__name__)

LABEL_STEM = re.compile(r"(.+)[-_.](seg|label|mask)", re.IGNORECASE)
BARE_LABEL = re.compile(r"(.*[-_.])?(seg|label|mask|segmentation)", re.IGNORECASE)
Damaged = list[tuple[Path, InputError]]
MOST_LEVELS = 100
SIDES = ("train", "training", "test", "testing", "val", "valid", "validation")


def list_class_folders(root: Path | str, *, damaged: list[tuple[Path, InputError]] | None = None) -> list[Case]:
    """Every image of a folder that has one folder per class; folds are not known.

    A folder in a class folder is a patient of that name, to whom all files at any depth below it belong; the patients
    of files directly in the class folder are not known. DICOM files of one folder and one series are one case. A file
    `x_seg`, `x_label` or `x_mask` (also with `-` or `.`) beside an image `x` is that image's label and no image.

    A case's name is its path from the class folder, without suffix. That of a series is its folder's path, with `/2`,
    `/3` ... for the folder's further series, or directly in the class folder the stem of its first file by name.
    Links to folders are followed, but not to one in which the link itself lies.

    Args:
        root: the folder.
        damaged: is filled with the folders in class folders that cannot be read, and why; None to refuse them.

    Returns:
        Cases of one class, in order of the names of classes, folders and files; in a folder, series come last.

    Raises:
        InputError: when a folder is absent or cannot be read, there are no class folders, a class folder has no image,
            or there are DICOM files and no ITK.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: --dataset_dir must name a folder with one folder per class.")
    folders, _ = folders_and_files(root)
    if not folders:
        raise InputError(f"{root} has no folders in it: put each class's images into a folder named after the class.")
    if all(folder.name.lower() in SIDES for folder in folders):
        names = ", ".join(folder.name for folder in folders)
        raise InputError(f"{root} has sides of a split for classes ({names}): --dataset_dir must name one of them.")
    return [case for folder in folders for case in _list_class(folder, damaged)]


def _list_class(class_folder: Path, damaged: Damaged | None) -> list[Case]:
    cases: list[Case] = []
    left_out: list[Path] = []
    above = frozenset({class_folder.parent.resolve(), class_folder.resolve()})
    for folder, files in _walk(class_folder, above=above, damaged=damaged):
        images = [path for path in files if is_image(path)]
        labels = _labels(images)
        chosen = {label for found in labels.values() for label in found}
        images = [path for path in images if path not in chosen]
        cases += _cases(class_folder, folder, images, {stem: found[0] for stem, found in labels.items()})
        left_out += [label for found in labels.values() for label in found[1:]]
        left_out += [path for path in files if not is_image(path) and not is_data_of_header(path, files)]
    if not cases:
        raise InputError(f"{class_folder} has no image in it: images end in {', '.join(IMAGE_SUFFIXES)}.")
    if odd := [name for case in cases for name in [stem_of(Path(case["name"]).name)] if BARE_LABEL.fullmatch(name)]:
        logger.warning(
            "%s: %d images are called as segmentations are and are taken for images (%s): name them as x_seg beside x",
            class_folder,
            len(odd),
            odd[0],
        )
    if left_out:
        name = left_out[0].name
        logger.warning(
            "%s: %d files are no images by their names and are left out (%s)", class_folder, len(left_out), name
        )
    return cases


def _walk(folder: Path, *, above: frozenset[Path], damaged: Damaged | None) -> Iterator[tuple[Path, list[Path]]]:
    """A folder and all below it, each with its files; `above` are the folders in which it lies, and itself."""
    try:
        if len(above) > MOST_LEVELS:
            raise InputError(f"{folder} is nested in {MOST_LEVELS} folders and more: move what it holds up.")
        folders, files = folders_and_files(folder)
    except InputError as error:
        if damaged is None:
            raise
        damaged.append((folder, error))
        return
    yield folder, files
    for inner in folders:
        if inner.resolve() not in above:
            yield from _walk(inner, above=above | {inner.resolve()}, damaged=damaged)


def _labels(images: list[Path]) -> dict[str, list[Path]]:
    """Stem of an image -> its labels among the files of the same folder."""
    stems = {stem_of(path.name) for path in images}
    labels: dict[str, list[Path]] = {}
    for path in images:
        if (match := LABEL_STEM.fullmatch(stem_of(path.name))) and match[1] in stems:
            labels.setdefault(match[1], []).append(path)
    return labels


def _cases(class_folder: Path, folder: Path, images: list[Path], labels: dict[str, Path]) -> list[Case]:
    inner = folder.relative_to(class_folder)
    found = [((inner / stem_of(path.name)).as_posix(), [str(path)]) for path in images if not is_dicom(path)]
    for number, series in enumerate(group_dicom_series([path for path in images if is_dicom(path)]), 1):
        further = "" if number == 1 else f"/{number}"
        name = f"{inner.as_posix()}{further}" if inner.parts else stem_of(Path(min(series)).name)
        found.append((name, series))
    return [
        Case(
            name=name,
            images={class_folder.name: files},
            label=str(labels[stem]) if (stem := stem_of(Path(files[0]).name)) in labels else None,
            patient=inner.parts[0] if inner.parts else None,
            fold=None,
        )
        for name, files in found
    ]
