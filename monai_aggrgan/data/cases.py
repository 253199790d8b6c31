"""What is read together: the images of one examination, one for each class they serve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from monai_aggrgan.exceptions import InputError

__all__ = ["Case", "select_classes"]


class Case(TypedDict):
    """One entry of a data set, in the manner of a MONAI datalist, whatever layout or list it came from.

    Most cases are one file of one class. A case of several classes is one examination in several modalities, all on one
    grid: the same slices are taken of each.

    Attributes:
        name: tells the case from the others of its classes; the same for copies of other sizes and formats.
        images: class name -> files: a single one, a slice or a volume, or those of a DICOM series in slice order. A
            file that ought to be there and is not is listed all the same: reading it says so.
        label: segmentation on the same grid, None where there is none.
        patient: None where it is not known (yet: a .mat or DICOM file may tell).
        fold: of the data set's own split, None where there is none.
    """

    name: str
    images: dict[str, list[str]]
    label: str | None
    patient: str | None
    fold: str | None


def select_classes(cases: Sequence[Case], classes: Sequence[str] | None) -> list[Case]:
    """The cases with the images of the named classes, in the data set's order; as they are when `classes` is None.

    Raises:
        InputError: when a class is named that the data set does not have.
    """
    if classes is None:
        return list(cases)
    known = list(dict.fromkeys(name for case in cases for name in case["images"]))
    for name in classes:
        if name not in known:
            raise InputError(f"There is no class '{name}' in the data set: its classes are {', '.join(known)}.")
    kept = [{name: files for name, files in case["images"].items() if name in classes} for case in cases]
    return [Case({**case, "images": images}) for case, images in zip(cases, kept, strict=True) if images]
