"""Tasks taken by whoever is free: each rank claims the next that nobody has, by a lock that dies with its process."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from monai_aggrgan.exceptions import AggrganError, TrainingDiverged, said_by
from monai_aggrgan.stages.task import Task, read_json, write_json

__all__ = ["Claims", "CommonError", "locked"]

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 1.0
SHOWN = 3
"""So many failed tasks are told one by one; of more, the first, and how many."""
DEATHS = 2
"""So many ranks may die of a task before it counts as failed: it would take them all."""


class CommonError(AggrganError):
    """An error that every rank of a run raises, so that one of them is enough to tell it."""


class Claims:
    """Shares the tasks of a stage with the other ranks of a run, through a folder that all of them see.

    No rank waits for a certain other one: what a rank had begun is free again when it dies, and another goes on.

    Args:
        folder: of this run alone. A task has a folder in it with its `lock`, an empty `begun_<rank>` of each rank that
            began it and, once it has ended, `ended.json`.
        root: the study's folder, in which the tasks' own folders are.
        rank: of this process.
        alone: whether it is the only one.
    """

    def __init__(self, folder: Path, *, root: Path, rank: int = 0, alone: bool = True) -> None:
        self.folder, self.root, self.rank, self.alone = folder, root, rank, alone

    def run(self, tasks: Sequence[Task], *, again: bool = False) -> None:
        """Return when all tasks are done, by whichever rank; every rank calls this with the same tasks.

        A task that fails does not keep the others from being done: its error is told at the end, by every rank. A
        process that is alone treats only a diverged training so; any other error ends it at once.

        Args:
            tasks: to do; none needs another's result.
            again: do those, too, that an earlier run has finished.

        Raises:
            CommonError: naming each task that failed, on which rank and why; of more than three the first alone.
            TrainingDiverged: the same, where this process is alone.
        """
        left, pause = list(tasks), 0.05
        while left:
            for task in left:
                self._claim(task, again=again)
            left = [task for task in left if not self._end_of(task)]
            if left:
                time.sleep(pause)
                if pause < LONGEST_PAUSE <= 2 * pause:  # once, and not for what takes a moment
                    logger.info("waiting for %s", ", ".join(task.name for task in left))
                pause = min(2 * pause, LONGEST_PAUSE)
        self._tell_failures(tasks)

    def _claim(self, task: Task, *, again: bool) -> None:
        """Do a task unless it has ended or somebody else is at it."""
        if self._end_of(task):
            return
        place = self._place(task)
        place.mkdir(parents=True, exist_ok=True)
        with locked(place / "lock") as mine:
            if not mine:
                return
            (place / f"begun_{self.rank}").touch()  # first: now a network file system must look at the folder anew
            if not self._end_of(task):
                begun = {int(path.name.partition("_")[2]) for path in place.glob("begun_*")}
                failure = self._go_on(task, after=sorted(begun - {self.rank}), again=again)
                write_json(place / "ended.json", {"rank": self.rank, "failure": failure})

    def _go_on(self, task: Task, *, after: list[int], again: bool) -> str:
        """Do a task that other ranks have died of, if any; returns why it failed."""
        if len(after) >= DEATHS:
            return f"ranks {' and '.join(map(str, after))} died of it, killed or out of memory"
        for rank in after:
            logger.warning("%s: rank %d ended in the middle of it, rank %d goes on", task.name, rank, self.rank)
        try:
            task.run(again=again)
        except Exception as error:
            if self.alone and not isinstance(error, TrainingDiverged):
                raise
            known = isinstance(error, AggrganError)
            told = str(error) if known else f"{type(error).__name__}: {said_by(error)}"
            logger.error("%s failed (%s), the other tasks go on", task.name, told, exc_info=None if known else error)
            return told
        return ""

    def _tell_failures(self, tasks: Sequence[Task]) -> None:
        ends = [(task, self._end_of(task) or {}) for task in tasks]
        failed = [(task, end) for task, end in ends if end.get("failure")]
        if failed:
            shown = failed if len(failed) <= SHOWN else failed[:1]
            told = [self._sentence(task, end) for task, end in shown]
            others = len(tasks) - len(failed)
            told += [f"So did {len(failed) - 1} more; the log names each."] if len(failed) > SHOWN else []
            told += [f"The other {others} of {len(tasks)} tasks are finished."] if others else []
            raise (TrainingDiverged if self.alone else CommonError)(" ".join(told))

    def _sentence(self, task: Task, end: dict[str, Any]) -> str:
        where = "" if self.alone else f" on rank {end['rank']}"
        return f"{task.name} failed{where}: {end['failure'].rstrip('.')}."

    def _end_of(self, task: Task) -> dict[str, Any] | None:
        return read_json(self._place(task) / "ended.json")

    def _place(self, task: Task) -> Path:
        return self.folder / task.folder.relative_to(self.root)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock of a file if nobody else does; yields whether it is held. The system frees it when a process dies.

    Raises:
        OSError: when the file system has no locks.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
