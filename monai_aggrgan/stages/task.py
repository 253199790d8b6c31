"""A piece of a study that is done once: its folder, what it depends on, and whether it is finished."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_aggrgan.data.manifest import MANIFEST, sha256_of, whole_file
from monai_aggrgan.exceptions import InputError, said_by

__all__ = ["RECORD", "Task", "difference", "digest_of", "is_finished", "read_json", "read_record", "write_json"]

logger = logging.getLogger(__name__)

RECORD = "stage.json"
SEPARATOR = ", "


@dataclass(frozen=True)
class Task:
    """Work that fills one folder.

    A finished task with the same settings and inputs is skipped; one that was interrupted goes on in its folder; one
    whose settings or inputs have changed is done again from an empty folder, or refused if that would undo hours. The
    old result stays aside until the new one is there, and comes back when what was given cannot be used.

    Args:
        name: what progress and messages call it.
        folder: which it fills; nothing else writes there.
        settings: what its result depends on, as plain JSON values.
        inputs: files it reads; their contents count as settings.
        upstream: folders it reads that hold a manifest; the manifests count as settings.
        work: fills the folder, given its path; may find what an interrupted run has left.
        extendable: settings that may change without undoing the work (the number of epochs).
        precious: refuse changed settings instead of starting again.
        unfinished: go on with it though it is finished.
        scratch: folders that make doing it again quick; they go, too, when it is asked for.
    """

    name: str
    folder: Path
    settings: Mapping[str, Any]
    work: Callable[[Path], None]
    inputs: Sequence[Path] = ()
    upstream: Sequence[Path] = ()
    extendable: Sequence[str] = ()
    precious: bool = False
    unfinished: bool = False
    scratch: Sequence[Path] = ()

    def run(self, *, again: bool = False) -> bool:
        """Do the work unless it is done; returns whether anything was done."""
        wanted = {**self.settings, "inputs": self._digests()}
        wanted = json.loads(json.dumps(wanted))
        record = read_record(self.folder)
        if record and record["settings"] == wanted and record["finished"] and not again and not self.unfinished:
            logger.info("%s: finished before, skipped", self.name)
            return False
        if record and (again or self._changed(record["settings"], wanted)):
            self._start_over(record, wanted, again=again)
            record = None
        try:
            self._do(wanted, record)
        except InputError:
            self._take_back()
            raise
        shutil.rmtree(self._aside, ignore_errors=True)
        return True

    def refuse_if_stale(self) -> None:
        """Refuse work that was done before what it read was made anew.

        Raises:
            InputError: when its record tells of other inputs than there are now.
        """
        record = read_record(self.folder)
        if record and record["finished"] and record["settings"]["inputs"] != self._digests():
            stage, others = self.name.partition(" ")[0], self.other_settings()
            raise InputError(
                f"{self.folder} is older than what it was made from: run the stage `{stage}` again, and those after it;"
                f" or give the options that it was made with, if they were others"
                f"{f' ({SEPARATOR.join(others.values())})' if others else ''}."
            )

    def other_settings(self) -> dict[str, str]:
        """Settings that its record has otherwise, and how; none where there is no record."""
        record = read_record(self.folder)
        old = record["settings"] if record else {}
        now = json.loads(json.dumps(dict(self.settings)))
        return {key: difference(key, old[key], now[key]) for key in old if key in now and old[key] != now[key]}

    def _digests(self) -> dict[str, str]:
        upstream = {f"{i} {folder.name}": digest_of(folder / MANIFEST) for i, folder in enumerate(self.upstream)}
        return upstream | {path.name: digest_of(path) for path in self.inputs}

    def _do(self, wanted: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
        spent = before["seconds"] if before else 0.0
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / RECORD, {"name": self.name, "settings": wanted, "finished": False, "seconds": spent})
        logger.info("%s: started", self.name)
        start = time.monotonic()
        try:
            self.work(self.folder)
        except BaseException as error:
            spent += time.monotonic() - start
            unfinished = {"name": self.name, "settings": wanted, "finished": False, "seconds": spent}
            write_json(self.folder / RECORD, before if before and isinstance(error, InputError) else unfinished)
            raise
        spent = round(spent + time.monotonic() - start, 2)
        write_json(self.folder / RECORD, {"name": self.name, "settings": wanted, "finished": True, "seconds": spent})
        logger.info("%s: done in %.0f s", self.name, spent)

    def _changed(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
        return [key for key in {**old, **new} if key not in self.extendable and old.get(key) != new.get(key)]

    def _start_over(self, record: Mapping[str, Any], new: Mapping[str, Any], *, again: bool) -> None:
        old = record["settings"]
        changed = sorted(self._changed(old, new))
        if self.precious and not again:
            was = ", ".join(difference(key, old.get(key), new.get(key)) for key in changed)
            raise InputError(
                f"{self.folder} holds {self.name} with other settings ({was}): give them as they were, choose another"
                " --output_dir, or delete that folder to train anew."
            )
        logger.info("%s: done again (%s)", self.name, ", ".join(changed) + " changed" if changed else "as asked")
        for folder in self.scratch if again else ():
            shutil.rmtree(folder, ignore_errors=True)
        if self._aside.exists() or not record["finished"]:  # the last whole result is what is kept
            shutil.rmtree(self.folder)
        else:
            (self.folder / RECORD).rename(self.folder / f"{RECORD}.aside")  # nobody takes it for a result
            self.folder.rename(self._aside)

    @property
    def _aside(self) -> Path:
        return self.folder.with_name(f".{self.folder.name}-aside")

    def _take_back(self) -> None:
        """Put the old result back in its place, if there is one."""
        if self._aside.exists():
            shutil.rmtree(self.folder)
            self._aside.rename(self.folder)
            (self.folder / f"{RECORD}.aside").rename(self.folder / RECORD)


def difference(key: str, old: object, new: object) -> str:
    """A setting's name with what it was and is, if that is short enough to be read."""
    if isinstance(new, dict):
        return f"{key} {', '.join(new)}"
    before, now = json.dumps(old), json.dumps(new)
    return key if max(len(before), len(now)) > 40 else f"{key} {before} before and {now} now"  # a digest says nothing


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes; an absent file is refused, since the stage before has not been run."""
    if not path.is_file():
        raise InputError(f"{path} is missing: run the stage that writes it first.")
    return sha256_of(path.read_bytes())


def read_record(folder: Path) -> dict[str, Any] | None:
    """What `stage.json` of a folder says, None when it has none."""
    record = read_json(folder / RECORD)
    if record is None:
        return None
    if not isinstance(record.get("settings"), dict):
        raise InputError(f"{folder / RECORD} is no record of a stage: bring it back, or delete {folder}.")
    return {"finished": False, "seconds": 0.0, **record}


def is_finished(folder: Path) -> bool:
    """Whether the task of a folder was done to its end."""
    record = read_record(folder)
    return record is not None and bool(record["finished"])


def read_json(path: Path) -> dict[str, Any] | None:
    """What a JSON file says, None when there is none."""
    if not path.is_file():
        return None
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(told, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError, RecursionError) as error:  # of JSON or of the encoding
        raise InputError(
            f"{path} is damaged ({said_by(error)}): bring it back, or delete {path.parent} to do its work anew."
        ) from error
    return told


def write_json(path: Path, told: Mapping[str, Any]) -> None:
    """Write a JSON file that is whole or absent."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(told, indent=1), encoding="utf-8")
