"""Stage `prepare`: real images of any kind, read, cut, checked and split, as one array of slices a class."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import fields
from itertools import groupby
from pathlib import Path

import torch

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.manifest import map_image_array, sha256_of, write_image_parts, write_manifest
from monai_aggrgan.data.patients import join_patients
from monai_aggrgan.data.splits import SplitItem, split_by_fold, split_by_patient
from monai_aggrgan.evaluation.data_summary import write_data_summary
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.case_slices import CaseSlices, Row, case_key, fingerprint
from monai_aggrgan.stages.listing import Damaged, list_cases
from monai_aggrgan.stages.reading import left_out_row, read_cases
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import RECORD, Task, read_record

__all__ = ["LEFT_OUT", "tasks"]

logger = logging.getLogger(__name__)

LEFT_OUT = "left_out.csv"
CACHE = "prepare_cache"
UNKNOWN_PATIENTS = (
    "PATIENTS ARE UNKNOWN for {count} of {total} images: slices of one patient may stand on both sides of the split,"
    " and every comparison with held-out images is then too good. Give a --datalist with patient_id, or"
    " with fold and --held_out_fold."
)


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task: list, read, split. None where the prepared folder came without its sources."""
    if settings.dataset_dir is None and settings.datalist is None:
        _take_as_it_is(settings)
        return
    cases, damaged = list_cases(settings)
    fingerprints = [fingerprint(case) for case in cases]
    trained = any(settings.stage_dir("train").glob(f"*/*/{RECORD}"))
    yield Task(
        name="prepare",
        folder=settings.stage_dir("prepare"),
        settings={
            "files": sha256_of(repr([(case["patient"], case["fold"]) for case in cases] + fingerprints).encode()),
            "held_out_fraction": settings.held_out_fraction if settings.held_out_fold is None else None,
            "held_out_fold": settings.held_out_fold,
            "mixed_sizes": settings.mixed_sizes,
            "on_error": settings.on_error,
            "mat_key": settings.mat_key,
            "seed": settings.seed,
            **settings.cutting,
        },
        work=lambda folder: _prepare(folder, cases, fingerprints, damaged, settings),
        unfinished=not trained and (settings.stage_dir("prepare") / LEFT_OUT).is_file(),  # it may be mended by now
        scratch=[settings.stage_dir(CACHE)],
        precious=trained,  # else the trained would meet another split
    )


def _take_as_it_is(settings: StudySettings) -> None:
    for name in settings.prepared_classes():
        map_image_array(settings.stage_dir("prepare", name))  # refuses what is lacking or damaged
    record = read_record(settings.stage_dir("prepare"))
    made = record["settings"] if record else {}
    size = made.get("size", "another size")
    if size != settings.image_size:
        raise InputError(
            f"{settings.stage_dir('prepare')} was prepared at {size}x{size}: give --image_size {size}, or --dataset_dir"
            " to prepare it anew."
        )
    for field in fields(settings):
        given = json.loads(json.dumps(getattr(settings, field.name), default=str))
        asked = field.name != "seed" and getattr(settings, field.name) != field.default
        if asked and field.name in made and given != made[field.name]:
            raise InputError(
                f"{settings.stage_dir('prepare')} was prepared with --{field.name} {made[field.name]}, not {given}:"
                " omit the option, or give --dataset_dir to prepare it anew."
            )
    logger.info("prepare: taken as it is, for no --dataset_dir was given")


def _prepare(
    folder: Path, cases: list[Case], fingerprints: list[str], damaged: Damaged, settings: StudySettings
) -> None:
    known = [_item(case, name, case["patient"], case["fold"]) for case in cases for name in case["images"]]
    _split(known, settings, least=1)  # a class that is too small is refused before its files are read
    slices = CaseSlices(
        cases,
        fingerprints,
        settings.cut_slices,
        options=settings.cutting,
        folder=settings.stage_dir(CACHE),
        mat_key=settings.mat_key,
    )
    rows, left_out = read_cases(slices, settings)
    left_out += [left_out_row(error, path, settings) for path, error in damaged]
    _refuse_mixed_sizes(rows, settings)
    _refuse_lost_classes(cases, rows)
    for row, patient in zip(rows, _numbered(join_patients(*_patients_of(rows))), strict=True):
        row["patient"] = patient
    items = [_item(cases[row["case"]], row["class_name"], row["patient"] or None, row["fold"] or None) for row in rows]
    for row, side in zip(rows, _split(items, settings), strict=True):
        row["section"] = side
    for name in dict.fromkeys(row["class_name"] for row in rows):
        _write_class(folder / name, [row for row in rows if row["class_name"] == name], slices)
    (folder / LEFT_OUT).unlink(missing_ok=True)
    if left_out:
        write_manifest(folder, left_out, name=LEFT_OUT)
    write_manifest(folder, [_told(row) for row in rows])
    slices.forget_others({row["part"] for row in rows})
    _say(folder, rows, left_out, settings)


def _patients_of(rows: list[Row]) -> tuple[list[str], list[str]]:
    return [row["listed_patient"] for row in rows], [row["patient"] for row in rows]


def _numbered(patients: list[str]) -> list[str]:
    """Numbers for names: a hash of a name could be found again by whoever guesses the name."""
    numbers = {name: f"p-{number:03d}" for number, name in enumerate(sorted({*patients} - {""}), 1)}
    return [numbers.get(name, "") for name in patients]


def _refuse_lost_classes(cases: list[Case], rows: list[Row]) -> None:
    found = {row["class_name"] for row in rows}
    for name in dict.fromkeys(name for case in cases for name in case["images"]):
        if name not in found:
            count = sum(name in case["images"] for case in cases)
            raise InputError(
                f"None of the {count} cases of class '{name}' can be used: replace them, or name others in --classes."
            )


def _item(case: Case, class_name: str, patient: str | None, fold: str | None) -> SplitItem:
    return SplitItem(case=case_key(case), class_name=class_name, patient=patient, fold=fold)


def _split(items: list[SplitItem], settings: StudySettings, *, least: int = 2) -> list[str]:
    if settings.held_out_fold is not None:
        return split_by_fold(items, held_out_fold=settings.held_out_fold, least=least)
    return split_by_patient(items, held_out_fraction=settings.held_out_fraction, seed=settings.seed, least=least)


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
    """Part by part, so that memory does not grow with their number."""
    by_part = [(part, [row["place"] for row in mine]) for part, mine in groupby(rows, lambda row: row["part"])]
    parts = (torch.from_numpy(slices.images(part, places)) for part, places in by_part)
    write_image_parts(folder, parts, [_told(row) for row in rows])


def _told(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("case", "part", "place", "listed_patient")}


def _say(folder: Path, rows: list[Row], left_out: list[Row], settings: StudySettings) -> None:
    summary = write_data_summary(folder, seed=settings.seed)
    logger.info("what the data are:\n%s", summary.text)
    unknown = sum(row["patient"] == "" for row in rows)
    if unknown and settings.held_out_fold is None:
        logger.warning(UNKNOWN_PATIENTS.format(count=unknown, total=len(rows)))
    if left_out:
        count = "1 case was" if len(left_out) == 1 else f"{len(left_out)} cases were"
        logger.warning("%s left out, see %s", count, folder / LEFT_OUT)
