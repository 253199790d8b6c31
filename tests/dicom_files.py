"""Small DICOM series for tests, written by ITK as a scanner would: one file a slice, in one series."""

from __future__ import annotations

import hashlib
import locale
from collections.abc import Sequence
from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray

__all__ = ["write_dicom_series"]

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def write_dicom_series(
    folder: Path,
    volume: NDArray[np.int16],
    *,
    patient_id: str = "",
    patient_name: str = "",
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    orientation: tuple[Sequence[float], Sequence[float]] = AXIAL,
    series: int = 1,
    names: Sequence[str] | None = None,
) -> list[Path]:
    """Write a volume as an MR series and give its files in slice order, the order in which they must be read.

    Args:
        folder: made where it is absent.
        volume: intensities (D, H, W), D slices of H rows and W columns.
        patient_id: PatientID; with `series` it makes the series' UID: equal ones make one series.
        patient_name: PatientName.
        spacing: millimetres from slice to slice, row to row, column to column.
        origin: x, y, z in millimetres, to the patient's left, posterior and superior, of the first slice's first pixel.
        orientation: directions (x, y, z) in which columns and rows count up; slices follow along their cross product.
        series: SeriesNumber, tells a patient's series apart.
        names: of the files, `series<series>_<slice>.dcm` by default.

    MONAI's `ITKReader` gives the volume back as (W, H, D).
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = names or [f"series{series}_{number:03d}.dcm" for number in range(1, len(volume) + 1)]
    normal = np.cross(*orientation)
    tags = {
        "0008|0005": "ISO_IR 192",  # texts are UTF-8
        "0008|0021": "20200131",
        "0008|0060": "MR",
        "0010|0010": patient_name,
        "0010|0020": patient_id,
        "0018|0050": str(spacing[0]),
        "0018|0088": str(spacing[0]),
        "0020|000d": _uid(patient_id),
        "0020|000e": _uid(patient_id, series),
        "0020|0011": str(series),
        "0020|0037": _numbers(*orientation[0], *orientation[1]),
    }
    for number, (name, pixels) in enumerate(zip(names, volume, strict=True), 1):
        own = {
            "0008|0018": _uid(patient_id, series, number),
            "0020|0013": str(number),
            "0020|0032": _numbers(*(np.asarray(origin) + normal * spacing[0] * (number - 1))),
        }
        _write_slice(folder / name, pixels, spacing=spacing[1:], tags={**tags, **own})
    return [folder / name for name in names]


def _write_slice(path: Path, pixels: NDArray[np.int16], *, spacing: tuple[float, ...], tags: dict[str, str]) -> None:
    image = itk.image_from_array(np.ascontiguousarray(pixels, dtype=np.int16))
    image.SetSpacing(spacing[::-1])
    for tag, value in tags.items():
        image.GetMetaDataDictionary()[tag] = value
    coder = itk.GDCMImageIO.New()
    coder.KeepOriginalUIDOn()
    before = locale.setlocale(locale.LC_ALL)
    itk.imwrite(image, str(path), imageio=coder)
    locale.setlocale(locale.LC_ALL, before)  # ITK leaves "C" behind, and Python's default encoding is then ASCII


def _uid(*parts: object) -> str:
    return f"2.25.{int(hashlib.sha256(repr(parts).encode()).hexdigest()[:30], 16)}"


def _numbers(*values: float) -> str:
    return "\\".join(f"{value:.10g}" for value in values)
