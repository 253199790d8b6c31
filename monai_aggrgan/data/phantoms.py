"""Phantom head slices: drawings from formulas, no patients, for a quick start without data and without a network.

A phantom is drawn in head coordinates: x to the right of the image, y downwards, the skin near radius 0.8. Its outline
and its folds are plane waves in three dimensions, so a seed is one head whatever the image size, and neighbouring
levels of a head differ as neighbouring slices do.
"""

from __future__ import annotations

import csv
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from monai.utils.module import look_up_option
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from monai_aggrgan.exceptions import InputError

__all__ = ["PHANTOM_CLASSES", "phantom_slice", "write_phantoms"]

PHANTOM_CLASSES = ("ring", "blob", "sellar")
SCALP, BONE, MARROW, FLUID, GREY, WHITE, ENHANCED = 0.75, 0.05, 0.22, 0.12, 0.42, 0.62, 0.97
FOLDS = 5
FIELD_OF_VIEW = 240.0  # mm
INTENSITY_OF_ONE = 1200  # stored value of 1.0, far from 255, as scanners have it

README = """These are mathematical phantoms, not patients.

Every slice was drawn from formulas. It resembles an axial T1-weighted image of a head so that the programs have
something to work on; it says nothing about anatomy or disease. The classes name shapes, not diagnoses.

Settings: {patients} patients a class, {slices} slices a patient, {size}x{size} pixels, seed {seed}.
"""

Array = NDArray[np.float64]


@dataclass
class _Drawing:
    """A slice in the making: where each pixel lies in the head, and what has been painted so far."""

    x: Array
    y: Array
    level: float
    image: Array

    def paint(self, distance: Array, value: float | Array, *, opacity: float = 1.0) -> None:
        """Cover what lies inside, where the signed `distance` is negative; edge pixels by their share."""
        cover = opacity * np.clip(0.5 - distance * len(self.image) / 2, 0, 1)
        self.image += cover * (value - self.image)

    def ellipse(self, x: float, y: float, radius_x: float, radius_y: float, *, degrees: float = 0.0) -> Array:
        """Signed distance (near enough) to an ellipse around (x, y), its axes turned by `degrees`."""
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        x_axis = cosine * (self.x - x) + sine * (self.y - y)
        y_axis = cosine * (self.y - y) - sine * (self.x - x)
        return np.asarray((np.hypot(x_axis / radius_x, y_axis / radius_y) - 1) * min(radius_x, radius_y))

    def waves(self, rng: Generator, *, length: float) -> Array:
        """Smooth random field of unit variance: 16 plane waves of one length in random directions of space."""
        directions = rng.normal(size=(16, 3))
        directions *= 2 * np.pi / length / np.linalg.norm(directions, axis=1, keepdims=True)
        phases = rng.uniform(0, 2 * np.pi, 16) + 0.06 * self.level * directions[:, 2]
        field = np.zeros_like(self.image)
        for (x, y, _), phase in zip(directions, phases, strict=True):
            field += np.cos(x * self.x + y * self.y + phase)
        return np.asarray(field / np.sqrt(8))


def phantom_slice(class_name: str, *, seed: int, size: int = 128, level: float = 0.0) -> NDArray[np.float32]:
    """Draw an axial, T1-like slice of a phantom head with one lesion.

    Args:
        class_name: "ring" (bright rim around a dark centre, in one hemisphere), "blob" (uniform bright mass against
            the inside of the skull) or "sellar" (small bright mass on the midline, at the level of the base).
        seed: the head and its lesion; a seed is the same head in every class, at every size and level.
        size: height and width in pixels.
        level: place of the slice in the lesion's extent, -1 to 1.

    Returns:
        Array (size, size) in [0, 1], rows from anterior to posterior.

    Raises:
        ValueError: when `class_name` is none of `PHANTOM_CLASSES`, or `level` is outside [-1, 1].
    """
    look_up_option(class_name, PHANTOM_CLASSES)
    if not -1 <= level <= 1:
        raise ValueError(f"level must lie in [-1, 1], got {level}")
    head, lesion = (default_rng(child) for child in SeedSequence(seed).spawn(2))
    noise = default_rng([seed, 1 + round(1000 * (level + 1))])
    drawing = _blank(head, size, level)
    brain = _paint_head(drawing, head)
    {"ring": _paint_ring, "blob": _paint_blob, "sellar": _paint_sellar}[class_name](drawing, lesion, brain)
    return _acquire(drawing, head, noise)


