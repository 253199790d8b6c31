"""Which synthetic images are most like a training image."""

from __future__ import annotations

from collections.abc import Sequence

from monai_aggrgan.exceptions import InputError

__all__ = ["closest_pairs"]


def closest_pairs(rows: Sequence[dict[str, str]], *, by: str = "ssim", count: int = 20) -> list[dict[str, str]]:
    """The rows of memorization.csv whose images are most like a training image, the most alike first.

    Args:
        rows: of any methods and classes; those of method "real" are left out.
        by: "ssim"; "likeness", where flagged images come first and images without likeness, smaller than 64 pixels, go
            by SSIM; or the name of a feature space: then by closeness.
        count: how many at most.

    Raises:
        InputError: when there is no such column.
    """
    kept = [row for row in rows if row["method"] != "real"]
    if by in ("ssim", "likeness"):
        column = by if all(row[by] for row in kept) else "ssim"
        return sorted(kept, key=lambda row: (by == "likeness" and not row["flagged"], -float(row[column])))[:count]
    column = f"{by}_closeness"
    if any(column not in row for row in kept):
        spaces = sorted({name[: -len("_closeness")] for row in kept for name in row if name.endswith("_closeness")})
        known = ", ".join(["ssim", "likeness", *spaces])
        raise InputError(f"There are no closest pairs by '{by}': choose from {known}.")
    return sorted((row for row in kept if row[column]), key=lambda row: float(row[column]))[:count]
