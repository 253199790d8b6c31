from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from monai_aggrgan.exceptions import InputError, TrainingDiverged
from monai_aggrgan.stages import claims as module
from monai_aggrgan.stages.claims import Claims, CommonError, locked
from monai_aggrgan.stages.task import Task, read_record

HOLD = """
import sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print(flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.1)


@pytest.fixture
def claims(tmp_path) -> Callable[..., Claims]:
    """Makes a rank of one of some runs in the same study."""

    def make(rank: int = 0, *, alone: bool = False, run: str = "first") -> Claims:
        return Claims(tmp_path / ".running" / run, root=tmp_path, rank=rank, alone=alone)

    return make


class Work:
    """Makes tasks on folders of their own, and notes in which order they were done."""

    def __init__(self, root: Path, *, seconds: float = 0) -> None:
        self.root, self.seconds, self.done = root, seconds, []

    def task(self, name: str, *, fails: BaseException | None = None) -> Task:
        def work(folder: Path) -> None:
            self.done.append(name)
            time.sleep(self.seconds)
            if fails:
                raise fails

        return Task(name=f"train {name}", folder=self.root / "train" / name, settings={}, work=work)


@pytest.fixture
def work(tmp_path) -> Work:
    return Work(tmp_path)


def side_by_side(ranks: list[Claims], tasks: list[Task], **options: bool) -> list[BaseException | None]:
    """Every rank in a thread of its own; returns what each raised."""
    errors: list[BaseException | None] = [None] * len(ranks)

    def run(place: int) -> None:
        try:
            ranks[place].run(tasks, **options)
        except Exception as error:
            errors[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(ranks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    return errors


def finished(tmp_path: Path) -> set[str]:
    folders = {path.name: read_record(path) for path in (tmp_path / "train").iterdir() if path.is_dir()}
    return {name for name, record in folders.items() if record and record["finished"]}


@pytest.mark.parametrize("again", [False, True])
def test_every_task_is_done_once_by_whoever_is_free(tmp_path, claims, work, again):
    work.seconds = 0.05
    tasks = [work.task(name) for name in "abcdef"]
    if again:
        claims(alone=True, run="before").run(tasks)
        work.done.clear()
    assert side_by_side([claims(rank) for rank in range(3)], tasks, again=again) == [None] * 3
    assert sorted(work.done) == list("abcdef") and finished(tmp_path) == set("abcdef")
    begun = {path.name for path in tmp_path.glob(".running/first/train/*/begun_*")}
    assert begun == {"begun_0", "begun_1", "begun_2"}  # nobody was idle


def test_a_task_that_another_rank_ends_just_before_it_is_claimed_is_left_alone(claims, work, monkeypatch):
    tasks = [work.task("a")]

    def too_late(path: Path) -> AbstractContextManager[bool]:
        monkeypatch.undo()
        claims(0).run(tasks)
        return locked(path)

    monkeypatch.setattr(module, "locked", too_late)
    claims(1).run(tasks, again=True)
    assert work.done == ["a"]


def test_a_rank_returns_only_when_the_others_tasks_are_done(tmp_path, claims, work, caplog):
    caplog.set_level(logging.INFO)
    slow = Work(tmp_path, seconds=0.5)
    tasks = [slow.task("slow"), work.task("quick")]
    holder = threading.Thread(target=claims(0).run, args=([tasks[0]],))
    holder.start()
    while not slow.done:
        time.sleep(0.01)
    claims(1).run(tasks)
    assert finished(tmp_path) == {"slow", "quick"} and slow.done == ["slow"]
    assert caplog.messages.count("waiting for train slow") == 1
    holder.join()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(TrainingDiverged("b became NaN."), "b became NaN."), (RuntimeError("a bug"), "RuntimeError: a bug.")],
)
def test_a_failure_is_named_by_all_and_the_others_are_finished(tmp_path, claims, work, error, sentence):
    tasks = [work.task("a"), work.task("b", fails=error), work.task("c"), work.task("d")]
    raised = side_by_side([claims(0), claims(1)], tasks)
    assert finished(tmp_path) == set("acd") and work.done.count("b") == 1
    (ended,) = tmp_path.glob(".running/first/train/b/ended.json")
    rank = json.loads(ended.read_text(encoding="utf-8"))["rank"]
    message = f"train b failed on rank {rank}: {sentence} The other 3 of 4 tasks are finished."
    assert [(type(error), str(error)) for error in raised] == [(CommonError, message)] * 2


def test_several_failures_are_all_told(claims, work):
    tasks = [work.task(name, fails=InputError(f"{name} is bad")) for name in "ab"]
    with pytest.raises(
        CommonError, match=r"^train a failed on rank 1: a is bad\. train b failed on rank 1: b is bad\.$"
    ):
        claims(1).run(tasks)


def test_of_many_failures_the_first_and_their_number_are_told(claims, work, caplog):
    tasks = [work.task(name, fails=TrainingDiverged(f"{name} became NaN")) for name in "abcdef"]
    told = r"^train a failed: a became NaN\. So did 5 more; the log names each\. The other 1 of 7 tasks are finished\.$"
    with pytest.raises(TrainingDiverged, match=told):
        claims(alone=True).run([*tasks, work.task("g")])
    assert "train f failed (f became NaN), the other tasks go on" in caplog.messages


def test_a_bug_leaves_its_traceback_in_the_log_and_a_known_error_does_not(claims, work, caplog):
    for error in (RuntimeError("a bug"), TrainingDiverged("NaN")):
        with pytest.raises(CommonError):
            claims(run=str(error)).run([work.task("a", fails=error)])
    bug, known = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert bug.exc_info and not known.exc_info


def test_alone_a_diverged_training_lets_the_others_finish(tmp_path, claims, work):
    tasks = [work.task("a", fails=TrainingDiverged("a became NaN.")), work.task("b")]
    with pytest.raises(
        TrainingDiverged, match=r"^train a failed: a became NaN\. The other 1 of 2 tasks are finished\.$"
    ):
        claims(alone=True).run(tasks)
    assert finished(tmp_path) == {"b"}


@pytest.mark.parametrize("error", [InputError("cannot be used"), RuntimeError("a bug"), KeyboardInterrupt("stop")])
def test_alone_any_other_error_ends_the_run_at_once(claims, work, error):
    with pytest.raises(type(error), match=f"^{error}$"):
        claims(alone=True).run([work.task("a", fails=error), work.task("b")])
    assert work.done == ["a"]


def test_what_failed_in_a_run_is_tried_again_in_the_next(tmp_path, claims, work):
    with pytest.raises(CommonError):
        claims().run([work.task("a", fails=RuntimeError("once"))])
    claims(run="second").run([work.task("a")])
    assert finished(tmp_path) == {"a"}


def begin_elsewhere(rank: Claims, name: str) -> subprocess.Popen:
    """A process that has begun a task as that rank and is in the middle of it."""
    place = rank.folder / "train" / name
    place.mkdir(parents=True)
    (place / f"begun_{rank.rank}").touch()
    process = subprocess.Popen([sys.executable, "-c", HOLD, place / "lock"], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline()
    return process


def test_the_task_of_a_killed_rank_is_gone_on_with(tmp_path, claims, work, caplog):
    process = begin_elsewhere(claims(0), "a")
    survivor = threading.Thread(target=claims(1).run, args=([work.task("a"), work.task("b")],))
    survivor.start()
    survivor.join(0.5)
    assert survivor.is_alive() and work.done == ["b"]  # it waits while the other one lives
    process.kill()
    survivor.join(10)
    assert not survivor.is_alive() and work.done == ["b", "a"] and finished(tmp_path) == {"a", "b"}
    assert "train a: rank 0 ended in the middle of it, rank 1 goes on" in caplog.messages
    process.wait()


def test_a_task_that_kills_is_not_given_to_every_rank(tmp_path, claims, work):
    for rank in (0, 1):
        place = claims().folder / "train" / "a"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"begun_{rank}").touch()
    with pytest.raises(CommonError, match=r"train a failed on rank 2: ranks 0 and 1 died of it.* The other 1 of 2"):
        claims(2).run([work.task("a"), work.task("b")])
    assert work.done == ["b"]


def test_an_interrupted_rank_lets_its_task_go(tmp_path, claims, work):
    with pytest.raises(KeyboardInterrupt):
        claims(0).run([work.task("a", fails=KeyboardInterrupt())])
    claims(1).run([work.task("a")])
    assert finished(tmp_path) == {"a"}


def test_a_lock_is_held_once(tmp_path):
    with locked(tmp_path / "lock") as mine:
        with locked(tmp_path / "lock") as another:
            assert mine and not another
        with locked(tmp_path / "lock") as third:
            assert not third  # a failed attempt frees nothing
    with locked(tmp_path / "lock") as later:
        assert later
