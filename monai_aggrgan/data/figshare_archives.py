"""Getting the Figshare brain tumour set: its archives downloaded, and unpacked into one folder, whole or not at all."""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from monai.apps.utils import download_url, extractall

from monai_aggrgan.data.figshare import (
    FIGSHARE_FOLDS_FILE,
    figshare_folds_file,
    figshare_mat_files,
    figshare_number,
    is_figshare,
)
from monai_aggrgan.data.image_files import folders_and_files
from monai_aggrgan.exceptions import InputError, said_by

__all__ = ["FIGSHARE_FOLDER", "download_figshare", "unpack_figshare"]

logger = logging.getLogger(__name__)

FIGSHARE_FOLDER = "figshare_1512427"
PAGE = "https://figshare.com/articles/dataset/brain_tumor_dataset/1512427"
RESOURCE = "https://ndownloader.figshare.com/files"
FILES = {
    "brainTumorDataPublic_1-766.zip": ("3381290", "74b949ad33f042e6e103523091cd1428"),
    "brainTumorDataPublic_767-1532.zip": ("3381296", "7e8a875500d2c8a346f270538e29890e"),
    "brainTumorDataPublic_1533-2298.zip": ("3381293", "8227bf6080cb71f15a88be8d25c79ae7"),
    "brainTumorDataPublic_2299-3064.zip": ("3381302", "b378a80d6174e5317d59eb28430c6652"),
    FIGSHARE_FOLDS_FILE: ("7005344", "5ea82eb3212c9fcb84290ccf0beb486d"),
}
"""File of article 1512427, version 8 -> its number at Figshare and the MD5 that Figshare publishes."""

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz")
NAMED = re.compile(r"(brainTumorDataPublic|brain_?tumor_?dataset|1512427)", re.IGNORECASE)
PART = re.compile(r"brainTumorDataPublic_(\d+)-(\d+)\b.*\.zip", re.IGNORECASE)
PARTIAL = ".partial-figshare-"
FORGOTTEN = 86400.0
"""Age in seconds at which what a killed process left behind is removed: no unpacking takes so long."""


def download_figshare(root: Path | str, *, progress: bool = True) -> None:
    """Download into a folder the archives of the slices that are not there yet, and `cvind.mat`; nothing for JPEG.

    The article's own "download all" archive is made anew for each download and has no checksum, so its files are
    fetched one by one, and taken only if their MD5 is the one that Figshare publishes. An archive that is there already
    is not fetched again. **Not verified:** this was written without a network. Numbers and sums stand alike in several
    public programs that read them from Figshare's API; that Figshare still answers programs at these addresses is not
    known (it has refused them at others since 2026). If not, the error says how to download by hand.

    Raises:
        InputError: when a file cannot be fetched, or is not the one that was published.
    """
    root = Path(root)
    present = _present(root)
    if present <= {FIGSHARE_FOLDS_FILE} and is_figshare(root):
        return  # the JPEG copy
    for name, (number, md5) in FILES.items():
        if not (root / name).exists() and not set(_files_of(PurePosixPath(name))) <= present:
            _download(f"{RESOURCE}/{number}", root / name, md5=md5, progress=progress)


