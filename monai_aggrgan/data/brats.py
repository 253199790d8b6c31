"""A data set that is BraTS as published: one folder a case, with a file for each modality and for the segmentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.image_files import folders_and_files
from monai_aggrgan.exceptions import InputError

__all__ = ["is_brats", "list_brats"]

MODALITIES = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f"}
"""Class, also what files are called until 2021 -> what files are called since 2023."""
SEGMENTATION = "seg"
SUFFIXES = (".nii.gz", ".nii")
WRAPPERS = 2
"""Folders in which archives wrap the cases, at most, such as MICCAI_BraTS_2019_Data_Training/HGG."""

CASE = re.compile(
    r"""brats(
        \d\d_\w+_\d+            # Brats18_CBICA_AAB_1, BraTS20_Training_001
        | \d{4}_\d+             # BraTS2021_00006
        | (-[a-z]+)+-\d{4,5}-\d+  # BraTS-GLI-00000-000: a patient and a time
        | (-[a-z]+)+-\d{5}      # BraTS-GoAT-00000
    )""",
    re.IGNORECASE | re.VERBOSE,
)
TIME = re.compile(r"(?<=\d)-\d+$")


def is_brats(root: Path | str) -> bool:
    """Whether a folder is BraTS: it, or a folder or two in it, holds a case with a file called as such. Opens no file.

    Cases sorted into a folder a modality (`flair/BraTS2021_00006/BraTS2021_00006_flair.nii.gz`) are class folders:
    there a case occurs several times, each with one modality.

    Raises:
        InputError: when a folder cannot be read.
    """
    root = Path(root)
    folders = list(_case_folders(root)) if root.is_dir() else []
    modalities = (sum(_find(folder, modality) is not None for modality in MODALITIES) for folder in folders)
    repeated = len({folder.name for folder in folders}) < len(folders)
    return any(count > (1 if repeated else 0) for count in modalities)


def list_brats(root: Path | str) -> list[Case]:
    """Every case of a BraTS folder, of the classes t1, t1ce, t2 and flair, with its segmentation where it has one.

    The patient is the case; since 2023 the case without its last part, the time: BraTS-GLI-00000-000 and -001 are of
    one patient. A modality that is absent is listed with the path that it ought to have.

    Args:
        root: folder of the case folders, or of one or two levels of folders around them. BraTS 2017 to 2021
            (`BraTS20_Training_001/BraTS20_Training_001_t1ce.nii`) and since 2023, of any challenge
            (`BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz`). `.nii.gz` comes before `.nii`.

    Returns:
        Cases named like their folders, in order of the folders' names.

    Raises:
        InputError: when there is no case, or a folder cannot be read.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: --dataset_dir must name the folder of the BraTS cases.")
    cases = [_case(folder) for folder in _case_folders(root)]
    if not cases:
        raise InputError(f"{root} has no BraTS case in it, such as BraTS20_Training_001 or BraTS-GLI-00000-000.")
    return cases


def _case_folders(folder: Path, *, wrappers: int = WRAPPERS) -> Iterator[Path]:
    for inner in folders_and_files(folder)[0]:
        if CASE.fullmatch(inner.name):
            yield inner
        elif wrappers:
            yield from _case_folders(inner, wrappers=wrappers - 1)


def _case(folder: Path) -> Case:
    segmentation = _find(folder, SEGMENTATION) or _any_segmentation(folder)
    return Case(
        name=folder.name,
        images={modality: [str(_find(folder, modality) or _expected(folder, modality))] for modality in MODALITIES},
        label=None if segmentation is None else str(segmentation),
        patient=TIME.sub("", folder.name),
        fold=None,
    )


def _stem(folder: Path, part: str) -> str:
    dashed = "_" not in folder.name
    return f"{folder.name}-{MODALITIES.get(part, part)}" if dashed else f"{folder.name}_{part}"


def _expected(folder: Path, part: str) -> Path:
    return folder / f"{_stem(folder, part)}{SUFFIXES[0]}"


def _find(folder: Path, part: str) -> Path | None:
    """File of a modality or the segmentation; some archives unpack to a folder of the file's name around the file."""
    for suffix in SUFFIXES:
        path = folder / f"{_stem(folder, part)}{suffix}"
        if path.is_dir():
            volumes = [file for file in folders_and_files(path)[1] if file.name.lower().endswith(SUFFIXES)]
            if len(volumes) == 1:
                return volumes[0]
        elif path.exists():
            return path
    return None


def _any_segmentation(folder: Path) -> Path | None:
    """Case 355 of BraTS 2020 calls it W39_1998.09.19_Segm.nii."""
    volumes = (file for file in folders_and_files(folder)[1] if file.name.lower().endswith(SUFFIXES))
    return next((file for file in volumes if SEGMENTATION in file.name.lower()), None)
