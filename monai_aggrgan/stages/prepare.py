"""Stage `prepare`: real images of any size and kind, checked, scaled and split, as one array a class."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from monai_aggrgan.data.datalists import SliceItem, list_class_folders, read_csv_datalist, select_classes
from monai_aggrgan.data.manifest import sha256_of, write_image_array, write_manifest
from monai_aggrgan.data.splits import split_by_fold, split_by_patient
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import RECORD, Task
from monai_aggrgan.transforms.grey_slice import LoadGreySlice, resize_square

__all__ = ["tasks"]

logger = logging.getLogger(__name__)

UNKNOWN_PATIENTS = (
    "PATIENTS ARE UNKNOWN for {count} of {total} images: slices of one patient may stand on both sides of the split,"
    " and every comparison with held-out images is then too good. Give a --datalist with patient_id or fold."
)


def tasks(settings: StudySettings) -> Iterator[Task]:
    """One task: list, split, load."""
    items = _list(settings)
    files = sha256_of("\n".join(_fingerprint(item) for item in items).encode())
    yield Task(
        name="prepare",
        folder=settings.stage_dir("prepare"),
        settings={
            "files": files,
            "image_size": settings.image_size,
            "held_out_fraction": settings.held_out_fraction if settings.held_out_fold is None else None,
            "held_out_fold": settings.held_out_fold,
            "mixed_sizes": settings.mixed_sizes,
            "bad_files": settings.bad_files,
            "seed": settings.seed,
        },
        work=lambda folder: _prepare(folder, items, settings),
        precious=any(settings.stage_dir("train").glob(f"*/*/{RECORD}")),  # else the trained would meet another split
    )


def _list(settings: StudySettings) -> list[SliceItem]:
    if settings.datalist is not None:
        items = read_csv_datalist(settings.datalist, root=settings.dataset_dir)
    elif settings.dataset_dir is not None:
        items = list_class_folders(settings.dataset_dir)
    items = select_classes(items, list(settings.classes) if settings.classes else None)
    _refuse_unusable_names(items)
    return items


def _refuse_unusable_names(items: list[SliceItem]) -> None:
    for name in {item["class_name"] for item in items}:
        if not name or name in (".", "..") or set(name) & set('/\\:*?"<>|\0') or name[0] in "$@%":
            raise InputError(
                f"'{name}' cannot be the name of a class, for it names folders and stands in configs: rename it."
            )
    by_id: dict[str, str] = {}
    for item in items:
        name = f"{item['class_name']}/{_stem(item)}"
        if other := by_id.get(name):
            raise InputError(f"{other} and {item['image']} would both be image {name}: rename or remove one of them.")
        by_id[name] = item["image"]


def _fingerprint(item: SliceItem) -> str:
    status = Path(item["image"]).stat()
    return f"{item} {status.st_size} {status.st_mtime_ns}"


def _prepare(folder: Path, items: list[SliceItem], settings: StudySettings) -> None:
    sides = _split(items, settings)  # a class that is too small is refused before its files are read
    images, sizes, kept = _load(items, settings)
    _refuse_mixed_sizes(items, sizes, kept, settings)
    if len(kept) < len(items):
        items = [items[index] for index in kept]
        sides = _split(items, settings)
    rows = [
        {
            "id": _id(item),
            "class_name": item["class_name"],
            "section": side,
            "patient": _pseudonym(item["patient"]),
            "fold": item["fold"] or "",
            "height": height,
            "width": width,
            "source": Path(item["image"]).name,
            "sha256": sha256_of(image.numpy().tobytes()),
        }
        for item, side, image, (height, width) in zip(items, sides, images, sizes, strict=True)
    ]
    for name in dict.fromkeys(item["class_name"] for item in items):
        mine = [index for index, item in enumerate(items) if item["class_name"] == name]
        write_image_array(folder / name, torch.stack([images[i] for i in mine]), [rows[i] for i in mine])
    write_manifest(folder, rows)
    _say_what_is_unknown(items, settings)


def _stem(item: SliceItem) -> str:
    return Path(item["image"]).name.removesuffix(".gz").rpartition(".")[0]


def _id(item: SliceItem) -> str:
    """The image's name from here on; file names may hold patients' names, so only `source` keeps them, in `prepare`."""
    return f"{item['class_name']}/{sha256_of(_stem(item).encode())[:10]}"


def _pseudonym(patient: str | None) -> str:
    """A patient's name has no business in metadata; who has the list can still tell whom it stands for."""
    return "" if patient is None else "p-" + sha256_of(patient.encode())[:12]


def _split(items: list[SliceItem], settings: StudySettings) -> list[str]:
    if settings.held_out_fold is not None:
        return split_by_fold(items, held_out_fold=settings.held_out_fold)
    return split_by_patient(items, held_out_fraction=settings.held_out_fraction, seed=settings.seed)


def _load(items: list[SliceItem], settings: StudySettings) -> tuple[list[Tensor], list[tuple[int, int]], list[int]]:
    load = LoadGreySlice()

    def one(item: SliceItem) -> tuple[Tensor, tuple[int, int]] | InputError:
        try:
            image = load(item["image"])
        except InputError as error:
            return error
        return resize_square(image, size=settings.image_size), (image.shape[1], image.shape[2])

    images, sizes, kept = [], [], []
    with ThreadPoolExecutor() as threads:
        loaded = tqdm(threads.map(one, items), "prepare", len(items), unit="image")
        for index, result in enumerate(loaded):
            if isinstance(result, InputError):
                _refuse_or_skip(result, settings)
                continue
            images.append(result[0])
            sizes.append(result[1])
            kept.append(index)
    return images, sizes, kept


def _refuse_or_skip(error: InputError, settings: StudySettings) -> None:
    if settings.bad_files == "refuse":
        raise InputError(f"{error} (Or leave such files out with --bad_files skip.)") from error
    logger.warning("skipped: %s", error)


def _refuse_mixed_sizes(
    items: list[SliceItem], sizes: list[tuple[int, int]], kept: list[int], settings: StudySettings
) -> None:
    if settings.mixed_sizes == "resize" or not sizes:
        return
    for index, size in zip(kept, sizes, strict=True):
        if size != sizes[0]:
            first = f"{items[kept[0]]['image']} {sizes[0][0]}x{sizes[0][1]}"
            raise InputError(
                f"{items[index]['image']} is {size[0]}x{size[1]} and {first}: bring them to one size, or let all be"
                f" resized to {settings.image_size} with --mixed_sizes resize."
            )


def _say_what_is_unknown(items: list[SliceItem], settings: StudySettings) -> None:
    unknown = sum(item["patient"] is None for item in items)
    if unknown and settings.held_out_fold is None:
        logger.warning(UNKNOWN_PATIENTS.format(count=unknown, total=len(items)))
