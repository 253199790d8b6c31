"""Slices of cases, each case read and cut once and then kept in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.grey_image import GreyImage, read_grey_image, read_segmentation, refuse_other_grid
from monai_aggrgan.data.manifest import sha256_of, whole_file
from monai_aggrgan.data.mat_reader import FIGSHARE_IMAGE
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.transforms.cut_slices import CutSlices, Slice

__all__ = ["CaseSlices", "Row", "case_key", "files_of", "fingerprint"]

LAYOUT = 1
"""Of what is kept; another number makes what was kept before unknown."""
Row = dict[str, Any]


class CaseSlices(Dataset["list[Row] | InputError"]):
    """A case by its index: a manifest row for each of its slices, or the sentence that says why it cannot be used.

    The slices themselves are kept, half-precision, in one file a case, which appears whole or not at all and is found
    again as long as the case's files (size, time of change) and the options are the same. MONAI's PersistentDataset
    does nearly this; but it moves its files across file systems, where a kill leaves halves that it then cannot load.

    Args:
        cases: of the data set.
        cut: makes their slices.
        options: those of `cut`, as plain JSON values.
        folder: where slices are kept.
        mat_key: names that lead to the image in a .mat file.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        cut: CutSlices,
        *,
        options: Mapping[str, Any],
        folder: Path | str,
        mat_key: str = FIGSHARE_IMAGE,
    ) -> None:
        self.cases, self.cut, self.folder, self.mat_key = cases, cut, Path(folder), mat_key
        self._options = json.dumps([LAYOUT, mat_key, dict(options)], sort_keys=True)

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> list[Row] | InputError:
        try:
            rows: list[Row] = json.loads(self._kept(index)["rows"])
        except InputError as error:
            return error
        return rows

    def images(self, index: int) -> Tensor:
        """The slices of a case, (N, 1, size, size) float16 in [0, 1], in the order of its rows."""
        images: Tensor = self._kept(index)["images"]
        return images

    def path(self, index: int) -> Path:
        """The file in which the slices of a case are kept."""
        told = f"{fingerprint(self.cases[index])} {self._options}"
        return self.folder / f"{sha256_of(told.encode())[:32]}.pt"

    def _kept(self, index: int) -> dict[str, Any]:
        path = self.path(index)
        if not path.is_file():
            return self._make(self.cases[index], path)
        kept: dict[str, Any] = torch.load(path, weights_only=True)
        return kept

    def _make(self, case: Case, path: Path) -> dict[str, Any]:
        images = {name: self._read(case, name) for name in case["images"]}
        label = None if case["label"] is None else read_segmentation(case["label"], mat_key=self.mat_key)
        _refuse_other_grids(case, images, label)
        slices = self._cut(case, images, label)
        patient = case["patient"] or next((image.patient for image in images.values() if image.patient), None)
        halves = torch.stack([slice_.image for slice_ in slices]).half()
        rows = [_row(case, patient, slice_, half) for slice_, half in zip(slices, halves, strict=True)]
        made = {"images": halves, "rows": json.dumps(rows)}
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            torch.save(made, partial)
        return made

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


def _refuse_other_grids(case: Case, images: Mapping[str, GreyImage], label: GreyImage | None) -> None:
    first, *others = images
    for name in others:
        refuse_other_grid(images[name], case["images"][name][0], images[first], case["images"][first][0])
    if label is not None and case["label"] is not None:
        refuse_other_grid(label, case["label"], images[first], case["images"][first][0])


def _row(case: Case, patient: str | None, slice_: Slice, half: Tensor) -> Row:
    """What the manifest says of a slice; of the patient only a pseudonym, which who has the data can make as well."""
    name = case["name"] if slice_.index is None else f"{case['name']} {slice_.index}"
    return {
        "id": f"{slice_.class_name}/{sha256_of(name.encode())[:10]}",
        "class_name": slice_.class_name,
        "patient": "" if patient is None else "p-" + sha256_of(patient.encode())[:12],
        "fold": case["fold"] or "",
        "slice": "" if slice_.index is None else slice_.index,
        "height": slice_.shape[0],
        "width": slice_.shape[1],
        "spacing": "" if slice_.spacing is None else "x".join(f"{length:.4g}" for length in slice_.spacing),
        "low": float(f"{slice_.low:.6g}"),
        "high": float(f"{slice_.high:.6g}"),
        "sha256": sha256_of(half.numpy().tobytes()),
    }


def case_key(case: Case) -> str:
    """A name of a case that no other has."""
    return f"{'+'.join(case['images'])}/{case['name']}"


def files_of(case: Case) -> list[Path]:
    """All files of a case."""
    images = [Path(file) for files in case["images"].values() for file in files]
    return images if case["label"] is None else [*images, Path(case["label"])]


def fingerprint(case: Case) -> str:
    """Another text when the case or one of its files is another, by size and time of change."""
    stamps = []
    for path in files_of(case):
        try:
            status = path.stat()
        except OSError:
            stamps.append("absent")
        else:
            stamps.append(f"{status.st_size} {status.st_mtime_ns}")
    return json.dumps([case, stamps], sort_keys=True)
