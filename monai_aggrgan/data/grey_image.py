"""Reading one grey image of any common kind as its file holds it: pixels, their place, and the patient if it tells."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader, ITKReader, NibabelReader, NumpyReader, PILReader
from monai.utils import optional_import
from numpy.typing import NDArray

from monai_aggrgan.data.declared_size import refuse_declared_size
from monai_aggrgan.data.image_files import HEADER_SUFFIXES, PICTURE_FORMATS, is_dicom
from monai_aggrgan.data.mat_reader import FIGSHARE_IMAGE, MatReader
from monai_aggrgan.data.pixel_files import refuse_pixels_elsewhere
from monai_aggrgan.exceptions import InputError, said_by

__all__ = ["GreyImage", "read_grey_image", "read_segmentation", "refuse_other_grid"]

itk, has_itk = optional_import("itk")

COLOUR_MODES = ("RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "P", "PA", "LA", "La")
PATIENT_ID, POSITION, ORIENTATION = "0010|0020", "0020|0032", "0020|0037"
UNEVEN = 0.05
"""Largest deviation of a DICOM slice from its place on an even grid, as a share of the spacing."""


@dataclass(frozen=True)
class GreyImage:
    """A slice or a volume, not yet turned, scaled or cut.

    Attributes:
        pixels: (X, Y, Z) or (X, Y) along the axes of `affine`, or (rows, columns) without one; in the file's units.
        affine: (4, 4), from voxel indices to millimetres, the patient's right, anterior and superior positive; None
            for pictures and arrays, which lie nowhere.
        patient: what the file says that its patient is called: a .mat's PID, DICOM's PatientID. Not to be shown.
    """

    pixels: NDArray[Any]
    affine: NDArray[np.float64] | None = None
    patient: str | None = None


def read_grey_image(files: Sequence[Path | str] | Path | str, *, mat_key: str = FIGSHARE_IMAGE) -> GreyImage:
    """Read a file, or the files of a DICOM series in slice order, through MONAI's readers.

    PNG, JPEG, BMP, TIFF, NPY and MAT files hold one slice; NIfTI, NRRD, MHA and DICOM a slice or a volume. A picture
    whose three colours are the same in every pixel counts as grey.

    Args:
        files: a file, or the files of a DICOM series in slice order.
        mat_key: names that lead to the image in a .mat file, see `MatReader`.

    Raises:
        InputError: when the image cannot be read, is coloured, has other than 2 or 3 dimensions, has pixels that are no
            real numbers, NaN or infinite, or all the same, or when a series lacks slices.
    """
    image = read_segmentation(files, mat_key=mat_key)
    if (value := image.pixels.flat[0]) == image.pixels.max() and value == image.pixels.min():
        shown = files if isinstance(files, (str, Path)) else files[0]
        raise InputError(f"{shown} is constant, every pixel is {value}: replace or remove it.")
    return image


def read_segmentation(files: Sequence[Path | str] | Path | str, *, mat_key: str = FIGSHARE_IMAGE) -> GreyImage:
    """The same for a segmentation, which may be empty."""
    paths = [Path(files)] if isinstance(files, (str, Path)) else [Path(file) for file in files]
    shown = paths[0] if len(paths) == 1 else paths[0].parent
    if absent := next((path for path in paths if not os.path.exists(path)), None):
        raise InputError(f"{absent} is not there, or its folder is closed to you: put the file back, or leave it out.")
    if odd := next((path for path in paths if not os.path.isfile(path)), None):
        raise InputError(f"{odd} is no file that can be read as an image, but a folder or a device: leave it out.")
    if closed := next((path for path in paths if not os.access(path, os.R_OK)), None):
        raise InputError(f"{closed} cannot be read (Permission denied): get the right to read it, or leave it out.")
    try:
        image = _read(paths, mat_key)
    except InputError:
        raise
    except Exception as error:  # readers raise whatever their library raises
        raise InputError(f"{shown} cannot be read as an image ({said_by(error)}): replace or remove it.") from error
    return GreyImage(_checked(image.pixels, shown), image.affine, image.patient)


def _read(paths: list[Path], mat_key: str) -> GreyImage:
    name = paths[0].name.lower()
    if len(paths) > 1 or is_dicom(paths[0]):
        return _read_dicom(paths)
    if name.endswith((".nii", ".nii.gz")):
        return _read_nifti(paths[0])
    if name.endswith((".nrrd", ".nhdr", ".mha", ".mhd")):
        return _read_itk(paths)
    if name.endswith(".npy"):
        return GreyImage(_flat(_through(NumpyReader(allow_pickle=False), paths[0])[0], paths[0]))
    if name.endswith(".mat"):
        pixels, metadata, _ = _through(MatReader(key=mat_key, fields=("PID",)), paths[0])
        return GreyImage(_flat(pixels, paths[0]), patient=metadata.get("PID"))
    return _read_picture(paths[0])


def _through(reader: ImageReader, path: Path) -> tuple[NDArray[Any], dict[str, Any], Any]:
    image = reader.read(path)
    pixels, metadata = reader.get_data(image)
    return pixels, metadata, image


def _read_nifti(path: Path) -> GreyImage:
    reader = NibabelReader()
    image: Any = reader.read(path)
    refuse_declared_size(image.shape, path, bytes_a_value=image.get_data_dtype().itemsize)
    pixels, metadata = reader.get_data(image)
    return GreyImage(pixels, metadata["affine"])


def _read_picture(path: Path) -> GreyImage:
    pixels, metadata, image = _through(PILReader(reverse_indexing=False, formats=PICTURE_FORMATS), path)
    if (pages := getattr(image, "n_frames", 1)) > 1:
        raise InputError(f"{path} has {pages} pages; a 2-D grey slice is wanted: save single slices of it first.")
    if metadata["mode"] == "RGB" and not _is_16_bit_png(path) and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]  # many data sets are grey and saved in colour
    elif metadata["mode"] in COLOUR_MODES:
        raise InputError(
            f"{path} is a colour image (mode {metadata['mode']}); grey is wanted: convert it to grey first."
        )
    return GreyImage(_flat(pixels, path))


def _is_16_bit_png(path: Path) -> bool:
    """Of colours Pillow would keep 8 bits."""
    with path.open("rb") as file:
        head = file.read(25)
    return head.startswith(b"\x89PNG") and head[24:] == b"\x10"


def _flat(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    """Pixels of a kind of file that holds one slice, without further axes of length 1."""
    while pixels.ndim > 2 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2:
        raise InputError(
            f"{path} has shape {_times(pixels.shape)}; a 2-D grey slice is wanted: save single slices of it first, or a"
            " volume as NIfTI, NRRD or MHA, which say how it lies."
        )
    return pixels


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _read_dicom(paths: list[Path]) -> GreyImage:
    """GDCM applies slope and intercept, and turns MONOCHROME1, where 0 is white."""
    _need_itk(paths[0])
    headers = [_header_of(path) for path in paths]
    directions = [np.array(header[ORIENTATION].split("\\"), float) for header in headers if ORIENTATION in header]
    if any(not np.allclose(direction, directions[0], atol=1e-2) for direction in directions):
        raise InputError(
            f"{paths[0].parent} has a series of {len(paths)} slices in several orientations, as localizers do: leave it"
            " out, or put the files of each orientation into a folder of its own."
        )
    positions = {header.get(POSITION, path.name) for header, path in zip(headers, paths, strict=True)}
    if len(positions) < len(paths):
        raise InputError(
            f"{paths[0].parent} has a series of {len(paths)} slices at {len(positions)} places, as series in time do:"
            " put the files of each time into a folder of its own."
        )
    image = _read_itk(paths)
    return GreyImage(image.pixels, image.affine, headers[0].get(PATIENT_ID) or None)


def _read_itk(paths: list[Path]) -> GreyImage:
    _need_itk(paths[0])
    for path in paths:
        refuse_pixels_elsewhere(path)
    _refuse_declared(paths)
    image = itk.imread([str(path) for path in paths] if len(paths) > 1 else str(paths[0]))
    if (components := image.GetNumberOfComponentsPerPixel()) > 1:
        raise InputError(
            f"{paths[0]} has {components} values a pixel, as colour images do; grey is wanted: convert it first."
        )
    if len(paths) > 1:
        _refuse_uneven(image, paths)
    pixels, metadata = ITKReader().get_data(image)
    affine = np.eye(4)
    rank = len(metadata["affine"]) - 1
    affine[:rank, :rank], affine[:rank, 3] = metadata["affine"][:rank, :rank], metadata["affine"][:rank, rank]
    return GreyImage(np.array(pixels), affine)  # a copy: the view dies with ITK's image


def _refuse_declared(paths: list[Path]) -> None:
    """By the header of the first file: those of a series are of one size."""
    header = itk.ImageIOFactory.CreateImageIO(str(paths[0]), itk.CommonEnums.IOFileMode_ReadMode)
    if header is None:
        return  # itk.imread tells why
    header.SetFileName(str(paths[0]))
    header.ReadImageInformation()
    shape = [int(header.GetDimensions(axis)) for axis in range(header.GetNumberOfDimensions())]
    holds_pixels = paths[0].suffix.lower() not in HEADER_SUFFIXES
    refuse_declared_size(shape, paths[0], bytes_a_value=int(header.GetComponentSize()) if holds_pixels else 0)
    refuse_declared_size([*shape, len(paths)], paths[0])


def _need_itk(path: Path) -> None:
    if not has_itk:
        raise InputError(f"{path} can be read with ITK, which is not installed: pip install itk-io.")
    itk.ProcessObject.SetGlobalWarningDisplay(False)  # its warnings name files and stand between progress bars


def _header_of(path: Path) -> dict[str, str]:
    """PatientID, position and orientation of a DICOM file; nothing else of its header is looked at."""
    source = itk.GDCMImageIO.New(FileName=str(path), LoadPrivateTags=False)
    source.ReadImageInformation()
    tags = source.GetMetaDataDictionary()
    return {tag: str(tags[tag]).strip(" \0") for tag in (PATIENT_ID, POSITION, ORIENTATION) if tags.HasKey(tag)}


def _refuse_uneven(image: Any, paths: list[Path]) -> None:
    tags = image.GetMetaDataDictionary()
    key = "ITK_non_uniform_sampling_deviation"
    deviation = float(tags[key]) if tags.HasKey(key) else 0.0
    spacing = float(image.GetSpacing()[2])
    if deviation > UNEVEN * spacing:
        raise InputError(
            f"{paths[0].parent} lacks slices of its series, or they lie unevenly ({len(paths)} files, up to"
            f" {deviation:.1f} mm off a grid of {spacing:.2f} mm): add the missing files, or leave the series out."
        )


def _checked(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    while pixels.ndim > 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3):
        raise InputError(
            f"{path} has {pixels.ndim} dimensions ({_times(pixels.shape)}); a slice has 2 and a volume 3: split it into"
            " a file for each time or modality."
        )
    if pixels.dtype.kind not in "buif":
        raise InputError(f"{path} has pixels of type {pixels.dtype}; real numbers are wanted: save it as such.")
    if sum(length > 1 for length in pixels.shape) < 2:
        raise InputError(f"{path} has shape {_times(pixels.shape)}, which is no picture: replace or remove it.")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels.sum(dtype=np.float64)):
        raise InputError(f"{path} has pixels that are NaN or infinite: replace them before training.")
    return pixels


def refuse_other_grid(image: GreyImage, path: Path | str, first: GreyImage, first_path: Path | str) -> None:
    """Refuse an image that does not lie, voxel by voxel, where the first of its case lies.

    Raises:
        InputError: when shapes differ, or affines by more than a hundredth of a millimetre.
    """
    if image.pixels.shape != first.pixels.shape:
        raise InputError(
            f"{path} is {_times(image.pixels.shape)} and {first_path} {_times(first.pixels.shape)}: the images of a"
            " case must lie on one grid, resample them first."
        )
    if (image.affine is None) != (first.affine is None) or (
        image.affine is not None and first.affine is not None and not np.allclose(image.affine, first.affine, atol=1e-2)
    ):
        raise InputError(
            f"{path} lies elsewhere than {first_path} by its affine: the images of a case must lie on one grid,"
            " register and resample them first."
        )
