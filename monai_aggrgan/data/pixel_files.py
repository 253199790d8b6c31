"""Files beside a header, in which its pixels stand: they must be below the header's folder."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

from monai_aggrgan.exceptions import InputError

__all__ = ["leads_out", "refuse_pixels_elsewhere"]

HEADERS = (".nrrd", ".nhdr", ".mha", ".mhd")
LONGEST_HEADER = 2**16
NAMES_PIXELS = re.compile(rb"^\s*(?:ElementDataFile\s*=|data ?file\s*:)\s*(.*)$", re.IGNORECASE | re.MULTILINE)
SEVERAL = (b"LIST",)
"""In place of a name: the names follow, a line each."""


def leads_out(name: str) -> bool:
    """Whether a relative name may be that of a file outside the folder from which it counts, on any system."""
    named = PureWindowsPath(name)  # takes both slashes for what parts folders
    return bool(named.anchor) or ".." in named.parts


def refuse_pixels_elsewhere(path: Path) -> None:
    """Refuse a NRRD or MetaImage header that names a file outside its folder: any file would be taken for pixels.

    Raises:
        InputError: when it does.
    """
    if path.suffix.lower() not in HEADERS:
        return
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER)
    for found in NAMES_PIXELS.finditer(head):
        name = found[1].strip()
        names = head[found.end() :].splitlines() if name.upper().startswith(SEVERAL) else [name]
        for each in names:
            if leads_out(each.decode("utf-8", "replace").strip()):
                raise InputError(
                    f"{path} names a file outside its folder for its pixels: put the file beside it, and correct it."
                )
