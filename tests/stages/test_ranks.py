from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from monai_aggrgan.exceptions import AggrganError, InputError
from monai_aggrgan.stages import ranks as module
from monai_aggrgan.stages.claims import locked
from monai_aggrgan.stages.ranks import RUNNING, StudyRefused, cuda_index, rank_and_size, together

SCRIPT = """
import json, os, sys
from pathlib import Path
import ignite.distributed as idist
import torch.distributed as dist
from monai_aggrgan.exceptions import AggrganError, InputError
from monai_aggrgan.stages import ranks

def seen():
    return [idist.get_world_size(), idist.get_rank(), dist.is_initialized(), os.environ.get("RANK")]

def refused(folder):
    try:
        with ranks.together(folder):
            return "not refused"
    except InputError as error:
        return str(error)

rank, ports = os.environ["RANK"], iter(sys.argv[2:])
folder, told = Path(sys.argv[1]), {}

os.environ["MASTER_PORT"] = next(ports)
os.environ.update(SLURM_JOB_ID="7", SLURM_PROCID="5")  # of a batch job in which torchrun was started
with ranks.together(folder / "own") as claims:
    told["own inside"], told["token"], told["alone"] = seen(), claims.folder.name, claims.alone
told["own after"] = seen()
del os.environ["SLURM_JOB_ID"]

os.environ["MASTER_PORT"] = next(ports)
told["taken"] = refused(folder / "taken")

os.environ["MASTER_PORT"] = next(ports)
ranks.PATIENCE = 0.5
told["apart"] = refused(folder / f"apart_{rank}")

os.environ["MASTER_PORT"] = next(ports)
idist.initialize("gloo")
with ranks.together(folder / "given"):
    told["given inside"] = seen()
told["given after"] = seen() + idist.all_gather(int(rank))
idist.finalize()

told["folders"] = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))
(folder / f"told_{rank}.json").write_text(json.dumps(told))
"""


