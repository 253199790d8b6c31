"""Reading the cases of a study: each once, in several processes, and the bad ones refused or left out."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from monai_aggrgan.data.cases import Case
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.case_slices import CaseSlices, KeptCase, Row, files_of, pseudonym
from monai_aggrgan.stages.settings import StudySettings

__all__ = ["left_out_row", "read_cases"]

logger = logging.getLogger(__name__)

BYTES_A_WORKER = 2**22
"""A process is started for so many bytes of files: for less, starting takes longer than it saves."""
MOST_WORKERS = 16
MOST_TOGETHER = 16
"""Cases that a process reads and keeps at once, so many at the most; an interruption costs no more than these."""
Value = TypeVar("Value")


def read_cases(slices: CaseSlices, settings: StudySettings) -> tuple[list[Row], list[Row]]:
    """Read the cases that are not kept yet.

    Returns:
        Manifest rows of all slices, each with `patient` as its files tell, `listed_patient`, `fold`, `source`, the
        index of its `case`, and the `part` and `place` where it is kept; and a `left_out_row` for each case that cannot
        be used, where such are to be skipped.

    Raises:
        InputError: for the first case that cannot be used, where they are not.
    """
    left_out = []
    kept = slices.kept()
    missing = [index for index in range(len(slices.cases)) if index not in kept]
    with tqdm(desc="prepare", total=len(slices.cases), initial=len(kept), unit="case") as progress:
        for index, read in _read_each(slices, missing, settings):
            progress.update()
            if isinstance(read, KeptCase):
                kept[index] = read
            elif settings.on_error == "raise":
                raise InputError(f"{read} (Or leave such files out with --on_error skip.)") from read
            else:
                case = slices.cases[index]
                name, path = "+".join(case["images"]), _path(case, next(iter(case["images"])))
                left_out.append(left_out_row(read, path, settings, class_name=name))
    rows = [row for index in sorted(kept) for row in _rows(slices.cases[index], index, kept[index], settings)]
    return rows, left_out


def _rows(case: Case, index: int, kept: KeptCase, settings: StudySettings) -> Iterator[Row]:
    sources = {name: _source(_path(case, name), name, settings) for name in case["images"]}
    for place, row in enumerate(kept.rows, kept.start):
        listed = {"listed_patient": pseudonym(case["patient"]), "fold": case["fold"] or ""}
        at = {"source": sources[row["class_name"]], "case": index, "part": kept.part, "place": place}
        yield {**row, **listed, **at}


class _Groups(Dataset[list["KeptCase | InputError"]]):
    """Cases by groups that are read and kept together."""

    def __init__(self, slices: CaseSlices, groups: list[list[int]]) -> None:
        self.slices, self.groups = slices, groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> list[KeptCase | InputError]:
        return self.slices.read(self.groups[index])


def _read_each(
    slices: CaseSlices, missing: list[int], settings: StudySettings
) -> Iterator[tuple[int, KeptCase | InputError]]:
    """What each case gives, in their order."""
    workers = _workers(slices, missing, settings)
    together = min(MOST_TOGETHER, max(1, len(missing) // (8 * max(workers, 1))))
    groups = [missing[start : start + together] for start in range(0, len(missing), together)]
    workers = min(workers, len(groups))
    read = DataLoader(_Groups(slices, groups), batch_size=None, num_workers=workers, collate_fn=_as_it_is)
    try:
        for group, results in zip(groups, read, strict=True):
            yield from zip(group, results, strict=True)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            "A process that reads has ended before its time: give --num_workers 0 (in a script of your own, put what"
            " it does below `if __name__ == '__main__':`), or fewer, if memory is short."
        ) from error


def _as_it_is(value: Value) -> Value:
    return value


def _workers(slices: CaseSlices, missing: list[int], settings: StudySettings) -> int:
    """Processes beside this one; none where one would do."""
    if settings.num_workers is not None:
        return settings.num_workers
    files = (file for index in missing for file in files_of(slices.cases[index]))
    sizes = sum(os.path.getsize(file) for file in files if os.path.exists(file))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, MOST_WORKERS, sizes // BYTES_A_WORKER)
    return workers if workers > 1 else 0


def left_out_row(error: InputError, path: Path, settings: StudySettings, *, class_name: str = "") -> Row:
    """Class, file and reason of what is left out, for a table; it is said in the log, too."""
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
