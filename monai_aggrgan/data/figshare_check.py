"""Whether the Figshare brain tumour set is all there: every slice, the known numbers a class, every file readable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.figshare import FIGSHARE_COUNTS
from monai_aggrgan.data.image_files import PICTURE_FORMATS
from monai_aggrgan.exceptions import InputError, said_by

__all__ = ["check_figshare"]


def check_figshare(cases: Sequence[Case], root: Path | str, *, progress: bool = True) -> None:
    """Refuse cases, as `list_figshare` gives them, that are not the whole set or have files that cannot be opened.

    Listing has opened the `.mat` files and seen the sizes of their images; JPEG files are decoded here.

    Raises:
        InputError: when slices are missing, classes have other numbers of slices than are known, or files are absent or
            damaged; the message has their number and the first of them.
    """
    total, there = sum(FIGSHARE_COUNTS.values()), {case["name"] for case in cases}
    if missing := [number for number in range(1, total + 1) if str(number) not in there]:
        raise InputError(
            f"{root} lacks {len(missing)} of the {total} slices of the Figshare set, the first is {missing[0]}: add"
            " them, or do without the check."
        )
    counts = Counter(name for case in cases for name in case["images"])
    if counts != FIGSHARE_COUNTS:
        found, known = (", ".join(f"{of[name]} {name}" for name in FIGSHARE_COUNTS) for of in (counts, FIGSHARE_COUNTS))
        raise InputError(f"{root} has slices of {found}; the Figshare set has {known}: get it anew.")
    files = [Path(file) for case in cases for files in case["images"].values() for file in files]
    bar = tqdm(files, "check", unit="file", disable=not progress)
    if faults := [(file, fault) for file in bar if (fault := _fault(file))]:
        file, fault = faults[0]
        raise InputError(
            f"{len(faults)} of {len(files)} files cannot be read, the first is {file} ({fault}): get them anew."
        )


def _fault(file: Path) -> str | None:
    """Why a picture cannot be read."""
    if file.suffix.lower() == ".mat":
        return None
    try:
        with Image.open(file, formats=PICTURE_FORMATS) as image:
            image.load()  # of a JPEG, verify() looks at its beginning only
    except Exception as error:  # Pillow raises many kinds, by where the damage is
        return said_by(error)
    return None
