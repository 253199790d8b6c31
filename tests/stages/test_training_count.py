"""Which training it is, and how long all will take."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from monai_aggrgan.stages import training_count as module
from monai_aggrgan.stages.task import Task
from monai_aggrgan.stages.training_count import TrainingCount


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_trainings_are_numbered_and_the_time_is_that_of_all_that_are_left(tmp_path, clock):
    tasks = [Task(name=str(n), folder=tmp_path / str(n), settings={}, work=lambda folder: None) for n in range(42)]
    count = TrainingCount()
    for task in tasks:
        count.add(task)
    for task in tasks[:2]:  # of an earlier run: they tell nothing of the time
        task.run()
    assert count.words(tasks[2].folder) == "training 3 of 42"
    for task in tasks[2:7]:  # by any rank
        task.run()
    clock.now += 50
    assert count.words(tasks[7].folder) == "training 8 of 42, 05:50 left"
