"""What the entries of a datalist name: files that are there, each once, and a name for the case."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.dicom_series import single_dicom_series
from monai_aggrgan.data.image_files import stem_of
from monai_aggrgan.exceptions import InputError

__all__ = ["case_name", "listed_files", "refuse_repeated_files"]


def listed_files(path: Path | str) -> list[str]:
    """Files of an image that a datalist names: the file itself, or those of the DICOM series in a folder.

    Raises:
        InputError: when it is a folder with no series or several.
    """
    return single_dicom_series(path) if os.path.isdir(path) else [str(path)]


def case_name(path: Path | str, *, class_name: str, root: Path) -> str:
    """Name of the case whose image a datalist names: the same for copies of other sizes and formats.

    It is the image's path from `root` without suffix, from behind its folder `class_name` if it has one: `1` for
    `root/images/glioma/1.jpg` of the class glioma, as for `root/glioma/1.png`, which `list_class_folders` names so too.
    """
    full, base = Path(os.path.abspath(path)), os.path.abspath(root)
    inner = full.relative_to(base if full.is_relative_to(base) else full.anchor)
    folders = list(inner.parent.parts)
    if class_name in folders:
        folders = folders[folders.index(class_name) + 1 :]
    return "/".join([*folders, stem_of(inner.name)])


def refuse_repeated_files(cases: Sequence[Case], *, source: Path) -> None:
    """Refuse a list that names a file twice for the same class, whatever way it writes the path.

    Raises:
        InputError: when it does: the image would count double, and might stand on both sides of the split.
    """
    met: set[tuple[str, str]] = set()
    for case in cases:
        for name, files in case["images"].items():
            for file in files:
                if (name, os.path.abspath(file)) in met:
                    raise InputError(f"{source} names {file} twice for class '{name}': keep one of the two.")
                met.add((name, os.path.abspath(file)))