def free_ports(count: int) -> list[str]:
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("localhost", 0))
    ports = [str(opened.getsockname()[1]) for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> list[dict]:
    """What two ranks, started by hand, saw of each other; the study in the folder `taken` runs in this process."""
    folder = tmp_path_factory.mktemp("ranks")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "MASTER_ADDR": "localhost", "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, script, folder, *free_ports(4)]
    with together(folder / "taken"):
        processes = [
            subprocess.Popen(command, env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(2)
        ]
        assert [process.wait(120) for process in processes] == [0, 0]
    return [json.loads((folder / f"told_{rank}.json").read_text()) for rank in range(2)]


def test_two_ranks_meet_and_then_work_each_on_its_own(told):
    for rank, seen in enumerate(told):
        assert seen["own inside"] == [1, 0, False, None] and not seen["alone"]
        assert seen["own after"] == [1, 0, False, str(rank)]  # what was set up for the meeting is gone
    assert told[0]["token"] == told[1]["token"]


def test_a_process_group_that_there_is_stays(told):
    for rank, seen in enumerate(told):
        assert seen["given inside"] == [1, 0, False, None]
        assert seen["given after"] == [2, rank, True, str(rank), 0, 1]


def test_every_rank_of_a_second_run_is_refused(told):
    for seen in told:
        assert re.search(rf"taken is in use by another run \(process {os.getpid()} on .*, since ", seen["taken"])
    assert told[0]["taken"] == told[1]["taken"]


def test_ranks_that_do_not_share_the_folder_are_told_so(told):
    for seen in told:
        assert re.search(r"^Rank 1 on \S+ does not see in \S*apart_1 what rank 0 wrote there: ", seen["apart"])


def test_nothing_is_left_in_the_folders(told):
    assert told[1]["folders"] == ["taken/.running"]


def test_the_folder_of_a_run_is_there_inside_and_gone_afterwards(tmp_path):
    with pytest.raises(RuntimeError, match="a bug"), together(tmp_path / "study") as claims:
        assert claims.alone and claims.rank == 0 and claims.folder.parent == tmp_path / "study" / RUNNING
        raise RuntimeError("a bug")
    assert list((tmp_path / "study").iterdir()) == []


def test_a_second_run_is_refused_and_leaves_the_first_alone(tmp_path):
    with together(tmp_path) as first:
        (first.folder / "task").mkdir(parents=True)
        message = (
            rf"{re.escape(str(tmp_path))} is in use by another run \(process {os.getpid()} on .*, since \d{{4}}-.*\)"
        )
        with pytest.raises(InputError, match=message), together(tmp_path):
            pass
        assert (first.folder / "task").is_dir()
        with pytest.raises(StudyRefused), together(tmp_path):
            pass
    with together(tmp_path):  # the first is gone
        pass


def test_a_run_whose_first_rank_died_still_has_the_folder(tmp_path):
    (tmp_path / RUNNING).mkdir()
    (tmp_path / RUNNING / "rank_0.lock").touch()
    (tmp_path / RUNNING / "rank_2.json").write_text('{"process": 42, "machine": "here", "since": "noon"}')
    with locked(tmp_path / RUNNING / "rank_2.lock"):
        with pytest.raises(StudyRefused, match=r"process 42 on here, since noon"), together(tmp_path):
            pass
        (tmp_path / RUNNING / "rank_2.json").unlink()
        with pytest.raises(StudyRefused, match=r"rank 2, just begun"), together(tmp_path):
            pass


def test_what_a_killed_run_has_left_is_cleared_away(tmp_path):
    (tmp_path / RUNNING / "token" / "train").mkdir(parents=True)
    for name in ("rank_0.lock", "rank_1.lock", "rank_0.json", "rank_1.json"):
        (tmp_path / RUNNING / name).write_text("{}")
    with together(tmp_path) as claims:
        assert {path.name for path in (tmp_path / RUNNING).iterdir()} <= {"rank_0.lock", "rank_0.json"}
        assert not claims.folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_rank_0_leaves_last(tmp_path):
    def leave_later() -> None:
        with locked(tmp_path / RUNNING / "rank_1.lock"):
            entered.set()
            time.sleep(0.3)

    entered, other = threading.Event(), threading.Thread(target=leave_later)
    with together(tmp_path):
        other.start()
        entered.wait()
    assert not other.is_alive() and list(tmp_path.iterdir()) == []
    other.join()


def test_rank_0_does_not_wait_for_ever_to_tidy_up(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PARTING", 0.2)
    with together(tmp_path) as claims:
        claims.folder.mkdir()
        other = locked(tmp_path / RUNNING / "rank_1.lock")
        other.__enter__()
    assert claims.folder.is_dir()
    other.__exit__(None, None, None)


def test_a_rank_that_never_comes_ends_the_run_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ARRIVAL", timedelta(seconds=1))
    ranks = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    for name, value in (ranks | {"MASTER_PORT": free_ports(1)[0]}).items():
        monkeypatch.setenv(name, value)
    start = time.monotonic()
    with pytest.raises(AggrganError, match=r"Rank 0 did not meet all 2 ranks within 0:00:01 \("), together(tmp_path):
        pass
    assert time.monotonic() - start < 20 and not (tmp_path / RUNNING).exists()
    assert os.environ["WORLD_SIZE"] == "2"


def test_a_folder_without_locks_is_refused(tmp_path, monkeypatch):
    def no_locks(path: Path) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(module, "locked", no_locks)
    message = r"cannot be locked \(Function not implemented\): choose another folder"
    with pytest.raises(StudyRefused, match=message), together(tmp_path):
        pass


def test_rank_and_size_are_what_torchrun_set(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert rank_and_size() == (0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert rank_and_size() == (2, 4)


def test_gpus_are_used_by_turns(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert cuda_index() is None
    found = []
    for rank in range(5):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        found.append(cuda_index())
    assert found == [0, 1, 0, 1, 0]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert cuda_index() is None


@pytest.mark.parametrize(("rank", "device"), [(None, "cuda"), ("3", "cuda:1")])
def test_a_study_uses_the_gpu_of_its_rank(study_of, tmp_path, monkeypatch, rank, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "zeros", lambda *size, device: SimpleNamespace(device=device))
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert study_of(tmp_path, device="auto").settings.torch_device == torch.device(device)
