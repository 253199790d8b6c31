"""Which files are images, told by their names (a DICOM file without a suffix by its first bytes)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from monai_aggrgan.exceptions import InputError

__all__ = [
    "IMAGE_SUFFIXES",
    "PICTURE_FORMATS",
    "data_files_of",
    "folders_and_files",
    "is_data_of_header",
    "is_dicom",
    "is_image",
    "stem_of",
]

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy", ".mat")
PICTURE_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP")
"""What Pillow may take a picture for, whatever its name: it goes by the first bytes, and of EPS starts a program."""
VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
IMAGE_SUFFIXES = (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES, *DICOM_SUFFIXES)

HEADER_SUFFIXES = (".mhd", ".nhdr")
DATA_SUFFIXES = (".raw", ".raw.gz", ".zraw")
CLUTTER = ("__macosx", "thumbs.db", "desktop.ini", "dicomdir")
"""Names, in lower case, of what operating systems and DICOM media add; a DICOMDIR is an index, no image."""


def is_image(path: Path | str) -> bool:
    """Whether a file is an image: by its suffix in any case, or as `is_dicom` tells. Hidden files never are."""
    path = Path(path)
    return not _is_clutter(path.name) and (path.name.lower().endswith(IMAGE_SUFFIXES) or is_dicom(path))


def is_dicom(path: Path | str) -> bool:
    """Whether a file is DICOM: by its suffix in any case, or without one by the letters DICM at byte 128.

    What ends in digits, such as `1.2.840.113619`, has no suffix: scanners name files by their UID. Only a file without
    suffix is opened; one that cannot be is none.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return not _is_clutter(path.name)
    if _is_clutter(path.name) or (suffix and not suffix[1:].isdecimal()) or not os.path.isfile(path):
        return False  # a pipe would be waited for
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def stem_of(name: str) -> str:
    """A file's name without the suffix of an image, in any case: `a.b` of `a.b.NII.gz`; other names as they are."""
    suffix = next((suffix for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def is_data_of_header(path: Path, beside: Sequence[Path]) -> bool:
    """Whether a file, such as `a.raw`, holds the pixels of a header among the files beside it, such as `a.mhd`."""
    stems = [path.name[: -len(suffix)] for suffix in DATA_SUFFIXES if path.name.lower().endswith(suffix)]
    headers = (other for other in beside if other.suffix.lower() in HEADER_SUFFIXES)
    return bool(stems) and any(stem_of(header.name) in stems for header in headers)


def data_files_of(path: str) -> list[str]:
    """The files beside a header, such as `a.mhd`, that may hold its pixels; none for other files."""
    if not path.lower().endswith(HEADER_SUFFIXES):
        return []
    stem = path[: -len(Path(path).suffix)]
    return [stem + suffix for suffix in DATA_SUFFIXES if os.path.exists(stem + suffix)]


def folders_and_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and files in a folder, each sorted by name, without what is hidden or an operating system added.

    A link stands for what it leads to; one that leads nowhere is a file, so that reading it says so.

    Raises:
        InputError: when the folder cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry.name, _is_folder(entry)) for entry in found if not _is_clutter(entry.name))
    except OSError as error:
        raise InputError(
            f"{folder} cannot be read ({error.strerror}): get the right to read it, or leave it out of the data set."
        ) from error
    folders = [folder / name for name, is_folder in entries if is_folder]
    return folders, [folder / name for name, is_folder in entries if not is_folder]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name.lower() in CLUTTER
