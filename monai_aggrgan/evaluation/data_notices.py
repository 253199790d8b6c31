"""What about a data set needs attention before a training starts: a sentence each, with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from monai_aggrgan.data.splits import HELD_OUT, TRAINING
from monai_aggrgan.evaluation.data_rows import range_text
from monai_aggrgan.evaluation.duplicates import ACROSS, ACROSS_CLASSES, ACROSS_SPLIT, WITHIN, Duplicates
from monai_aggrgan.evaluation.near_duplicates import SMALLEST, NearDuplicate

__all__ = ["data_notices"]

FEW = 50  # training images of a class
IMBALANCE = 3  # times as many training images in the largest class as in the smallest
SCALES = 1.1  # ratio of fields of view that shows
NOTE = "Note: "  # before what is no defect


def data_notices(
    rows: Sequence[Mapping[str, str]],
    records: Sequence[Mapping[str, Any]],
    *,
    duplicates: Sequence[Duplicates],
    near_duplicates: Sequence[NearDuplicate],
    image_size: int,
) -> list[str]:
    """Sentences on what needs attention, gravest first; none where nothing does.

    Args:
        rows: of a prepared data set's manifest.
        records: its `data_rows`.
        duplicates: its `find_duplicates`.
        near_duplicates: its `find_near_duplicates`.
        image_size: side of the prepared images in pixels.
    """
    return [
        *_on_duplicates(duplicates),
        *_on_near_duplicates(near_duplicates),
        *_on_patients(rows),
        *_on_numbers(records),
        *_on_scale(rows, image_size),
        *_on_repetitions(duplicates),
        *_on_search(image_size),
    ]


def _on_duplicates(duplicates: Sequence[Duplicates]) -> Iterator[str]:
    torn, mislabelled = (
        sum(d.where in (where, ACROSS) for d in duplicates) for where in (ACROSS_SPLIT, ACROSS_CLASSES)
    )
    if torn:
        yield (
            f"{_count(torn, 'image is', 'images are')} on both sides of the split, pixel by pixel the same"
            " (duplicates.csv): remove all but one of each, or give all of them the same patient."
        )
    if mislabelled:
        yield (
            f"{_count(mislabelled, 'image is', 'images are')} in several classes, pixel by pixel the same"
            " (duplicates.csv): correct the labels, or remove all."
        )


def _on_near_duplicates(near_duplicates: Sequence[NearDuplicate]) -> Iterator[str]:
    if near_duplicates:
        yield (
            f"{_count(len(near_duplicates), 'held-out image shows', 'held-out images show')} nearly what a training"
            " image shows, as copies or slices of one patient do (near_duplicates.png, duplicates.csv): look at them,"
            " and remove one of each or give both the same patient."
        )


def _on_patients(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    unknown = f"Patients are unknown for {sum(not row['patient'] for row in rows)} of {len(rows)} images"
    if all(row["patient"] for row in rows):
        return
    if _split_by_fold(rows):
        yield f"{unknown}, and only the folds keep them apart: name them (patient_id) if you can."
    else:
        yield (
            f"{unknown}, so that slices of one patient may stand on both sides of the split and whatever is compared"
            " with held-out images looks too good: name the patients (patient_id) or the folds in a datalist."
        )


def _split_by_fold(rows: Sequence[Mapping[str, str]]) -> bool:
    training, held_out = ({row["fold"] for row in rows if row["section"] == side} for side in (TRAINING, HELD_OUT))
    return "" not in training | held_out and not training & held_out


def _on_numbers(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    counts = {record["class_name"]: record["images"] for record in records if record["section"] == TRAINING}
    if small := {name: count for name, count in counts.items() if count < FEW}:
        told = ", ".join(
            f"'{name}' {_count(count, 'training image', 'training images')}" for name, count in small.items()
        )
        yield (
            f"There are few images in some classes ({told}), which a generator learns by heart: add images, {FEW} a"
            " class at least and better hundreds."
        )
    largest, smallest = (choose(counts, key=lambda name: counts[name]) for choose in (max, min))
    if counts[largest] >= IMBALANCE * counts[smallest]:
        yield (
            f"Class '{largest}' has {counts[largest]} training images and '{smallest}' {counts[smallest]}: add images"
            " to the smaller, or do not compare figures between the two."
        )


def _on_scale(rows: Sequence[Mapping[str, str]], image_size: int) -> Iterator[str]:
    sizes = {(row["height"], row["width"]) for row in rows}
    unknown = sum(not row["spacing"] for row in rows)
    if unknown and len(sizes) > 1:
        yield (
            f"The slices come in {len(sizes)} sizes, were all resized to {image_size}x{image_size}, and the spacing of"
            f" {unknown} is unknown, so that anatomy may differ in scale: look at contact_sheet.png, and bring the"
            " originals to one scale where it does."
        )
    fields = [_field_of_view(row) for row in rows if row["spacing"]]
    if fields and max(fields) > SCALES * min(fields):
        yield (
            f"The slices are {range_text(min(fields), max(fields))} mm wide and were all resized to"
            f" {image_size}x{image_size}, so that anatomy differs in scale: crop or pad the originals to one width if"
            " the images are to have one scale."
        )


def _field_of_view(row: Mapping[str, str]) -> float:
    """The longer side in mm, to which the slice was padded."""
    of_rows, of_columns = (float(length) for length in row["spacing"].split("x"))
    return max(int(row["height"]) * of_rows, int(row["width"]) * of_columns)


def _on_repetitions(duplicates: Sequence[Duplicates]) -> Iterator[str]:
    if surplus := sum(len(group.ids) - 1 for group in duplicates if group.where == WITHIN):
        yield (
            f"{NOTE}{_count(surplus, 'image repeats', 'images repeat')} another of the same class and side, pixel by"
            " pixel (duplicates.csv): remove what is not meant to count twice."
        )


def _on_search(image_size: int) -> Iterator[str]:
    if image_size < SMALLEST:
        yield (
            f"{NOTE}images of {image_size} pixels show too little to look for near-duplicates: prepare them at"
            f" {SMALLEST} or more to have that done."
        )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