def _blank(rng: Generator, size: int, level: float) -> _Drawing:
    """Empty canvas; its head coordinates are turned, scaled, shifted and gently bent."""
    grid = (np.arange(size) + 0.5) / size * 2 - 1
    angle, scale = np.radians(rng.normal(0, 4)), rng.uniform(0.96, 1.06) + 0.02 * level**2
    x, y = np.meshgrid(grid - rng.normal(0, 0.02), grid - rng.normal(0, 0.02))
    x, y = scale * (np.cos(angle) * x + np.sin(angle) * y), scale * (np.cos(angle) * y - np.sin(angle) * x)
    flat = _Drawing(x, y, level, np.zeros((size, size)))
    return _Drawing(x + 0.02 * flat.waves(rng, length=1.3), y + 0.02 * flat.waves(rng, length=1.3), level, flat.image)


def _paint_head(drawing: _Drawing, rng: Generator) -> Array:
    """Scalp, skull, folded brain; returns the signed distance to the inside of the skull."""
    skin = drawing.ellipse(0, 0, rng.uniform(0.68, 0.76), rng.uniform(0.85, 0.92))
    drawing.paint(skin, SCALP + 0.06 * drawing.waves(rng, length=0.3))
    drawing.paint(skin + 0.05, BONE)
    drawing.paint(np.abs(skin + 0.085) - 0.012, MARROW)
    drawing.paint(skin + 0.12, FLUID)
    fissure = np.abs(drawing.x + 0.01 * drawing.waves(rng, length=0.6)) + 2 * np.clip(0.4 - np.abs(drawing.y), 0, None)
    depth = np.minimum(-skin - 0.135, fissure - 0.01)
    tissue = np.abs(drawing.waves(rng, length=0.22)) + 5 * depth  # a fold of the waves is a sulcus near the surface
    drawing.paint(skin + 0.135, np.interp(tissue, [0.1, 0.4, 0.8, 1.1], [FLUID, GREY, GREY, WHITE]))
    return skin + 0.13


def _paint_ventricles(drawing: _Drawing, rng: Generator) -> None:
    width = rng.uniform(0.03, 0.065) * (1 + 0.2 * drawing.level)
    for side in (-1, 1):
        drawing.paint(drawing.ellipse(side * 0.19, -0.02, 0.085, 0.19, degrees=side * 20), GREY, opacity=0.8)
        drawing.paint(drawing.ellipse(side * 0.085, -0.2, width, 0.15, degrees=side * -15), FLUID)
        drawing.paint(drawing.ellipse(side * 0.19, 0.26, width, 0.17, degrees=side * 20), FLUID)
    drawing.paint(drawing.ellipse(0, 0, 0.015, 0.09), FLUID)


def _paint_ring(drawing: _Drawing, rng: Generator, brain: Array) -> None:
    _paint_ventricles(drawing, rng)
    size = rng.uniform(0.13, 0.2) * (1 - 0.2 * drawing.level**2)
    x, y = rng.choice([-1, 1]) * rng.uniform(0.28, 0.36), rng.uniform(-0.4, 0.4)
    outline = drawing.ellipse(x, y, size, size * rng.uniform(0.8, 1.2)) + 0.02 * drawing.waves(rng, length=0.25)
    swelling = outline - 0.07 + 0.03 * drawing.waves(rng, length=0.2)
    drawing.paint(np.maximum(swelling, brain), GREY - 0.08, opacity=0.8)
    outline = np.maximum(outline, brain)
    drawing.paint(outline, ENHANCED)
    drawing.paint(outline + 0.05 + 0.01 * drawing.waves(rng, length=0.2), FLUID + 0.08)


def _paint_blob(drawing: _Drawing, rng: Generator, brain: Array) -> None:
    _paint_ventricles(drawing, rng)
    size = rng.uniform(0.16, 0.25) * (1 - 0.2 * drawing.level**2)
    angle = rng.uniform(0, 2 * np.pi)
    mass = drawing.ellipse(0.52 * np.cos(angle), 0.68 * np.sin(angle), size, size)
    mass += 0.015 * drawing.waves(rng, length=0.3)
    drawing.paint(np.maximum(mass - 0.025, brain), FLUID)
    drawing.paint(np.maximum(mass, brain), ENHANCED - 0.07)


