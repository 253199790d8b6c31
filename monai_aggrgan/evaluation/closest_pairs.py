"""Which synthetic images are most like a training image."""

from __future__ import annotations

from collections.abc import Sequence

from monai_aggrgan.exceptions import InputError

__all__ = ["closest_pairs"]


def closest_pairs(rows: Sequence[dict[str, str]], *, by: str = "ssim", count: int = 20) -> list[dict[str, str]]:
    """The rows of memorization.csv whose images are most like a training image, the most alike first.

    Args:
        rows: of any methods and classes; those of method "real" are left out.
        by: "ssim", or the name of a feature space: then by closeness.
        count: how many at most.

    Raises:
        InputError: when there is no such column.
    """
    column = "ssim" if by == "ssim" else f"{by}_closeness"
    kept = [row for row in rows if row["method"] != "real"]
    if any(column not in row for row in kept):
        spaces = sorted({name[: -len("_closeness")] for row in kept for name in row if name.endswith("_closeness")})
        raise InputError(f"There are no closest pairs by '{by}': choose from {', '.join(['ssim', *spaces])}.")
    sign = -1 if by == "ssim" else 1
    known = [row for row in kept if row[column]]
    return sorted(known, key=lambda row: sign * float(row[column]))[:count]
