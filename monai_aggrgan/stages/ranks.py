"""The processes that run one study together: how they find each other, and keep a second run out of their folder."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import uuid4

import ignite.distributed as idist
import torch

from monai_aggrgan.exceptions import AggrganError, InputError, said_by
from monai_aggrgan.stages.alone import alone, environment
from monai_aggrgan.stages.claims import Claims, CommonError, locked
from monai_aggrgan.stages.task import read_json, write_json

__all__ = ["RUNNING", "StudyRefused", "cuda_index", "rank_and_size", "together"]

RUNNING = ".running"
"""Folder in the study's own, there while it runs: a lock and a note of each rank, and what `Claims` keeps."""

ARRIVAL = timedelta(minutes=5)
"""How long ranks wait for each other at the start."""

PATIENCE = 60.0
"""Seconds until every machine must see what another wrote to the folder that they share."""

PARTING = 10.0
"""Seconds that rank 0 waits at the end for the others to leave the folder, to tidy it up."""


class StudyRefused(CommonError, InputError):
    """A run that cannot begin: another is at work in its folder, or its ranks do not share that folder."""


def rank_and_size() -> tuple[int, int]:
    """This process's rank and how many there are: by the process group if there is one, else by what torchrun set."""
    if idist.get_world_size() > 1:
        return idist.get_rank(), idist.get_world_size()
    size = int(os.environ.get("WORLD_SIZE", 1))
    return (int(os.environ.get("RANK", 0)), size) if size > 1 else (0, 1)


def cuda_index() -> int | None:
    """Which of its machine's GPUs this rank uses, by turns where ranks are more than GPUs; None without torchrun."""
    rank, count = os.environ.get("LOCAL_RANK"), torch.cuda.device_count()
    return int(rank) % count if rank is not None and count else None


@contextmanager
def together(output_dir: Path) -> Iterator[Claims]:
    """Agree with the other ranks on one run in a study's folder; inside, each works on its own and shares by claims.

    The ranks meet in a process group only to begin: in the one that there is, of any backend, or in one of gloo that is
    closed again. So nobody waits in it for a rank that dies later. A process group that there was is out of sight
    inside: Ignite and MONAI take each process for the only one.

    Args:
        output_dir: the study's folder, the same for all ranks.

    Raises:
        StudyRefused: when another run has the folder, or a rank does not see it.
        AggrganError: when a rank does not come.
    """
    rank, size = rank_and_size()
    running = output_dir / RUNNING
    with ExitStack() as held:
        with _meeting(rank, size):
            token = _all(lambda: "" if rank else _open(running, held), output_dir)[0]
            _all(lambda: _join(running, token, rank, held) if rank else "", output_dir)
        if size > 1:
            held.enter_context(alone(f"rank {rank}"))
        yield Claims(running / token, root=output_dir, rank=rank, alone=size == 1)


@contextmanager
def _meeting(rank: int, size: int) -> Iterator[None]:
    """Inside, there is a process group of all ranks."""
    if idist.get_world_size() == size:
        yield
        return
    # else Ignite would choose a GPU that need not be there, and believe SLURM more than torchrun
    with environment(LOCAL_RANK=str(cuda_index() or 0), SLURM_JOB_ID=None):
        try:
            idist.initialize("gloo", timeout=ARRIVAL)
            yield
        except RuntimeError as error:
            raise AggrganError(
                f"Rank {rank} did not meet all {size} ranks within {ARRIVAL} ({said_by(error)}): see what they say."
            ) from error
        finally:
            idist.finalize()


def _all(do: Callable[[], str], output_dir: Path) -> list[str]:
    """What every rank gets by doing something; an error of one is raised by all."""
    result = sentence = ""
    try:
        result = do()
    except InputError as error:
        sentence = str(error)
    except (OSError, NotImplementedError) as error:
        sentence = f"--output_dir {output_dir} cannot be locked ({said_by(error)}): choose another folder."
    # as an object, for text would take a GPU
    told = cast("list[tuple[str, str]]", idist.all_gather((result, sentence)))
    if any(sentence for _, sentence in told):
        raise StudyRefused(" ".join(dict.fromkeys(sentence for _, sentence in told if sentence)))
    return [result for result, _ in told]


def _open(running: Path, held: ExitStack) -> str:
    """Take the folder for a new run, if no rank of another is at work; returns the run's token."""
    running.mkdir(parents=True, exist_ok=True)
    _hold(running, 0, held)
    for rank in _busy_besides(running, 0):
        raise InputError(_in_use(running, rank))
    for path in running.iterdir():  # left by a run that was killed
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "rank_0.lock":
            path.unlink()
    held.callback(_tidy, running)
    token = uuid4().hex
    _introduce(running, 0, token)
    return token


def _join(running: Path, token: str, rank: int, held: ExitStack) -> str:
    """Enter the folder that rank 0 has opened, if it is the same one and locks hold in it."""
    until = time.monotonic() + PATIENCE
    while (read_json(running / "rank_0.json") or {}).get("token") != token:
        if time.monotonic() > until:
            raise InputError(
                f"Rank {rank} on {platform.node()} does not see in {running.parent} what rank 0 wrote there:"
                " --output_dir must be a folder that all machines share."
            )
        time.sleep(0.1)
    with locked(running / "rank_0.lock") as free:
        if free:
            raise InputError(
                f"{running.parent} keeps no locks between rank 0 and rank {rank} on {platform.node()}: choose an"
                " --output_dir on a file system that does, or run the study on one machine."
            )
    _hold(running, rank, held)
    _introduce(running, rank, token)
    return ""


def _hold(running: Path, rank: int, held: ExitStack) -> None:
    if not held.enter_context(locked(running / f"rank_{rank}.lock")):
        raise InputError(_in_use(running, rank))


def _introduce(running: Path, rank: int, token: str) -> None:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    told = {"token": token, "process": os.getpid(), "machine": platform.node(), "since": since}
    write_json(running / f"rank_{rank}.json", told)


def _in_use(running: Path, rank: int) -> str:
    told = read_json(running / f"rank_{rank}.json")
    who = "process {process} on {machine}, since {since}".format_map(told) if told else f"rank {rank}, just begun"
    return f"{running.parent} is in use by another run ({who}): wait until it ends, or choose another --output_dir."


def _busy_besides(running: Path, rank: int) -> list[int]:
    """The other ranks at work in the folder."""
    others = {int(path.stem.partition("_")[2]) for path in running.glob("rank_*.lock")} - {rank}
    busy = []
    for other in sorted(others):
        with locked(running / f"rank_{other}.lock") as free:
            busy += [] if free else [other]
    return busy


def _tidy(running: Path) -> None:
    """Remove the folder when the others have left it; if one stays, the next run will."""
    until = time.monotonic() + PARTING
    while (others := _busy_besides(running, 0)) and time.monotonic() < until:
        time.sleep(0.05)
    if not others:
        shutil.rmtree(running, ignore_errors=True)
