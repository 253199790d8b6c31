"""MATLAB files in the layout of the Figshare brain tumour set, as MATLAB writes them in either version."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import h5py
import numpy as np
from PIL import Image, ImageDraw
from scipy.io import savemat

from monai_aggrgan.data.phantoms import phantom_slice

BORDER = np.array([[10.5, 4], [30, 6.25], [33, 17], [12, 19]])
"""A quadrangle, x and y, in a picture of 24 rows and 40 columns."""
PATIENT = "MR07Ä4711"


@cache
def picture(seed: int = 0) -> np.ndarray:
    """A phantom's upper left, int16, 24 rows and 40 columns, far from 255; not to be written to."""
    pixels = (phantom_slice("ring", seed=seed, size=48)[4:28, :40] * 1200).astype(np.int16)
    pixels.setflags(write=False)
    return pixels


def filled(border: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """What lies within a border (M, 2) of x and y, as uint8 of the shape (rows, columns)."""
    canvas = Image.new("L", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in border], fill=1, outline=1)
    return np.asarray(canvas)


def cjdata(**changed: object) -> dict[str, object]:
    """Fields as MATLAB shows them, in its shapes; those changed to None are left out."""
    fields = {
        "label": np.array([[2.0]]),
        "PID": PATIENT,
        "image": picture(),
        "tumorBorder": BORDER.reshape(-1, 1),
        "tumorMask": filled(BORDER, (24, 40)),
    }
    return {name: value for name, value in {**fields, **changed}.items() if value is not None}


def write_v5(path: Path, content: dict[str, object]) -> Path:
    """A file of version 5, 6 or 7, of structs (dicts) and variables."""
    savemat(path, content, appendmat=False, oned_as="row")
    return path


def write_v73(path: Path, content: dict[str, object]) -> Path:
    """A bare HDF5 file with every array transposed against MATLAB and text as columns of codes."""
    with h5py.File(path, "w") as file:
        _fill(file, content)
    return path


def write_matlab_v73(path: Path, content: dict[str, object]) -> Path:
    """The same with what MATLAB adds: its header before the HDF5 part, and what class each variable is."""
    with h5py.File(path, "w", userblock_size=512) as file:
        _fill(file, content)
        file.create_group("#refs#")
        file.visititems(_classify)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: PCWIN64, HDF5 schema 1.00 .".ljust(124) + b"\0\2IM")
    return path


def _fill(group: h5py.Group, content: dict[str, object]) -> None:
    for name, value in content.items():
        if isinstance(value, dict):
            _fill(group.create_group(name), value)
        elif isinstance(value, str):
            codes = np.frombuffer(value.encode("utf-16-le"), np.uint16)
            group.create_dataset(name, data=codes.reshape(-1, 1))
        else:
            group.create_dataset(name, data=np.atleast_2d(value).T)


def _classify(name: str, item: h5py.Group | h5py.Dataset) -> None:
    if isinstance(item, h5py.Group):
        item.attrs["MATLAB_class"] = np.bytes_("struct")
    else:
        classes = {"float64": "double", "bool": "logical"}
        is_text = item.dtype == np.uint16 and item.shape[1:] == (1,)
        item.attrs["MATLAB_class"] = np.bytes_("char" if is_text else classes.get(str(item.dtype), str(item.dtype)))


WRITERS = {"v5": write_v5, "v7.3": write_v73, "v7.3 by MATLAB": write_matlab_v73}
