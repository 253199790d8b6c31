"""Slices of cases: each case is read and cut once, and then kept in a folder."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.grey_image import GreyImage, read_grey_image, read_segmentation, refuse_other_grid
from monai_aggrgan.data.image_files import data_files_of
from monai_aggrgan.data.manifest import sha256_of, whole_file
from monai_aggrgan.data.mat_reader import FIGSHARE_IMAGE
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.transforms.cut_slices import CutSlices, Slice

__all__ = ["CaseSlices", "KeptCase", "Row", "case_key", "files_of", "fingerprint", "pseudonym"]

LAYOUT = 2
"""Of the parts; another number makes what was kept before unknown."""
Row = dict[str, Any]
Halves = NDArray[np.float16]


@dataclass(frozen=True)
class KeptCase:
    """Where the slices of a case are kept.

    Attributes:
        part: file in the folder of `CaseSlices`.
        start: index of its first slice in that file.
        rows: what the manifest says of each slice.
    """

    part: str
    start: int
    rows: list[Row]


class CaseSlices:
    """Reads cases and keeps their slices, half-precision, several cases in one file, a part.

    Parts appear whole or not at all. A case is found again as long as its files (size, time of change) and the options
    are the same. MONAI's PersistentDataset does nearly this; but it has a file for each item, and moves it across file
    systems, where a kill leaves halves that it then cannot load.

    Args:
        cases: of the data set.
        fingerprints: of the cases, see `fingerprint`.
        cut: makes their slices.
        options: those of `cut`, as plain JSON values.
        folder: where slices are kept; it is made.
        mat_key: names that lead to the image in a .mat file.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        fingerprints: Sequence[str],
        cut: CutSlices,
        *,
        options: Mapping[str, Any],
        folder: Path | str,
        mat_key: str = FIGSHARE_IMAGE,
    ) -> None:
        self.cases, self.cut, self.folder, self.mat_key = cases, cut, Path(folder), mat_key
        how = json.dumps([LAYOUT, mat_key, dict(options)], sort_keys=True)
        self._keys = [sha256_of(f"{case} {how}".encode())[:32] for case in fingerprints]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._begun = time.time()

    def kept(self) -> dict[int, KeptCase]:
        """Index of a case -> its slices, of all cases that were read before."""
        index_of = {key: index for index, key in enumerate(self._keys)}
        found = {}
        for path in self._parts():
            start = 0
            for key, rows in _read_contents(path):
                if key in index_of:
                    found[index_of[key]] = KeptCase(path.name, start, rows)
                start += len(rows)
        return found

    def read(self, indices: Sequence[int]) -> list[KeptCase | InputError]:
        """Read some cases and keep them as one part; what was read before an interruption is kept as well.

        Returns:
            For each where it is kept, or the sentence that says why it cannot be used.
        """
        part = f"{sha256_of(' '.join(self._keys[index] for index in indices).encode())[:32]}.npy"
        halves: list[Halves] = []
        contents: list[tuple[str, list[Row]]] = []
        results: list[KeptCase | InputError] = []
        try:
            for index in indices:
                try:
                    images, rows = self._make(self.cases[index])
                except InputError as error:
                    results.append(error)
                    continue
                results.append(KeptCase(part, sum(map(len, halves)), rows))
                halves.append(images)
                contents.append((self._keys[index], rows))
        finally:
            if halves:
                self._write(part, np.concatenate(halves), contents)
        return results

    def images(self, part: str, indices: Sequence[int]) -> Halves:
        """Slices of a part, (N, 1, size, size) in [0, 1]."""
        images: Halves = np.load(self.folder / part, allow_pickle=False)[list(indices)]
        return images

    def forget_others(self, used: Iterable[str]) -> None:
        """Remove the parts that are not used, of files and options that are no longer; none that another run made."""
        for path in {*self.folder.glob("*.npy")}.difference(self.folder / part for part in used):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < self._begun:
                    path.unlink()

    def _parts(self) -> Iterator[Path]:
        return self.folder.glob("[!.]*.npy")

    def _write(self, part: str, halves: Halves, contents: list[tuple[str, list[Row]]]) -> None:
        with whole_file(self.folder / part) as partial, partial.open("wb") as file:
            np.save(file, halves)
            np.save(file, np.frombuffer(json.dumps(contents).encode(), dtype=np.uint8))

    def _make(self, case: Case) -> tuple[Halves, list[Row]]:
        images = {name: self._read(case, name) for name in case["images"]}
        label = None if case["label"] is None else read_segmentation(case["label"], mat_key=self.mat_key)
        _refuse_other_grids(case, images, label)
        slices = self._cut(case, images, label)
        patients = {image.patient for image in images.values() if image.patient}
        if len(patients) > 1:
            raise InputError(f"The images of case {case['name']} are of {len(patients)} patients by their headers.")
        patient = next(iter(patients), None)
        halves = torch.stack([slice_.image for slice_ in slices]).half().numpy()
        return halves, [_row(case, patient, slice_, half) for slice_, half in zip(slices, halves, strict=True)]

    def _read(self, case: Case, class_name: str) -> GreyImage:
        files = case["images"][class_name]
        if len(case["images"]) > 1 and not Path(files[0]).exists():
            raise InputError(
                f"Case {case['name']} lacks {class_name}, {files[0]} is not there: add the file or leave the case out."
            )
        return read_grey_image(files, mat_key=self.mat_key)

    def _cut(self, case: Case, images: Mapping[str, GreyImage], label: GreyImage | None) -> list[Slice]:
        placed = {name: (image.pixels, image.affine) for name, image in images.items()}
        try:
            return self.cut.cut(placed, label=None if label is None else (label.pixels, label.affine))
        except InputError as error:
            shown = ", ".join(files[0] for files in case["images"].values())
            raise InputError(f"{shown}: {error}") from error