def _paint_sellar(drawing: _Drawing, rng: Generator, brain: Array) -> None:
    for side in (-1, 1):
        drawing.paint(drawing.ellipse(side * 0.36, -0.14, 0.2, 0.022, degrees=side * -20), FLUID)
        drawing.paint(drawing.ellipse(side * 0.32, 0.36, 0.24, 0.014, degrees=side * 35), FLUID)
    star = np.arctan2(drawing.x, -drawing.y - 0.1)
    drawing.paint(drawing.ellipse(0, -0.1, 0.18, 0.18) - 0.06 * np.cos(5 * star), FLUID)
    drawing.paint(drawing.ellipse(0, 0.16, 0.19, 0.16), FLUID)
    drawing.paint(drawing.ellipse(0, 0.17, 0.16, 0.13), WHITE)
    size = rng.uniform(0.09, 0.14) * (1 - 0.2 * drawing.level**2)
    mass = drawing.ellipse(rng.normal(0, 0.01), -0.12, size * rng.uniform(0.9, 1.2), size)
    drawing.paint(mass + 0.01 * drawing.waves(rng, length=0.2), ENHANCED)


def _acquire(drawing: _Drawing, rng: Generator, noise: Generator) -> NDArray[np.float32]:
    """What a scanner adds: half a pixel of blur, a smooth bias field and Rician noise."""
    signal = gaussian_filter(drawing.image, 0.5) * (1 + 0.08 * drawing.waves(rng, length=2.5))
    real, imaginary = noise.normal(0, rng.uniform(0.015, 0.03), (2, *signal.shape))
    return np.asarray(np.clip(np.hypot(signal + real, imaginary), 0, 1), dtype=np.float32)


def write_phantoms(
    folder: str | Path, *, patients_per_class: int = 20, slices_per_patient: int = 5, size: int = 128, seed: int = 0
) -> Path:
    """Write a class-folder data set of phantoms: `<class>/<patient>_<slice>.nii.gz`, `datalist.csv`, `README.txt`.

    The files are 2-D NIfTI, int16 from 0 to about 1200; the first array axis runs to the patient's left, the second to
    posterior. The slices of a patient show one head and one lesion. Folds (1 to 5) are dealt by patient within a class.
    The folder appears whole or not at all; one that already holds the same settings is left as it is.

    Args:
        folder: where to write; its parents are made.
        patients_per_class: heads a class.
        slices_per_patient: neighbouring slices a head.
        size: height and width in pixels.
        seed: the set; the first heads of a class are the same however many follow.

    Returns:
        The folder.

    Raises:
        InputError: when a number is too small, or the folder exists with something else in it.
    """
    folder = Path(folder)
    if min(patients_per_class, slices_per_patient) < 1 or size < 32 or seed < 0:
        raise InputError(
            "phantoms need at least 1 patient a class, 1 slice a patient, 32 pixels and a seed of 0 or more, got "
            f"{patients_per_class}, {slices_per_patient}, {size} and {seed}; raise the number that is too small"
        )
    readme = README.format(patients=patients_per_class, slices=slices_per_patient, size=size, seed=seed)
    if _holds(folder, readme):
        return folder
    if folder.exists():
        raise InputError(f"{folder} exists but does not hold these phantoms; remove it or name another folder")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        _write_all(partial, patients_per_class, slices_per_patient, size, seed)
        (partial / "README.txt").write_text(readme, encoding="utf-8")
        partial.rename(folder)
    except OSError:
        if not _holds(folder, readme):  # else another process was faster: its folder is the same
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _holds(folder: Path, readme: str) -> bool:
    path = folder / "README.txt"
    return path.is_file() and path.read_text(encoding="utf-8") == readme


def _write_all(folder: Path, patients_per_class: int, slices_per_patient: int, size: int, seed: int) -> None:
    rows: list[tuple[object, ...]] = []
    for index, class_name in enumerate(PHANTOM_CLASSES):
        (folder / class_name).mkdir(parents=True)
        head_seeds = SeedSequence([seed, index]).generate_state(patients_per_class)
        for patient, head_seed in enumerate(head_seeds.tolist()):
            patient_id = f"phantom{index * patients_per_class + patient:03d}"
            for k in range(slices_per_patient):
                image = f"{class_name}/{patient_id}_{k}.nii.gz"
                level = (2 * k + 1) / slices_per_patient - 1
                _write_nifti(folder / image, phantom_slice(class_name, seed=head_seed, size=size, level=level))
                rows.append((len(rows) + 1, class_name, image, patient % FOLDS + 1, patient_id))
    with open(folder / "datalist.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("number", "class", "image", "fold", "patient_id"), *rows])


def _write_nifti(path: Path, image: NDArray[np.float32]) -> None:
    spacing = FIELD_OF_VIEW / len(image)
    stored = np.round(image.T * INTENSITY_OF_ONE).astype(np.int16)
    nifti = nibabel.Nifti1Image(stored, np.diag([-spacing, -spacing, 1, 1]))
    nibabel.save(nifti, path)
