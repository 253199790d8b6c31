"""A data set in a few lines: images, patients, sizes, spacing and intensities of each class and side of the split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product, zip_longest
from statistics import median
from textwrap import wrap
from typing import Any

from monai_aggrgan.data.splits import HELD_OUT, TRAINING

__all__ = ["WIDTH", "data_rows", "number_text", "range_text", "table_text"]

WIDTH = 110  # characters of a line
SIZES = 3  # sizes that are told, most frequent first
GAP = "  "
KEPT = "\N{NO-BREAK SPACE}"  # between a size and its number, so that they stay on one line
COLUMNS = {  # heading -> widest, in characters; together with the gaps they fill a line
    "class": 16,
    "side": 8,
    "images": 7,
    "patients": 8,
    "size": 18,
    "spacing, mm": 11,
    "intensities": 14,
    "median": 14,
}
NUMBERS = ("images", "patients")


def data_rows(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """One row for each class and side of the split, the classes in the manifest's order, training first.

    Args:
        rows: of a prepared data set's manifest.

    Returns:
        Dicts of `class_name`, `section`, `images`, `patients` (None where any is unknown), `sizes` of the original
        slices (such as `512x512 (700), 256x256 (8)`, the three most frequent; a single size without its number),
        `spacing` (smallest and largest distance of pixels in mm, as text), and the intensities that became 0 and 1:
        lowest `low`, highest `high`, `median_low`, `median_high`, None where there is no image.
    """
    classes = dict.fromkeys(row["class_name"] for row in rows)
    groups: dict[tuple[str, str], list[Mapping[str, str]]] = {key: [] for key in product(classes, (TRAINING, HELD_OUT))}
    for row in rows:
        groups[row["class_name"], row["section"]].append(row)
    return [_row(*key, group) for key, group in groups.items()]


def _row(class_name: str, section: str, group: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    patients = {row["patient"] for row in group}
    lows, highs = ([float(row[column]) for row in group] for column in ("low", "high"))
    return {
        "class_name": class_name,
        "section": section,
        "images": len(group),
        "patients": None if "" in patients else len(patients),
        "sizes": _sizes(group),
        "spacing": _spacing(group),
        "low": min(lows, default=None),
        "high": max(highs, default=None),
        "median_low": median(lows) if lows else None,
        "median_high": median(highs) if highs else None,
    }


def _sizes(group: Sequence[Mapping[str, str]]) -> str:
    counts = Counter(f"{row['height']}x{row['width']}" for row in group).most_common()
    if len(counts) == 1:
        return counts[0][0]
    told = [f"{size} ({count})" for size, count in counts[:SIZES]]
    more = f" and {len(counts) - SIZES} more" if len(counts) > SIZES else ""
    return ", ".join(told) + more


def _spacing(group: Sequence[Mapping[str, str]]) -> str:
    known = [float(length) for row in group if row["spacing"] for length in row["spacing"].split("x")]
    unknown = sum(not row["spacing"] for row in group)
    if not known:
        return "unknown" if group else ""
    return range_text(min(known), max(known)) + (f" ({unknown} unknown)" if unknown else "")


def range_text(low: float, high: float) -> str:
    """Such as `0.43 .. 0.94`; one number where both read the same."""
    ends = dict.fromkeys((number_text(low), number_text(high)))
    return " .. ".join(ends)


def number_text(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table_text(records: Sequence[Mapping[str, Any]]) -> str:
    """The rows of `data_rows` as a table of at most 110 columns, each class named once."""
    lines = [[[heading] for heading in COLUMNS]]
    for previous, record in zip([None, *records], records, strict=False):
        known = previous is not None and previous["class_name"] == record["class_name"]
        texts = ["" if known else record["class_name"], *_cells(record)]
        cells = [wrap(text, widest) for text, widest in zip(texts, COLUMNS.values(), strict=True)]
        lines.append([[part.replace(KEPT, " ") for part in cell] for cell in cells])
    widths = [max((len(part) for part in column for part in part), default=0) for column in zip(*lines, strict=True)]
    printed = [_line(cells, widths) for row in lines for cells in zip_longest(*row, fillvalue="")]
    return "\n".join([printed[0], "-" * (sum(widths) + len(GAP) * (len(widths) - 1)), *printed[1:]])


def _cells(record: Mapping[str, Any]) -> list[str]:
    ranges = [("low", "high"), ("median_low", "median_high")] if record["images"] else []
    intensities = [range_text(record[low], record[high]) for low, high in ranges] or ["", ""]
    patients = "unknown" if record["patients"] is None else str(record["patients"])
    side = record["section"].replace("_", " ")
    sizes = record["sizes"].replace(" (", f"{KEPT}(")
    return [side, str(record["images"]), patients, sizes, record["spacing"], *intensities]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    placed = [
        cell.rjust(width) if heading in NUMBERS else cell.ljust(width)
        for heading, cell, width in zip(COLUMNS, cells, widths, strict=True)
    ]
    return GAP.join(placed).rstrip()