def _read_contents(path: Path) -> list[tuple[str, list[Row]]]:
    """Key and rows of each case in a part, in its order; nothing where the part is damaged, as by a full disk."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            file.seek(int(np.prod(shape)) * dtype.itemsize, os.SEEK_CUR)
            contents: list[tuple[str, list[Row]]] = json.loads(np.load(file, allow_pickle=False).tobytes())
    except (OSError, EOFError, ValueError):
        return []
    return contents


def _refuse_other_grids(case: Case, images: Mapping[str, GreyImage], label: GreyImage | None) -> None:
    first, *others = images
    for name in others:
        refuse_other_grid(images[name], case["images"][name][0], images[first], case["images"][first][0])
    if label is not None and case["label"] is not None:
        refuse_other_grid(label, case["label"], images[first], case["images"][first][0])


def _row(case: Case, patient: str | None, slice_: Slice, half: NDArray[np.float16]) -> Row:
    """What the manifest says of a slice, as far as its files tell."""
    name = case["name"] if slice_.index is None else f"{case['name']}\n{slice_.index}"
    return {
        "id": f"{slice_.class_name}/{sha256_of(_bytes_of(name))[:10]}",
        "class_name": slice_.class_name,
        "patient": pseudonym(patient),
        "slice": "" if slice_.index is None else slice_.index,
        "height": slice_.shape[0],
        "width": slice_.shape[1],
        "spacing": "" if slice_.spacing is None else "x".join(f"{length:.4g}" for length in slice_.spacing),
        "low": float(f"{slice_.low:.6g}"),
        "high": float(f"{slice_.high:.6g}"),
        "sha256": sha256_of(half.tobytes()),
    }


def pseudonym(patient: str | None) -> str:
    """What stands for a patient in what is kept, until the manifest has numbers. Empty where unknown."""
    return "" if patient is None else "p-" + sha256_of(_bytes_of(patient))[:12]


def _bytes_of(name: str) -> bytes:
    try:
        return name.encode("utf-8", "surrogateescape")  # of old archives names need not be UTF-8
    except UnicodeEncodeError:  # half a character, as a list in JSON can have it
        return name.encode("utf-8", "surrogatepass")


def case_key(case: Case) -> str:
    """A name of a case that no other has."""
    return f"{'+'.join(case['images'])}/{case['name']}"


def files_of(case: Case) -> list[str]:
    """All files of a case, also those in which the pixels of a header such as `a.mhd` stand."""
    named = [file for files in case["images"].values() for file in files]
    named += [] if case["label"] is None else [case["label"]]
    return named + [file for name in named for file in data_files_of(name)]


def fingerprint(case: Case) -> str:
    """Another text when a file of the case is another, by name, size or time of change; patient and fold are none."""
    stamps = []
    for path in files_of(case):
        try:
            status = os.stat(path)
        except OSError:
            stamps.append("absent")
        else:
            stamps.append(f"{status.st_size} {status.st_mtime_ns}")
    images = {name: [os.path.abspath(file) for file in files] for name, files in case["images"].items()}
    label = None if case["label"] is None else os.path.abspath(case["label"])
    return json.dumps([case["name"], images, label, stamps])
