"""Which of a stage's many trainings one is, and how long all that are left will take."""

from __future__ import annotations

import time
from pathlib import Path

from tqdm import tqdm

from monai_aggrgan.stages.task import Task, is_finished

__all__ = ["TrainingCount"]


class TrainingCount:
    """Counts the tasks of a stage: those that are there, those that any rank has finished, and since when.

    The time that is left presumes that others take as long as those that were finished since the first one began here.
    """

    def __init__(self) -> None:
        self._folders: list[Path] = []
        self._before = 0
        self._start: float | None = None

    def add(self, task: Task) -> None:
        """One more task."""
        self._folders.append(task.folder)

    def words(self, folder: Path) -> str:
        """`training 7 of 42, 12:31 left` of the task that begins now in a folder; the time once it can be told."""
        done = sum(map(is_finished, self._folders))
        if self._start is None:
            self._start, self._before = time.monotonic(), done
        text = f"training {self._folders.index(folder) + 1} of {len(self._folders)}"
        since = done - self._before
        if since < 1:
            return text
        left = (len(self._folders) - done) * (time.monotonic() - self._start) / since
        return f"{text}, {tqdm.format_interval(left)} left"
