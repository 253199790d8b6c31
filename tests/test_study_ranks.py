"""A study by several processes: the same results as by one, whatever becomes of one of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from monai_aggrgan.stages import read_record
from monai_aggrgan.stages.ranks import RUNNING, together

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "bundles" / "brain_mri_aggrgan"
SECONDS = 300
TORCHRUN = ["-m", "torch.distributed.run"]
TRAININGS = {(name, generator) for name in ("disc", "square") for generator in ("dcgan1", "dcgan2", "wgan_div")}

SCRIPT = """
import json, logging, os, signal, sys, time
import ignite.distributed as idist
from monai_aggrgan import Study
from monai_aggrgan.stages import task

def ranks_in_training(study):
    return {path.name for path in study.glob(".running/*/train/*/*/begun_*")}

def run(self, *, again=False):
    assert idist.get_world_size() == 1
    if self.name.startswith("train"):
        until = time.monotonic() + 60
        while len(ranks_in_training(self.folder.parents[2])) < 2 and time.monotonic() < until:
            time.sleep(0.05)  # else a quick rank may do all before a slow one looks
        if dying:
            print("dies in", self.name, flush=True)
            self.folder.mkdir(parents=True)
            os.kill(os.getpid(), signal.SIGKILL)
    return do(self, again=again)

if __name__ == "__main__":
    options, stages = json.loads(sys.argv[1]), sys.argv[2:]
    dying = os.environ["RANK"] == options.pop("dying_rank", None)
    do, task.Task.run = task.Task.run, run
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    Study(**options).run(*stages)
"""


@pytest.fixture
def script(tmp_path) -> Path:
    path = tmp_path / "study.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def options_of(study_of) -> Callable[..., str]:
    """The options of a quick study in a folder, as JSON."""

    def make(folder: Path, **options: object) -> str:
        settings = study_of(folder).settings
        return json.dumps({**settings.as_json(), **options})

    return make


def start(*command: object, **variables: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, *map(str, command)], env=environment, **pipes)


def ended(*processes: subprocess.Popen) -> list[tuple[int, str]]:
    """Exit status and output of each; none may hang."""
    try:
        outputs = [process.communicate(timeout=SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


def free_port() -> str:
    with socket.socket() as opened:
        opened.bind(("localhost", 0))
        return str(opened.getsockname()[1])


def by_ranks(output: str) -> set[str]:
    """Ranks that began a training."""
    return set(re.findall(r"^(?:.*\r)?rank (\d): train .*: started", output, re.MULTILINE))


def assert_same_generators(folder: Path, other: Path, *, trained: set[tuple[str, str]] = TRAININGS) -> None:
    for parts in trained:
        ours, theirs = (
            torch.load(path.joinpath("train", *parts, "generator.pt"), weights_only=True) for path in (folder, other)
        )
        assert all(torch.equal(ours[name], theirs[name]) for name in {*ours, *theirs})


def test_two_ranks_make_what_one_process_makes(finished, script, options_of, tmp_path):
    folder = tmp_path / "study"
    command = [*TORCHRUN, "--nproc_per_node", 2, "--master_port", free_port(), script, options_of(folder)]
    ((status, output),) = ended(start(*command))
    assert status == 0, output
    assert by_ranks(output) == {"0", "1"}
    assert_same_generators(folder, finished)
    for name in ("report/results.csv", "report/table1.csv", "synthetic/manifest.csv", "prepare/manifest.csv"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes()
    assert {path.name for path in folder.iterdir()} == {path.name for path in finished.iterdir()}


def test_two_nodes_share_a_study_by_its_folder(finished, script, options_of, tmp_path):
    folder, address = tmp_path / "study", ["--master_addr", "localhost", "--master_port", free_port()]
    nodes = [
        start(*TORCHRUN, "--nnodes", 2, "--node_rank", node, "--nproc_per_node", 1, *address, script, *arguments)
        for node, arguments in enumerate([[options_of(folder), "prepare", "train"]] * 2)
    ]
    results = ended(*nodes)
    assert [status for status, _ in results] == [0, 0], results
    assert [by_ranks(output) for _, output in results] == [{"0"}, {"1"}]
    assert_same_generators(folder, finished)


def test_the_survivor_of_two_ranks_finishes_alone(finished, script, options_of, tmp_path):
    folder, port = tmp_path / "study", free_port()
    ranks = [
        start(
            script, options_of(folder, dying_rank="1"), "prepare", "train",
            RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", MASTER_ADDR="localhost", MASTER_PORT=port,
        )
        for rank in "01"
    ]  # fmt: skip
    (survived, output), (died, last) = ended(*ranks)
    assert (survived, died) == (0, -9), output
    task = re.search(r"dies in (train .*)", last).group(1)
    assert f"rank 0: {task}: rank 1 ended in the middle of it, rank 0 goes on" in output
    assert_same_generators(folder, finished)
    assert not (folder / RUNNING).exists()


def test_under_torchrun_a_killed_rank_is_named_and_the_same_command_goes_on(study_of, script, options_of, tmp_path):
    folder = tmp_path / "study"
    command = [*TORCHRUN, "--nproc_per_node", 2, "--master_port", free_port(), script]
    ((status, output),) = ended(start(*command, options_of(folder, dying_rank="1"), "prepare", "train"))
    assert status != 0 and re.search(r"rank *: 1 .*exitcode *: -9 .*Signal 9 \(SIGKILL\)", output, re.DOTALL), output
    study_of(folder).run("prepare", "train")
    assert all(read_record(folder.joinpath("train", *parts))["finished"] for parts in TRAININGS)
    assert not (folder / RUNNING).exists()


def bundle(options: str, *stages: str) -> list[object]:
    """The command line of a study by two ranks."""
    given = {name: value for name, value in json.loads(options).items() if value is not None and name != "config_dir"}
    command = [*TORCHRUN, "--nproc_per_node", 2, "--master_port", free_port(), "-m", "monai.bundle", "run", *stages]
    command += ["--bundle_root", BUNDLE, "--config_file", BUNDLE / "configs" / "study.yaml"]
    return command + [text for name, value in given.items() for text in (f"--{name}", value)]


def test_a_failed_task_is_named_once_and_the_others_are_finished(copied, options_of):
    shutil.rmtree(copied / "train")
    (copied / "train" / "disc").mkdir(parents=True)
    (copied / "train" / "disc" / "dcgan2").touch()  # where a folder should be made
    ((status, output),) = ended(start(*bundle(options_of(copied), "train")))
    assert status != 0
    sentence = r"^train DCGAN-2 on disc failed on rank \d: FileExistsError: .*\. The other 5 of 6 tasks are finished\.$"
    assert len(re.findall(sentence, output, re.MULTILINE)) == 1, output
    others = TRAININGS - {("disc", "dcgan2")}
    assert all(read_record(copied.joinpath("train", *parts))["finished"] for parts in others)


def test_a_second_run_in_the_same_folder_ends_with_one_sentence(copied, options_of):
    with together(copied):
        ((status, output),) = ended(start(*bundle(options_of(copied))))
    assert status != 0
    assert len(re.findall(rf"is in use by another run \(process {os.getpid()} ", output)) == 1, output
    assert "Report:" not in output
