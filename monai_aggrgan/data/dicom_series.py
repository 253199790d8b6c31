"""DICOM files of a folder, grouped into series and put into slice order."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from monai_aggrgan.data.image_files import folders_and_files, is_dicom
from monai_aggrgan.exceptions import InputError

__all__ = ["group_dicom_series", "list_dicom_series", "single_dicom_series"]

logger = logging.getLogger(__name__)

SERIES_DATE = "0008|0021"
STORAGE = "1.2.840.10008.5.1.4.1.1."
NOT_IMAGES = ("4.2", "9.", "11.", "66", "88.", "104.", "481.2", "481.3", "481.4", "481.5", "481.8", "481.9")
"""DICOM objects that are no images, by what follows `STORAGE` in their class: spectra, waveforms, presentation states,
raw data, registrations, segmentations, reports, documents, radiotherapy doses, outlines and plans."""


def list_dicom_series(folder: Path | str) -> list[list[str]]:
    """The series in a folder, as `group_dicom_series` gives them; sub-folders are not looked into."""
    _, files = folders_and_files(Path(folder))
    return group_dicom_series([path for path in files if is_dicom(path)])


def single_dicom_series(folder: Path | str) -> list[str]:
    """The files of the one series in a folder, in slice order.

    Raises:
        InputError: when the folder has none or several, or as `group_dicom_series` does.
    """
    found = list_dicom_series(folder)
    if not found:
        raise InputError(f"{folder} is a folder without DICOM files: name a file, or the folder of a DICOM series.")
    if len(found) > 1:
        raise InputError(f"{folder} holds {len(found)} DICOM series: put the files of each into a folder of its own.")
    return found[0]


def group_dicom_series(files: Sequence[Path]) -> list[list[str]]:
    """DICOM files of one folder by series, each in slice order, in order of the first file name of each.

    Series are told apart as MONAI's `ITKReader` does: by UID, date, number, sequence, thickness and size. Only headers
    are read. Files that are damaged come last, as a series of their own: reading them says so. Objects that are no
    images (reports, outlines) are left out and counted in the log.

    Raises:
        InputError: when ITK is not installed, or a file in the folder is a link to one that is not there.
    """
    if not files:
        return []
    by_name = {path.name: str(path) for path in files}
    series = [[by_name[name] for name in names if name in by_name] for names in _grouped_names(files[0].parent)]
    whole = {file for one in series for file in one}
    return sorted(filter(None, series), key=min) + _rest([path for path in files if str(path) not in whole])


def _grouped_names(folder: Path) -> list[list[str]]:
    with _quiet_itk(folder) as itk:
        reader = itk.GDCMSeriesFileNames.New()
        reader.SetUseSeriesDetails(True)
        reader.AddSeriesRestriction(SERIES_DATE)
        reader.SetDirectory(str(folder))
        return [[Path(file).name for file in reader.GetFileNames(uid)] for uid in reader.GetSeriesUIDs()]


@contextmanager
def _quiet_itk(folder: Path) -> Iterator[ModuleType]:
    try:
        import itk

        base = itk.GDCMSeriesFileNames
    except (ImportError, AttributeError) as error:
        raise InputError(f"{folder} holds DICOM files, which ITK reads: run pip install itk-io.") from error
    shown = base.GetGlobalWarningDisplay()
    base.SetGlobalWarningDisplay(False)
    try:
        yield itk
    finally:
        base.SetGlobalWarningDisplay(shown)


def _rest(files: Sequence[Path]) -> list[list[str]]:
    """What GDCM left out: the damaged as one series."""
    if not files:
        return []
    _refuse_broken_links(files[0].parent)
    damaged = [str(path) for path in files if not _is_other_object(path)]
    if left_out := len(files) - len(damaged):
        logger.warning("%d DICOM files hold no image (reports, outlines and the like) and are left out", left_out)
    return [damaged] if damaged else []


def _refuse_broken_links(folder: Path) -> None:
    """GDCM stops at one, wherever it meets it: what it grouped is then not all."""
    for path in sorted(folder.iterdir()):
        if not path.exists():
            raise InputError(f"{path} is a link to a file that is not there: get the file or remove the link.")


def _is_other_object(path: Path) -> bool:
    """Whether the class in the file's first elements (0002|0002) is one of `NOT_IMAGES`."""
    with path.open("rb") as file:
        head = file.read(1024)
    _, found, rest = head.partition(b"\x02\x00\x02\x00UI")
    uid = rest[2 : 2 + int.from_bytes(rest[:2], "little")].decode("ascii", "replace")
    return bool(found) and uid.startswith(tuple(STORAGE + kind for kind in NOT_IMAGES))
