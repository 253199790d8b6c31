"""The cases of a study's data set, whatever its layout."""

from __future__ import annotations

from pathlib import Path

from monai_aggrgan.data.brats import is_brats, list_brats
from monai_aggrgan.data.cases import Case, select_classes
from monai_aggrgan.data.class_folders import list_class_folders
from monai_aggrgan.data.class_names import refuse_class_names
from monai_aggrgan.data.csv_datalist import read_csv_datalist
from monai_aggrgan.data.decathlon import read_decathlon_datalist
from monai_aggrgan.data.figshare import is_figshare, list_figshare
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.settings import StudySettings

__all__ = ["Damaged", "list_cases"]

Damaged = list[tuple[Path, InputError]]
"""Files and folders of which it cannot be told what cases they are, and why."""


def list_cases(settings: StudySettings) -> tuple[list[Case], Damaged]:
    """The cases of the classes that are asked for; and, where bad ones are to be skipped, files that cannot be listed.

    Raises:
        InputError: when there are none, a list is wrong, or a class or case has a name that cannot be used.
    """
    damaged: Damaged = []
    cases = select_classes(_list_all(settings, damaged), settings.classes)
    _refuse_unusable_names(cases)
    return cases, damaged


def _list_all(settings: StudySettings, damaged: Damaged) -> list[Case]:
    if settings.datalist is not None:
        is_json = settings.datalist.suffix.lower() == ".json"
        return (read_decathlon_datalist if is_json else read_csv_datalist)(settings.datalist, root=settings.dataset_dir)
    root = settings.dataset_dir or Path()
    layout = _layout_of(root) if settings.layout == "auto" else settings.layout
    if layout == "brats":
        return list_brats(root)
    list_layout = list_figshare if layout == "figshare" else list_class_folders
    return list_layout(root, damaged=damaged if settings.on_error == "skip" else None)


def _layout_of(root: Path) -> str:
    for name, is_it in {"brats": is_brats, "figshare": is_figshare}.items():
        try:
            if is_it(root):
                return name
        except InputError:  # a folder that cannot be read is told of when it is listed
            continue
    return "class_folders"


def _refuse_unusable_names(cases: list[Case]) -> None:
    refuse_class_names(dict.fromkeys(name for case in cases for name in case["images"]))
    by_name: dict[str, str] = {}
    for case in cases:
        for class_name, files in case["images"].items():
            name = f"{class_name}/{case['name']}"
            if other := by_name.get(name):
                raise InputError(f"{other} and {files[0]} would both be image {name}: rename or remove one of them.")
            by_name[name] = files[0]
