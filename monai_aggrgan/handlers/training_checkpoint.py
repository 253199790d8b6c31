"""The whole state of a training on disk, from which a killed run goes on as if nothing had happened."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from ignite.engine import Events
from ignite.handlers import Checkpoint
from torch.nn.parallel import DistributedDataParallel

from monai_aggrgan.data.manifest import whole_file
from monai_aggrgan.exceptions import InputError, StorageFailed, said_by
from monai_aggrgan.handlers.sample_grid import epochs_due

__all__ = ["TrainingCheckpoint", "checkpoint_epoch", "latest_checkpoint"]

logger = logging.getLogger(__name__)

PATTERN = "checkpoint_*.pt"
LOCK = ".lock"


class TrainingCheckpoint:
    """Saves `checkpoint_<epoch>.pt` at the start and at the ends of epochs; a run in the same folder goes on from it.

    A file is there whole or not at all, and the one before it is kept until it is: a kill at any moment, or a full
    disk, costs the epochs since, never the training. A newest checkpoint that cannot be read is passed over for the one
    before. While a run lasts it holds the folder, so that no second one writes there. Of several ranks, the first
    writes and all read.

    Differs from `ignite.handlers.Checkpoint` with `DiskSaver` and MONAI's `CheckpointLoader` in that: both sides are
    one handler that knows what to do about damage, full disks and other runs, and takes back an ailing training.

    Args:
        folder: where to; made when absent.
        interval: epochs from one checkpoint to the next; the last epoch is always saved.
        keep: how many checkpoints stay.
        parts: what to save beside `trainer.parts()`, by name, such as learning rate schedules.

    Raises:
        InputError: at the start, when another run works in the folder, or no checkpoint in it can be loaded.
        StorageFailed: when a checkpoint cannot be written.
    """

    def __init__(
        self, folder: Path | str, *, interval: int = 10, keep: int = 2, parts: Mapping[str, Any] | None = None
    ) -> None:
        if interval < 1 or keep < 1:
            raise ValueError(f"interval and keep must be at least 1, got {interval} and {keep}")
        self.folder, self.interval, self.keep = Path(folder), interval, keep
        self.parts: dict[str, Any] = dict(parts or {})

    def attach(self, engine: Any) -> None:
        """Attach to a `LatentGanTrainer`, before handlers that should see the epoch it goes on from."""
        self.trainer = engine
        self.parts = {**engine.parts(), **self.parts}
        engine.roll_back = self.restore
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(epochs_due(self.interval), self.save)

    def _start(self) -> None:
        if self.trainer.state.rank == 0:
            self._take_folder()
            if latest_checkpoint(self.folder) is None:
                self.save()  # better to learn now than in an hour that this folder takes no checkpoint
        self._wait_for_the_first()
        self.restore()

    def _take_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / LOCK)
            self.trainer.during_run.enter_context(lock.acquire(blocking=False))
        except Timeout:
            raise InputError(
                f"Another run is training in {self.folder}: wait until it has ended, or choose another folder."
            ) from None
        except OSError as error:
            raise self._failed(error) from error
        for partial in self.folder.glob(f".partial-*{Path(PATTERN).suffix}"):  # of a run that was killed
            partial.unlink(missing_ok=True)

    def _wait_for_the_first(self) -> None:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()

    def save(self) -> None:
        """Write the state after the current epoch, then remove the checkpoints that are too old."""
        if self.trainer.state.rank != 0:
            return
        state = {name: _inner(part).state_dict() for name, part in self.parts.items()}
        path = self.folder / PATTERN.replace("*", str(self.trainer.state.epoch))
        try:
            with whole_file(path) as partial, partial.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError where the disk is full
            raise self._failed(error) from error
        for old in _checkpoints(self.folder)[: -self.keep]:
            old.unlink(missing_ok=True)

    def restore(self) -> None:
        """Load the newest checkpoint that can be read.

        Raises:
            InputError: when none can.
        """
        reasons = []
        for path in reversed(_checkpoints(self.folder)):
            try:
                state = torch.load(path, map_location=self.trainer.state.device, weights_only=True)
            except Exception as error:  # whatever the bytes provoke
                reasons.append(f"{path.name}: {said_by(error)}")
                logger.warning("%s cannot be read (%s), the one before it is taken", path, said_by(error))
                continue
            self._load(state, path)
            return
        raise InputError(
            f"No checkpoint in {self.folder} can be read ({'; '.join(reasons) or 'there is none'}): delete that folder"
            " to train anew."
        )

    def _load(self, state: Mapping[str, Any], path: Path) -> None:
        try:
            Checkpoint.load_objects(to_load={name: _inner(part) for name, part in self.parts.items()}, checkpoint=state)
        except Exception as error:  # of torch, ignite and our parts, by what they find where they look
            raise InputError(
                f"{path} is of another training ({said_by(error)}): give the settings it was trained with, or choose"
                " another folder."
            ) from error
        if (epoch := self.trainer.state.epoch) > self.trainer.state.max_epochs:
            raise InputError(
                f"{self.folder} is trained for {epoch} epochs already, more than the"
                f" {self.trainer.state.max_epochs} asked for."
            )

    def _failed(self, error: Exception) -> StorageFailed:
        last = latest_checkpoint(self.folder)
        kept = f"{last.name} is kept, and the same command goes on from it" if last else "nothing was saved"
        return StorageFailed(
            f"{self.trainer.name} was stopped at epoch {self.trainer.state.epoch}, because {self.folder} cannot be"
            f" written ({said_by(error)}): make room, or see to the folder; {kept}."
        )


def latest_checkpoint(folder: Path | str) -> Path | None:
    """The checkpoint of the highest epoch in a folder, by the number that ends its name; None when there is none."""
    return next(reversed(_checkpoints(Path(folder))), None)


def _checkpoints(folder: Path) -> list[Path]:
    """By their epochs; what else is called nearly so is somebody else's."""
    found = [path for path in folder.glob(PATTERN) if path.stem.rpartition("_")[2].isdecimal()]
    return sorted(found, key=checkpoint_epoch)


def checkpoint_epoch(checkpoint: Path | None) -> int:
    """The epoch after which a checkpoint was saved, from the number that ends its name; 0 for None."""
    return 0 if checkpoint is None else int(checkpoint.stem.rpartition("_")[2])


def _inner(part: Any) -> Any:
    return part.module if isinstance(part, DistributedDataParallel) else part
