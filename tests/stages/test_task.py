from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_aggrgan.data.manifest import MANIFEST
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.task import RECORD, Task, digest_of, read_record


class Work:
    """Work that notes its calls and appends a line to a file of its folder, so that one sees what it found there."""

    def __init__(self, *, fails: type[BaseException] | None = None) -> None:
        self.calls, self.fails = 0, fails

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        with (folder / "lines.txt").open("a") as file:
            file.write("line\n")
        if self.fails:
            raise self.fails("in the middle")


class Clock:
    """Stands for the module `time`."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., Task]:
    """Makes a task on one folder, whose settings and work the test gives."""

    def make(work: Work, settings: dict[str, object] | None = None, **options: object) -> Task:
        return Task(name="paint", folder=tmp_path / "out", settings=settings or {"size": 1}, work=work, **options)

    return make


def lines(tmp_path: Path) -> int:
    return (tmp_path / "out" / "lines.txt").read_text().count("line")


def test_is_done_once_and_then_skipped(task, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    work = Work()
    assert task(work).run() is True
    record = read_record(tmp_path / "out")
    assert record["finished"] and record["settings"] == {"size": 1, "inputs": {}} and record["name"] == "paint"
    before = (tmp_path / "out" / RECORD).stat().st_mtime_ns
    assert task(work).run() is False
    assert work.calls == 1 and (tmp_path / "out" / RECORD).stat().st_mtime_ns == before
    assert "paint: finished before, skipped" in caplog.messages


def test_settings_that_json_changes_are_still_the_same(task):
    work = Work()
    settings = {"pair": (1, 2), "by_number": {1: "one"}, "none": None}
    assert task(work, settings).run() and not task(work, settings).run()


@pytest.mark.parametrize("settings", [{"size": 2}, {"size": 1, "more": 0}, {"other": 1}])
def test_changed_settings_start_again_from_an_empty_folder(task, tmp_path, caplog, settings):
    caplog.set_level(logging.INFO)
    work = Work()
    task(work).run()
    assert task(work, settings).run() is True
    assert work.calls == 2 and lines(tmp_path) == 1
    assert read_record(tmp_path / "out")["settings"] == {**settings, "inputs": {}}
    assert any(message.startswith("paint: done again") and "changed" in message for message in caplog.messages)


@pytest.mark.parametrize("kind", ["inputs", "upstream"])
def test_a_changed_input_starts_again(task, tmp_path, kind):
    folder, work = tmp_path / "class" / "before", Work()
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text("file\n")
    given = {kind: [folder / MANIFEST] if kind == "inputs" else [folder]}
    assert task(work, **given).run() and not task(work, **given).run()
    (folder / MANIFEST).write_text("file\n")  # newer, but the same bytes
    assert not task(work, **given).run()
    (folder / MANIFEST).write_text("file\nimage\n")
    assert task(work, **given).run() is True
    assert work.calls == 2 and lines(tmp_path) == 1


def test_two_folders_upstream_are_told_apart(task, tmp_path):
    folders = [tmp_path / "class_a" / "dcgan1", tmp_path / "class_b" / "dcgan1"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text("file\n")
    work = Work()
    task(work, upstream=folders).run()
    for folder in folders:
        (folder / MANIFEST).write_text("file\nimage\n")
        assert task(work, upstream=folders).run() is True


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_task_goes_on_in_its_folder(task, tmp_path, error):
    with pytest.raises(error, match="in the middle"):
        task(Work(fails=error)).run()
    assert read_record(tmp_path / "out")["finished"] is False
    assert task(Work()).run() is True
    assert lines(tmp_path) == 2 and read_record(tmp_path / "out")["finished"]


def test_a_killed_task_goes_on_too(task, tmp_path):
    class Killed(Exception):
        """Stands for SIGKILL: the record of the start is all there is."""

    def work(folder: Path) -> None:
        (folder / "lines.txt").write_text("line\n")
        (tmp_path / "kept.json").write_bytes((folder / RECORD).read_bytes())
        raise Killed

    with pytest.raises(Killed):
        task(work).run()
    (tmp_path / "out" / RECORD).write_bytes((tmp_path / "kept.json").read_bytes())
    assert task(Work()).run() is True
    assert lines(tmp_path) == 2


def test_an_interrupted_task_with_other_settings_starts_again(task, tmp_path):
    with pytest.raises(RuntimeError):
        task(Work(fails=RuntimeError)).run()
    assert task(Work(), {"size": 2}).run() is True
    assert lines(tmp_path) == 1


def test_precious_work_is_refused_by_a_sentence_that_names_the_setting(task, tmp_path):
    work = Work()
    task(work, {"size": 1, "rate": 0.1}, precious=True).run()
    with pytest.raises(InputError, match=r"paint with other settings \(rate 0\.1 before and 0\.2 now\)") as caught:
        task(work, {"size": 1, "rate": 0.2}, precious=True).run()
    assert "--output_dir" in str(caught.value) and str(tmp_path / "out") in str(caught.value)
    assert work.calls == 1 and lines(tmp_path) == 1


def test_precious_work_is_refused_when_an_input_has_changed(task, tmp_path):
    source, work = tmp_path / "source.csv", Work()
    source.write_text("a")
    task(work, precious=True, inputs=[source]).run()
    source.write_text("b")
    with pytest.raises(InputError, match=r"inputs .*source\.csv"):
        task(work, precious=True, inputs=[source]).run()


def test_precious_work_that_was_interrupted_is_refused_too(task, tmp_path):
    with pytest.raises(RuntimeError):
        task(Work(fails=RuntimeError), precious=True).run()
    with pytest.raises(InputError, match="size 1 before and 2 now"):
        task(Work(), {"size": 2}, precious=True).run()
    assert lines(tmp_path) == 1


def test_an_extendable_setting_goes_on_in_the_folder(task, tmp_path):
    work, options = Work(), {"extendable": ["epochs"], "precious": True}
    task(work, {"size": 1, "epochs": 10}, **options).run()
    assert task(work, {"size": 1, "epochs": 20}, **options).run() is True
    assert lines(tmp_path) == 2
    record = read_record(tmp_path / "out")
    assert record["finished"] and record["settings"]["epochs"] == 20
    with pytest.raises(InputError, match="size 1 before and 2 now"):
        task(work, {"size": 2, "epochs": 30}, **options).run()


def test_work_that_refuses_an_extension_leaves_the_record_as_it_was(task, tmp_path):
    task(Work(), {"epochs": 20}, extendable=["epochs"]).run()
    record = read_record(tmp_path / "out")
    with pytest.raises(InputError, match="in the middle"):
        task(Work(fails=InputError), {"epochs": 10}, extendable=["epochs"]).run()
    assert read_record(tmp_path / "out") == record
    assert task(Work(), {"epochs": 20}, extendable=["epochs"]).run() is False


def test_again_does_finished_work_again_even_if_precious(task, tmp_path):
    work = Work()
    task(work, precious=True).run()
    assert task(work, precious=True).run(again=True) is True
    assert task(work, {"size": 2}, precious=True).run(again=True) is True
    assert work.calls == 3 and lines(tmp_path) == 1


def test_seconds_add_up_over_interruptions_and_extensions(task, tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("monai_aggrgan.stages.task.time", clock)

    def seconds() -> float:
        return float(read_record(tmp_path / "out")["seconds"])

    def work(folder: Path) -> None:
        clock.now += 10

    def interrupted(folder: Path) -> None:
        clock.now += 1
        raise RuntimeError

    with pytest.raises(RuntimeError):
        task(interrupted, {"epochs": 1}, extendable=["epochs"]).run()
    assert seconds() == 1
    task(work, {"epochs": 1}, extendable=["epochs"]).run()
    assert seconds() == 11
    task(work, {"epochs": 2}, extendable=["epochs"]).run()
    assert seconds() == 21
    task(work, {"epochs": 2}).run(again=True)
    assert seconds() == 10


def test_a_missing_input_is_refused_before_anything_is_done(task, tmp_path):
    with pytest.raises(InputError, match=r"gone.csv is missing: run the stage that writes it first"):
        task(Work(), inputs=[tmp_path / "gone.csv"]).run()
    with pytest.raises(InputError, match=r"manifest.csv is missing"):
        task(Work(), upstream=[tmp_path / "gone"]).run()
    assert not (tmp_path / "out").exists()


def test_a_digest_is_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"abc")
    assert digest_of(tmp_path / "a") == digest_of(tmp_path / "b")
    assert digest_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180


def test_the_record_is_whole_json_and_absent_before(task, tmp_path):
    assert read_record(tmp_path / "out") is None
    task(Work()).run()
    assert json.loads((tmp_path / "out" / RECORD).read_text()) == read_record(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["lines.txt", RECORD]


def test_what_cannot_be_used_leaves_the_old_result_in_its_place(task, tmp_path):
    task(Work(), {"size": 1}).run()
    before = read_record(tmp_path / "out")
    with pytest.raises(InputError):
        task(Work(fails=InputError), {"size": 2}).run()
    assert read_record(tmp_path / "out") == before and lines(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert task(Work(), {"size": 1}).run() is False


def test_an_old_result_comes_back_after_an_interruption_too_and_goes_when_the_new_one_is_there(task, tmp_path):
    task(Work(), {"size": 1}).run()
    with pytest.raises(KeyboardInterrupt):
        task(Work(fails=KeyboardInterrupt), {"size": 2}).run()
    assert not read_record(tmp_path / "out")["finished"]
    assert not list(tmp_path.glob(f".out-aside/{RECORD}"))  # nobody takes it for a result
    with pytest.raises(InputError):
        task(Work(fails=InputError), {"size": 2}).run()
    assert read_record(tmp_path / "out")["settings"]["size"] == 1 and lines(tmp_path) == 1
    task(Work(), {"size": 3}).run()
    assert read_record(tmp_path / "out")["settings"]["size"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
