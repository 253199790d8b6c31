"""The Figshare brain tumour set as a MONAI data set with its official folds, in the manner of `MedNISTDataset`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import CacheDataset, PILReader
from monai.transforms import LoadImaged, Randomizable

from monai_aggrgan.data.cases import Case
from monai_aggrgan.data.figshare import FIGSHARE_COUNTS, FIGSHARE_FOLDS_FILE, is_figshare, list_figshare
from monai_aggrgan.data.figshare_archives import download_figshare, unpack_figshare
from monai_aggrgan.data.figshare_check import check_figshare
from monai_aggrgan.data.image_files import PICTURE_FORMATS
from monai_aggrgan.data.mat_reader import MatReader
from monai_aggrgan.exceptions import InputError

__all__ = ["FigshareBrainTumorDataset"]

SECTIONS = ("training", "validation", "test")
FOLDS = range(1, 6)
UNCOLLATABLE = "^(border|mask)$"
"""Metadata that differ in size from slice to slice."""


class FigshareBrainTumorDataset(Randomizable, CacheDataset):
    """3064 T1 slices of 233 patients with a meningioma, a glioma or a pituitary tumour (Cheng 2015), CC BY 4.0.

    It takes the original `.mat` files with `cvind.mat`, which divides them into five folds by their patient numbers, or
    their copy as JPEG, in any layout that `list_figshare` knows. An item is a dict of `image` (path), `label` (0
    meningioma, 1 glioma, 2 pituitary), `class_name`, `patient` (text, empty where it is not known) and `fold` (1 to 5).
    Most slices are 512x512 and a few 256x256: a transform that resizes them comes before a batch.

    Args:
        root_dir: folder of the files, or of the archives that hold them: `brainTumorDataPublic_*.zip`, the archive
            around them that Figshare calls `1512427.zip`, and `cvind.mat`. Archives are unpacked into
            `figshare_1512427` beside them, also with `download=False`, if their slices are not there yet.
        section: `training`, `validation` or `test`.
        transform: what is done to an item; by default the image is loaded as a float32 tensor (rows, columns) with the
            metadata of its reader, except border and mask, which batches cannot hold.
        download: whether to download what is not there, about 880 MB, with checksums; see `download_figshare` for what
            is known of the addresses. Without it, the network is not touched.
        test_fold: fold, 1 to 5, that is the section `test`.
        val_fold: another one, the section `validation`; the other three are `training`.
        seed: of the order of the items, which are shuffled once.
        check: whether to refuse a set that does not have all 3064 slices, in their numbers a class, each in a file that
            can be opened.
        cache_num: as of `monai.data.CacheDataset`, like all that follow.
        cache_rate: share of the items that are cached, 1 for all.
        num_workers: threads that fill the cache; None for as many as there are processors.
        progress: whether to show bars, also while files are downloaded, listed and checked.
        copy_cache: whether a cached item is copied before it is transformed at random.
        as_contiguous: whether to make cached arrays contiguous.
        runtime_cache: whether to fill the cache as items are used.

    Raises:
        InputError: when an argument is none of those allowed, files are absent, damaged or too few, or their folds are
            not known. It is a `ValueError`.

    Source: https://doi.org/10.6084/m9.figshare.1512427
    """

    def __init__(
        self,
        root_dir: PathLike,
        section: str,
        transform: Sequence[Callable[..., Any]] | Callable[..., Any] = (),
        download: bool = False,
        test_fold: int = 1,
        val_fold: int = 2,
        seed: int = 0,
        check: bool = True,
        cache_num: int = sys.maxsize,
        cache_rate: float = 1.0,
        num_workers: int | None = 1,
        progress: bool = True,
        copy_cache: bool = True,
        as_contiguous: bool = True,
        runtime_cache: bool = False,
    ) -> None:
        folds = _folds_of(section, test_fold=test_fold, val_fold=val_fold)
        cases = _list(Path(root_dir), download=download, check=check, progress=progress)
        self.section = section
        self.set_random_state(seed=seed)
        order = np.arange(len(cases))
        self.randomize(order)
        CacheDataset.__init__(
            self,
            data=[item for index in order if (item := _item(cases[index]))["fold"] in folds],
            transform=_loading(cases) if transform == () else transform,
            cache_num=cache_num,
            cache_rate=cache_rate,
            num_workers=num_workers,
            progress=progress,
            copy_cache=copy_cache,
            as_contiguous=as_contiguous,
            runtime_cache=runtime_cache,
        )

    def randomize(self, data: np.ndarray) -> None:
        """Shuffle an array in place."""
        self.R.shuffle(data)

    def get_num_classes(self) -> int:
        """Number of classes."""
        return len(FIGSHARE_COUNTS)


def _folds_of(section: str, *, test_fold: int, val_fold: int) -> set[int]:
    if section not in SECTIONS:
        raise InputError(f"section must be one of {', '.join(SECTIONS)}, got '{section}'.")
    for name, fold in {"test_fold": test_fold, "val_fold": val_fold}.items():
        if fold not in FOLDS:
            raise InputError(f"{name} must be a whole number from 1 to 5, got {fold!r}.")
    if test_fold == val_fold:
        raise InputError(f"test_fold and val_fold must be two different folds, got {test_fold} for both.")
    return {"training": set(FOLDS) - {test_fold, val_fold}, "validation": {val_fold}, "test": {test_fold}}[section]


def _list(root: Path, *, download: bool, check: bool, progress: bool) -> list[Case]:
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: root_dir must name one, into which the set was or will be put.")
    unpack_figshare(root)
    if download:
        download_figshare(root, progress=progress)
        unpack_figshare(root)
    if not is_figshare(root):
        raise InputError(
            f"{root} has no slice of the Figshare set in it: give download=True, or put its files or archives there."
        )
    cases = list_figshare(root, progress=progress)
    if check:
        check_figshare(cases, root, progress=progress)
    if any(case["fold"] is None for case in cases):
        raise InputError(
            f"{root} has no {FIGSHARE_FOLDS_FILE} with the official folds, or no fold in its list for some slices: add"
            " it, or give download=True."
        )
    return cases


def _item(case: Case) -> dict[str, Any]:
    """What the default collation of a data loader can take: None it cannot."""
    ((class_name, (image,)),) = case["images"].items()
    return {
        "image": image,
        "label": list(FIGSHARE_COUNTS).index(class_name),
        "class_name": class_name,
        "patient": case["patient"] or "",
        "fold": int(case["fold"] or 0),
    }


def _loading(cases: Sequence[Case]) -> LoadImaged:
    """MONAI's loader with the reader of these files; both readers give rows first."""
    if all(image.lower().endswith(".mat") for case in cases for (image,) in case["images"].values()):
        return LoadImaged("image", reader=MatReader, prune_meta_pattern=UNCOLLATABLE)
    return LoadImaged(
        "image",
        reader=PILReader,
        reverse_indexing=False,
        formats=PICTURE_FORMATS,
        prune_meta_pattern=UNCOLLATABLE,
    )
