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

from monai_aggrgan.exceptions import InputError

__all__ = [
    "MANIFEST",
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


def read_manifest(folder: Path | str, *, name: str = MANIFEST) -> list[dict[str, str]]:
    """Rows of a folder's manifest, every value as text.

    Raises:
        InputError: when the folder has none: the stage that writes it has not run to its end.
    """
    path = Path(folder) / name
    if not path.is_file():
        raise InputError(f"There is no {name} in {folder}: run the stage that writes this folder first.")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


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
        raise InputError(f"{path} cannot be read ({error}): delete its folder and run its stage again.") from error
    if len(array) != len(rows):
        raise InputError(f"{path} holds {len(array)} images and its manifest {len(rows)} rows: run its stage again.")
    return torch.from_numpy(array), rows


def read_image_array(folder: Path | str) -> tuple[Tensor, list[dict[str, str]]]:
    """The same read into memory, as float32."""
    images, rows = map_image_array(folder)
    return images.float(), rows