def _download(url: str, path: Path, *, md5: str, progress: bool) -> None:
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        download_url(url, partial, hash_val=md5, hash_type="md5", progress=progress)
        partial.replace(path)
    except (OSError, RuntimeError, ValueError) as error:  # a ValueError where the sum is another
        raise InputError(
            f"{path.name} cannot be had from {url} ({said_by(error)}): download it from {PAGE} with a browser and put"
            f" it into {path.parent} as it is."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def unpack_figshare(root: Path | str) -> None:
    """Unpack the archives of the set that stand in a folder into `figshare_1512427` in it, as far as not done before.

    They are the four `brainTumorDataPublic_*.zip`, or the article's archive (`1512427.zip` or of any name) around them,
    also as `.tar` or `.tar.gz`. Slices that are in the folder, or in folders in it, are left as they are. Everything is
    unpacked beside, and moved file by file when it is whole: after a kill, the next call does what is missing.

    Raises:
        InputError: when an archive is damaged or cannot be unpacked, or has links or members that lead out of it; then
            nothing of it stays, and nothing was written elsewhere.
    """
    root = Path(root)
    _remove_forgotten(root)
    for archive in folders_and_files(root)[1]:
        wanted = _wanted(archive)
        if wanted and not wanted <= _present(root):
            logger.info("unpacking %s into %s", archive, root / FIGSHARE_FOLDER)
            with _unpacked(archive, root) as folder:
                _move(folder, root)


def _present(root: Path) -> set[str]:
    """Names of the files of the set that a folder has already."""
    folds = {FIGSHARE_FOLDS_FILE} if figshare_folds_file(root) else set()
    return {f"{number}.mat" for number in figshare_mat_files(root)} | folds


def _wanted(archive: Path) -> set[str]:
    """Names of the files of the set that an archive has, or that the archives in it have by their names."""
    name = archive.name.lower()
    named = NAMED.search(name) is not None
    if not name.endswith(ARCHIVE_SUFFIXES) or not (named or name.endswith(".zip")):
        return set()  # to list a tar is to read all of it
    try:
        members = _members(archive)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        if not named:
            return set()
        raise InputError(f"{archive} cannot be opened ({said_by(error)}): download it again, or remove it.") from error
    return {file for member in members for file in _files_of(PurePosixPath(member))}


def _members(archive: Path) -> list[str]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            if file.infolist() and min(member.header_offset for member in file.infolist()) > 0:
                raise zipfile.BadZipFile("its end is missing")  # zipfile took the end of an archive in it
            return file.namelist()
    with tarfile.open(archive) as tar:
        return tar.getnames()


def _files_of(member: PurePosixPath) -> Iterator[str]:
    if any(part.startswith(("._", "__MACOSX")) for part in member.parts):
        return
    if match := PART.fullmatch(member.name):
        yield from (f"{number}.mat" for number in range(int(match[1]), int(match[2]) + 1))
    elif _is_wanted(member.name):
        yield member.name.lower()


def _is_wanted(name: str) -> bool:
    return figshare_number(name) is not None or name.lower() == FIGSHARE_FOLDS_FILE


@contextmanager
def _unpacked(archive: Path, root: Path) -> Iterator[Path]:
    """A folder in `root` with what is in an archive, also in the archives in it; it is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=root))
    try:
        _extract(archive, folder / "outer")
        for path in [path for path in _walk(folder / "outer") if PART.fullmatch(path.name)]:
            _extract(path, folder / path.stem)
            path.unlink()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extract(archive: Path, folder: Path) -> None:
    try:
        folder.mkdir()
        _refuse_links(archive)
        extractall(archive, folder, has_base=False)
    except Exception as error:  # zipfile, tarfile and zlib raise many kinds; MONAI a ValueError for what leads out
        raise InputError(
            f"{archive.name} cannot be unpacked ({said_by(error)}): see to that, or download it again."
        ) from error


def _refuse_links(archive: Path) -> None:
    """Of a zip: MONAI looks for them in a tar alone."""
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise ValueError(f"Symbolic link detected in archive: {member.filename}")


def _walk(folder: Path) -> Iterator[Path]:
    folders, files = folders_and_files(folder)
    yield from files
    for inner in folders:
        yield from _walk(inner)


def _move(folder: Path, root: Path) -> None:
    """Move the files of the set that `root` does not have yet; each is there whole or not at all."""
    target, present = root / FIGSHARE_FOLDER, _present(root)
    target.mkdir(exist_ok=True)
    for path in _walk(folder):
        if _is_wanted(path.name) and path.name.lower() not in present:
            path.replace(target / path.name.lower())


def _remove_forgotten(root: Path) -> None:
    for path in root.glob(f"{PARTIAL}*"):
        with suppress(OSError):  # another process removes it too
            if time.time() - path.stat().st_mtime > FORGOTTEN:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
