"""The synthetic images that classifiers are trained on: the study's own or a folder's, and proof that they may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from monai_aggrgan.data.image_folder import read_nifti
from monai_aggrgan.data.manifest import MANIFEST, file_in, read_manifest
from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.exceptions import InputError, said_by
from monai_aggrgan.stages.export import METHOD, TRAINED_ON
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.train import refuse_another_split

__all__ = ["read_synthetic", "synthetic_rows"]

Row = dict[str, str]
COLUMNS = {MANIFEST: ("file", "class_name", "reference"), TRAINED_ON: ("id", "sha256")}
UNKNOWN = "so it cannot be checked that no test patient is behind it"
REMEDY = "export it again from this study, with this version, or leave out --synthetic_dir"


def read_synthetic(settings: StudySettings, *, folder: Path | None = None) -> tuple[Tensor, list[Row]]:
    """Synthetic images that no test patient is behind, as far as ids, contents and patients tell.

    Args:
        settings: of the study, whose held-out images are the test.
        folder: a folder as `synthetic/` or `filtered/`; None for the study's own AGGrGAN (SSIM) images.

    Returns:
        Images (N, 1, H, W) float32 in [0, 1] of all classes and their manifest rows.

    Raises:
        InputError: when the images are absent or damaged, do not fit the study in classes or size, were made from
            test patients, or do not tell; or when the study has patients on both sides.
    """
    found = _found(settings, folder)
    return _images(found, settings.image_size, given=folder is not None), [row for _, row in found]


def synthetic_rows(settings: StudySettings, *, folder: Path | None = None) -> list[Row]:
    """Manifest rows of the same images, checked but for the images themselves.

    Raises:
        InputError: as `read_synthetic`.
    """
    return [row for _, row in _found(settings, folder)]


def _found(settings: StudySettings, folder: Path | None) -> list[tuple[Path, Row]]:
    """Folder and row of each image."""
    real = read_manifest(settings.stage_dir("prepare"))
    _refuse_torn_patients(real, settings.stage_dir("prepare"))
    if folder is None:
        refuse_another_split(settings)
        sources = [settings.stage_dir("stylise", name, METHOD) for name in settings.prepared_classes()]
        found = [(source, row) for source in sources for row in read_manifest(source)]
    else:
        found = [(folder, row) for row in _read_table(folder, MANIFEST)]
        _refuse_trained_on(folder, real)
    rows = [row for _, row in found]
    shown = settings.stage_dir("stylise") if folder is None else folder
    _refuse_other_classes(shown, rows, settings.prepared_classes())
    _refuse_references(shown, rows, real)
    return found


def _read_table(folder: Path, name: str) -> list[Row]:
    if not folder.is_dir():
        raise InputError(f"--synthetic_dir {folder} is no folder: name one such as a study's synthetic/ or filtered/.")
    if not (folder / name).is_file():
        reason = "so it is no synthetic set of a study" if name == MANIFEST else UNKNOWN
        raise InputError(f"--synthetic_dir {folder} has no {name}, {reason}: {REMEDY}.")
    rows = read_manifest(folder, name=name)
    if not rows or any(row.get(column) is None for row in rows for column in COLUMNS[name]):
        needed = ", ".join(COLUMNS[name])
        raise InputError(f"{folder / name} must have rows with {needed}, and some lack them: {REMEDY}.")
    return rows


def _refuse_torn_patients(real: Sequence[Row], folder: Path) -> None:
    training, held_out = ({row["patient"] for row in _side(real, side)} - {""} for side in (TRAINING, HELD_OUT))
    if torn := training & held_out:
        raise InputError(
            f"{folder} has training and held-out images of the same patients ({len(torn)} of them): prepare the study"
            " anew, with each patient on one side."
        )


def _refuse_trained_on(folder: Path, real: Sequence[Row]) -> None:
    """Refuse a set whose generators saw held-out images, or images that the study does not have.

    Contents decide where they are known, for another data set may have files of the same names.
    """
    training, held_out = ({row["id"]: row["sha256"] for row in _side(real, side)} for side in (TRAINING, HELD_OUT))
    trained_on = _read_table(folder, TRAINED_ON)
    seen_training, seen_test = set(training.values()), set(held_out.values())
    rest = [row for row in trained_on if not row["sha256"] or row["sha256"] not in seen_training]
    tested = [row for row in rest if row["id"] in held_out or row["sha256"] in seen_test]
    _refuse(f"{len(tested)} of the {len(trained_on)} images that {folder} was trained on are held-out", tested)
    unknown = [row for row in rest if row["sha256"] or row["id"] not in training]
    if unknown:
        raise InputError(
            f"{len(unknown)} of the {len(trained_on)} images that {folder} was trained on are not in this study,"
            f" {UNKNOWN}: {REMEDY}."
        )


def _refuse_references(folder: Path, rows: Sequence[Row], real: Sequence[Row]) -> None:
    sections = {row["id"]: row["section"] for row in real}
    named = [[name for name in (row["reference"], row.get("style_image")) if name] for row in rows]
    tested = [names for names in named if any(sections.get(name) == HELD_OUT for name in names)]
    _refuse(f"{len(tested)} of the {len(rows)} images in {folder} answer held-out", tested)
    unknown = [names for names in named if not names or any(name not in sections for name in names)]
    if unknown:
        raise InputError(
            f"{len(unknown)} of the {len(rows)} images in {folder} answer no real image of this study, {UNKNOWN}:"
            f" {REMEDY}."
        )


def _refuse(what: str, found: Sequence[object]) -> None:
    if found:
        raise InputError(
            f"{what} ones of this study: a synthetic set made from test patients cannot show whether it helps; make it"
            " from the training images alone, or leave out --synthetic_dir."
        )


def _refuse_other_classes(folder: Path, rows: Iterable[Row], classes: Sequence[str]) -> None:
    found = dict.fromkeys(row["class_name"] for row in rows)
    lacking, beyond = [name for name in classes if name not in found], [name for name in found if name not in classes]
    told = [f"{verb} {', '.join(names)}" for verb, names in {"lacks": lacking, "also has": beyond}.items() if names]
    if told:
        raise InputError(
            f"{folder} {' and '.join(told)}, and the study has the classes {', '.join(classes)}: give a set with just"
            " these, or name those to compare in --classes."
        )


def _images(found: Sequence[tuple[Path, Row]], size: int, *, given: bool) -> Tensor:
    images = []
    for folder, row in found:
        try:
            image = read_nifti(file_in(folder, row["file"]))
        except InputError as error:
            if not given:
                raise
            raise InputError(
                f"{folder / row['file']} is absent or damaged ({_cause(error)}): bring the file back, or {REMEDY}."
            ) from error
        if image.shape != (1, size, size):
            shown = "x".join(map(str, image.shape[1:]))
            raise InputError(
                f"{folder / row['file']} is {shown} and the study's images are {size}x{size}: give a set of this size,"
                " or prepare a study of that."
            )
        if not (image.min() >= 0 and image.max() <= 1):
            raise InputError(f"{folder / row['file']} has intensities outside [0, 1]: {REMEDY}.")
        images.append(image)
    return torch.stack(images)


def _cause(error: InputError) -> str:
    """What the library said, without our advice about the study's own images."""
    return said_by(error.__cause__ if isinstance(error.__cause__, Exception) else error)


def _side(rows: Sequence[Mapping[str, str]], side: str) -> list[Mapping[str, str]]:
    return [row for row in rows if row["section"] == side]
