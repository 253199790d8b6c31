"""A data set that is a Decathlon datalist: JSON as the Medical Segmentation Decathlon and MONAI use it."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from monai.data import load_decathlon_datalist

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.decathlon_entry import DecathlonEntry
from monai_aggrgan.data.listed_files import refuse_repeated_files
from monai_aggrgan.exceptions import InputError, said_by

__all__ = ["read_decathlon_datalist"]

logger = logging.getLogger(__name__)

SECTIONS = ("training", "validation")


def read_decathlon_datalist(path: Path | str, *, root: Path | str | None = None) -> list[Case]:
    """Images that a Decathlon datalist names in its lists `training` and `validation`; `test` is not read.

    An entry's `image` is a path, a list of paths, one for each name in the file's `modality`, or (ours) an object of
    paths by class. The class of a single image is the first that is there of: the entry's `class` (or `class_name`),
    the name that the file's `labels` give to the entry's whole number `label`, the file's only `modality`, and else
    `image`. Several images have the modalities, or the keys, for classes. A `label` that is a path is a segmentation.

    An entry may have `patient` (or `patient_id`) and `fold`. Without a fold, the name of its list is the fold, where
    there are both lists.

    Args:
        path: JSON file.
        root: folder from which paths count; the file's own by default. A path to a folder names a DICOM series.

    Returns:
        A case for each entry, named as `case_name` does, by its first image.

    Raises:
        InputError: when the file cannot be read, an entry lacks something or names a file that is not there, a class
            cannot be told, or a file is named twice for a class.
    """
    path = Path(path)
    properties = _read_json(path)
    sections = [name for name in SECTIONS if properties.get(name)]
    if not sections:
        raise InputError(f"{path} lists no image: it needs a list 'training' with one entry an image or examination.")
    if isinstance(properties.get("test"), list) and properties["test"]:
        logger.warning("%s: the %d images of its list 'test' are not read", path, len(properties["test"]))
    cases = []
    for section in sections:
        for entry in _entries(path, section, properties, root=path.parent if root is None else Path(root)):
            cases.append(entry.case(fold=section if len(sections) > 1 else None))
    refuse_repeated_files(cases, source=path)
    return cases


def _read_json(path: Path) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise InputError(f"{path} is not a file: --datalist must name a Decathlon datalist (JSON) or a CSV.")
    try:
        properties = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows begins it with a byte order mark
    except (OSError, ValueError, RecursionError) as error:  # of the encoding, of JSON, of numbers of 5000 digits
        raise InputError(f"{path} cannot be read as JSON ({said_by(error)}): correct it or write it anew.") from error
    if not isinstance(properties, dict):
        raise InputError(f"{path} holds no datalist: it must be a JSON object with a list 'training'.")
    return properties


def _entries(path: Path, section: str, properties: dict[str, Any], *, root: Path) -> list[DecathlonEntry]:
    written = properties[section]
    if not isinstance(written, list) or not all(isinstance(entry, dict) for entry in written):
        raise InputError(f"{path} has a '{section}' that is no list of objects: write {{\"image\": path}} an entry.")
    joined = _with_paths(written, root)
    return [
        DecathlonEntry(f"{path}, entry {number} of '{section}',", properties, raw, paths, root)
        for number, (raw, paths) in enumerate(zip(written, joined, strict=True), 1)
    ]


def _with_paths(entries: list[dict[str, Any]], root: Path) -> list[dict[str, Any]]:
    """The entries as MONAI gives them: from a copy in ASCII, for it reads the machine's own encoding and no mark."""
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "datalist.json"
        copy.write_text(json.dumps({"training": entries}), encoding="ascii")
        return load_decathlon_datalist(copy, base_dir=root)
