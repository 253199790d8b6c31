"""Folders in which the stages meet: files that are whole or absent, and the `manifest.csv` that lists them."""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from monai_aggrgan.data.pixel_files import leads_out
from monai_aggrgan.exceptions import InputError, said_by

__all__ = [
    "MANIFEST",
    "file_in",
    "map_image_array",
    "read_image_array",
    "read_manifest",
    "sha256_of",
    "whole_file",
    "write_image_array",
    "write_image_parts",
    "write_manifest",
]

MANIFEST = "manifest.csv"
ARRAY = "images.npy"
BEYOND = "\0beyond the header"
COLUMNS = ("file", "index", "class_name", "method", "seed", "reference", "style_image", "patient", "sha256")
"""Columns that every manifest uses for the same thing; a stage adds its own behind them."""


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside `path`, with the same suffix, and move it to `path` when the block ends well.

    A reader, or a run that is resumed after a kill, therefore finds the whole file or none.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=".partial-", suffix="".join(path.suffixes[-2:]), dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256_of(data: bytes) -> str:
    """SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def write_manifest(folder: Path | str, rows: Sequence[Mapping[str, object]], *, name: str = MANIFEST) -> Path:
    """Write one CSV row an image: the shared columns first (those in use), then the stage's own, in order met."""
    met = dict.fromkeys(key for row in rows for key in row)
    header = [column for column in COLUMNS if column in met] + [column for column in met if column not in COLUMNS]
    path = Path(folder) / name
    with (
        whole_file(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_manifest(folder: Path | str, *, name: str = MANIFEST, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """Rows of a folder's manifest, every value as text.

    Args:
        folder: the folder.
        name: of the file in it.
        columns: that it must have.

    Raises:
        InputError: when the folder has none, because the stage that writes it has not run to its end; or when what it
            has is damaged, lacks a column, or has a row of another length than its header.
    """
    path = Path(folder) / name
    if not os.path.isfile(path):
        raise InputError(f"There is no {name} in {folder}: run the stage that writes this folder first.")
    remedy = f"bring it back, or delete {folder} and run the stage that writes it again"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restkey=BEYOND)
            rows = list(reader)
            header = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({said_by(error)}): {remedy}.") from error
    if missing := [column for column in columns if column not in header]:
        raise InputError(f"{path} has no column {', '.join(missing)}: {remedy}.")
    if torn := [number for number, row in enumerate(rows, 1) if BEYOND in row or None in row.values()]:
        raise InputError(f"{path} is damaged (row {torn[0]} has not as many values as the header): {remedy}.")
    return rows


def file_in(folder: Path | str, file: str) -> Path:
    """Path of a file that a manifest names, which must not lead out of the manifest's folder.

    Raises:
        InputError: when it is empty or absolute, or goes up.
    """
    if not file.isprintable() or not file.strip("./\\") or leads_out(file):
        raise InputError(f"The manifest in {folder} names the file {file!r}, which is not in it: replace the folder.")
    return Path(folder, file)


def write_image_array(folder: Path | str, images: Tensor, rows: Sequence[Mapping[str, object]]) -> None:
    """Write images (N, 1, H, W) in [0, 1] as one half-precision array and a manifest row each.

    Half precision keeps 8-bit intensities exactly and is half the size; its step near 1 is 0.0005.
    """
    write_image_parts(folder, [images], rows)


def write_image_parts(folder: Path | str, parts: Iterable[Tensor], rows: Sequence[Mapping[str, object]]) -> None:
    """The same from parts (n, 1, H, W) that together are as many images as rows; one part at a time is in memory.

    Raises:
        ValueError: when there are fewer images than rows, or more.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / ARRAY) as partial:
        filled = 0
        for part in parts:
            if not filled:
                array = np.lib.format.open_memmap(partial, "w+", np.float16, shape=(len(rows), *part.shape[1:]))
            if filled + len(part) > len(rows):
                raise ValueError(f"{filled + len(part)} images need as many manifest rows, got {len(rows)}")
            array[filled : filled + len(part)] = part.detach().cpu().numpy()
            filled += len(part)
        if filled != len(rows) or not filled:
            raise ValueError(f"{filled} images need as many manifest rows, got {len(rows)}")
        array.flush()
        del array  # Windows does not rename what is mapped
    write_manifest(folder, [{"file": ARRAY, "index": index, **row} for index, row in enumerate(rows)])


def map_image_array(folder: Path | str) -> tuple[Tensor, list[dict[str, str]]]:
    """Images (N, 1, H, W) in [0, 1] and manifest rows of a folder that `write_image_array` wrote, without reading them.

    The tensor is half-precision and lies on the file: what is not looked at takes no memory. What is written to it does
    not reach the file.

    Raises:
        InputError: when the file is absent, damaged or does not fit the manifest.
    """
    rows = read_manifest(folder)
    path = Path(folder) / ARRAY
    try:
        array = np.load(path, allow_pickle=False, mmap_mode="c")
    except Exception as error:  # NumPy raises many kinds, by what stands in the file's first bytes
        raise InputError(
            f"{path} cannot be read ({said_by(error)}): delete its folder and run its stage again."
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype not in (np.float16, np.float32) or array.ndim < 3:
        raise InputError(f"{path} holds no images in half precision: delete its folder and run its stage again.")
    if len(array) != len(rows):
        raise InputError(f"{path} holds {len(array)} images and its manifest {len(rows)} rows: run its stage again.")
    return torch.from_numpy(array), rows


def read_image_array(folder: Path | str) -> tuple[Tensor, list[dict[str, str]]]:
    """The same read into memory, as float32."""
    images, rows = map_image_array(folder)
    return images.float(), rows
