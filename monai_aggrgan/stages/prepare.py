"""Stage `prepare`: real images of any kind, read, cut, checked and split, as one array of slices a class."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from torch.utils.data import DataLoader
from tqdm import tqdm

from monai_aggrgan.data.brats import is_brats, list_brats
from monai_aggrgan.data.cases import Case, select_classes
from monai_aggrgan.data.class_folders import list_class_folders
from monai_aggrgan.data.csv_datalist import read_csv_datalist
from monai_aggrgan.data.decathlon import read_decathlon_datalist
from monai_aggrgan.data.figshare import is_figshare, list_figshare
from monai_aggrgan.data.manifest import sha256_of, write_image_parts, write_manifest
from monai_aggrgan.data.splits import SplitItem, split_by_fold, split_by_patient
from monai_aggrgan.evaluation.data_summary import write_data_summary
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.case_slices import CaseSlices, Row, case_key, files_of, fingerprint
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import RECORD, Task, read_record

__all__ = ["LEFT_OUT", "tasks"]

logger = logging.getLogger(__name__)

LEFT_OUT = "left_out.csv"
CACHE = "prepare_cache"
BYTES_A_WORKER = 2**22
"""A process is started for so many bytes of files: for less, starting takes longer than it saves."""
Value = TypeVar("Value")
Damaged = list[tuple[Path, InputError]]
UNKNOWN_PATIENTS = (
    "PATIENTS ARE UNKNOWN for {count} of {total} images: slices of one patient may stand on both sides of the split,"
    " and every comparison with held-out images is then too good. Give a --datalist with patient_id or fold."
)


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task: list, read, split. None where the prepared folder came without its sources."""
    if settings.dataset_dir is None and settings.datalist is None:
        _take_as_it_is(settings)
        return
    cases, damaged = _list(settings)
    yield Task(
        name="prepare",
        folder=settings.stage_dir("prepare"),
        settings={
            "files": sha256_of("\n".join(fingerprint(case) for case in cases).encode()),
            "held_out_fraction": settings.held_out_fraction if settings.held_out_fold is None else None,
            "held_out_fold": settings.held_out_fold,
            "mixed_sizes": settings.mixed_sizes,
            "on_error": settings.on_error,
            "mat_key": settings.mat_key,
            "seed": settings.seed,
            **settings.cutting,
        },
        work=lambda folder: _prepare(folder, cases, damaged, settings),
        precious=any(settings.stage_dir("train").glob(f"*/*/{RECORD}")),  # else the trained would meet another split
    )


def _take_as_it_is(settings: StudySettings) -> None:
    record = read_record(settings.stage_dir("prepare"))
    size = record["settings"]["size"] if record else None
    if size != settings.image_size:
        raise InputError(
            f"{settings.stage_dir('prepare')} was prepared at {size}x{size}: give --image_size {size}, or --dataset_dir"
            " to prepare it anew."
        )
    logger.info("prepare: taken as it is, for no --dataset_dir was given")


def _list(settings: StudySettings) -> tuple[list[Case], Damaged]:
    """The cases, and files of which it cannot be told what case they are."""
    damaged: Damaged = []
    cases = select_classes(_list_all(settings, damaged), settings.classes)
    _refuse_unusable_names(cases)
    return cases, damaged


def _list_all(settings: StudySettings, damaged: Damaged) -> list[Case]:
    if settings.datalist is not None:
        is_json = settings.datalist.suffix.lower() == ".json"
        return (read_decathlon_datalist if is_json else read_csv_datalist)(settings.datalist, root=settings.dataset_dir)
    root = settings.dataset_dir or Path()
    layout = settings.layout
    if layout == "auto":
        layout = "brats" if is_brats(root) else "figshare" if is_figshare(root) else "class_folders"
    if layout == "figshare":
        return list_figshare(root, damaged=damaged if settings.on_error == "skip" else None)
    return (list_brats if layout == "brats" else list_class_folders)(root)


def _refuse_unusable_names(cases: list[Case]) -> None:
    for name in {name for case in cases for name in case["images"]}:
        if not name or name in (".", "..") or set(name) & set('/\\:*?"<>|\0') or name[0] in "$@%":
            raise InputError(
                f"'{name}' cannot be the name of a class, for it names folders and stands in configs: rename it."
            )
    by_name: dict[str, str] = {}
    for case in cases:
        for class_name, files in case["images"].items():
            name = f"{class_name}/{case['name']}"
            if other := by_name.get(name):
                raise InputError(f"{other} and {files[0]} would both be image {name}: rename or remove one of them.")
            by_name[name] = files[0]


def _prepare(folder: Path, cases: list[Case], damaged: Damaged, settings: StudySettings) -> None:
    known = [_item(case, name, case["patient"], case["fold"]) for case in cases for name in case["images"]]
    _split(known, settings, least=1)  # a class that is too small is refused before its files are read
    slices = CaseSlices(
        cases,
        settings.cut_slices,
        options=settings.cutting,
        folder=settings.stage_dir(CACHE),
        mat_key=settings.mat_key,
    )
    left_out = [_left_out(error, "", path, settings) for path, error in damaged]
    rows = _read(slices, left_out, settings)
    _refuse_mixed_sizes(rows, settings)
    items = [_item(cases[row["case"]], row["class_name"], row["patient"] or None, row["fold"] or None) for row in rows]
    for row, side in zip(rows, _split(items, settings), strict=True):
        row["section"] = side
    for name in dict.fromkeys(row["class_name"] for row in rows):
        _write_class(folder / name, [row for row in rows if row["class_name"] == name], slices)
    if left_out:
        write_manifest(folder, left_out, name=LEFT_OUT)
    write_manifest(folder, [_told(row) for row in rows])
    _forget_others(slices)
    _say(folder, rows, left_out, settings)


def _item(case: Case, class_name: str, patient: str | None, fold: str | None) -> SplitItem:
    return SplitItem(case=case_key(case), class_name=class_name, patient=patient, fold=fold)


def _split(items: list[SplitItem], settings: StudySettings, *, least: int = 2) -> list[str]:
    if settings.held_out_fold is not None:
        return split_by_fold(items, held_out_fold=settings.held_out_fold, least=least)
    return split_by_patient(items, held_out_fraction=settings.held_out_fraction, seed=settings.seed, least=least)


def _read(slices: CaseSlices, left_out: list[Row], settings: StudySettings) -> list[Row]:
    """Rows of all slices, each with its case and its place in it; cases that cannot be used are added to `left_out`."""
    loader = DataLoader(slices, batch_size=None, num_workers=_workers(slices, settings), collate_fn=_as_it_is)
    rows: list[Row] = []
    for index, read in enumerate(tqdm(loader, "prepare", len(slices), unit="case")):
        case = slices.cases[index]
        if isinstance(read, InputError):
            if settings.on_error == "raise":
                raise InputError(f"{read} (Or leave such files out with --on_error skip.)") from read
            name, path = "+".join(case["images"]), _path(case, next(iter(case["images"])))
            left_out.append(_left_out(read, name, path, settings))
        else:
            sources = {name: _source(_path(case, name), name, settings) for name in case["images"]}
            places = ({"case": index, "place": place} for place in range(len(read)))
            rows += [{**row, **at, "source": sources[row["class_name"]]} for row, at in zip(read, places, strict=True)]
    return rows


def _workers(slices: CaseSlices, settings: StudySettings) -> int:
    """Processes beside this one; none where one would do."""
    if settings.num_workers is not None:
        return settings.num_workers
    sizes = sum(path.stat().st_size for case in slices.cases for path in files_of(case) if path.exists())
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 16)
    workers = min(workers, sizes // BYTES_A_WORKER)
    return workers if workers > 1 else 0


def _as_it_is(value: Value) -> Value:
    return value


def _left_out(error: InputError, class_name: str, path: Path, settings: StudySettings) -> Row:
    logger.warning("left out: %s", error)
    reason = str(error).replace(f"{_root(settings)}{os.sep}", "")  # the list travels with the report
    return {"class_name": class_name, "source": _source(path, class_name, settings), "reason": reason}


def _path(case: Case, class_name: str) -> Path:
    """A case's file; of a series its folder."""
    files = case["images"][class_name]
    return Path(files[0]) if len(files) == 1 else Path(files[0]).parent


def _source(path: Path, class_name: str, settings: StudySettings) -> str:
    """A path below the data set's folder, without a leading class folder."""
    if not path.is_relative_to(_root(settings)):
        return path.name
    parts = path.relative_to(_root(settings)).parts
    return "/".join(parts[1:] if len(parts) > 1 and parts[0] == class_name else parts)


def _root(settings: StudySettings) -> Path:
    return settings.dataset_dir or (settings.datalist or Path()).parent


def _refuse_mixed_sizes(rows: list[Row], settings: StudySettings) -> None:
    """Of pictures, which do not tell how large their pixels are."""
    if settings.mixed_sizes == "resize":
        return
    pictures = [row for row in rows if not row["spacing"]]
    for row in pictures:
        if (row["height"], row["width"]) != (pictures[0]["height"], pictures[0]["width"]):
            one, other = (f"{shown['class_name']}/{shown['source']}" for shown in (row, pictures[0]))
            raise InputError(
                f"{one} is {row['height']}x{row['width']} and {other} {pictures[0]['height']}x{pictures[0]['width']}:"
                f" bring them to one size, or let all be resized to {settings.image_size} with --mixed_sizes resize."
            )


def _write_class(folder: Path, rows: list[Row], slices: CaseSlices) -> None:
    """Case by case, so that memory does not grow with their number."""
    by_case = [(index, [row["place"] for row in mine]) for index, mine in groupby(rows, lambda row: row["case"])]
    write_image_parts(folder, (slices.images(index)[places] for index, places in by_case), [_told(row) for row in rows])


def _told(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("case", "place")}


def _forget_others(slices: CaseSlices) -> None:
    """Remove what is kept of files and options that are no longer in use."""
    used = {slices.path(index) for index in range(len(slices))}
    for path in slices.folder.glob("*.pt"):
        if path not in used:
            path.unlink()


def _say(folder: Path, rows: list[Row], left_out: list[Row], settings: StudySettings) -> None:
    summary = write_data_summary(folder, seed=settings.seed)
    logger.info("what the data are:\n%s", summary.text)
    unknown = sum(row["patient"] == "" for row in rows)
    if unknown and settings.held_out_fold is None:
        logger.warning(UNKNOWN_PATIENTS.format(count=unknown, total=len(rows)))
    if left_out:
        count = "1 case was" if len(left_out) == 1 else f"{len(left_out)} cases were"
        logger.warning("%s left out, see %s", count, folder / LEFT_OUT)
