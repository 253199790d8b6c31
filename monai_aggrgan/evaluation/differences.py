"""Differences between two methods, image by image at the same reference, with intervals by patient."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from monai_aggrgan.evaluation.summaries import MISSING
from monai_aggrgan.metrics.resampling import Interval, clusters_of, mean_interval

__all__ = ["PairedDifferences", "signed"]


def signed(difference: Interval, *, digits: int = 3) -> str:
    """`+0.012 [-0.003, +0.027]`, the mean alone where it has no interval, `MISSING` where there is none."""
    mean, low, high = (f"{number:+.{digits}f}" if math.isfinite(number) else "" for number in difference)
    return f"{mean} [{low}, {high}]" if low and high else mean or MISSING


class PairedDifferences:
    """Answers what one method is better by than another, or than a number.

    All images of a class answer the same references, so that the hard and the easy ones cancel in the difference of
    two methods; its interval is far narrower than those of the two means suggest. Clusters are the patients of the
    references (column `patient`); for `real` rows too, whose own patients are not those of their references.

    Args:
        rows: of results.csv, with the columns class_name, method, reference and those that are asked for.
        seed: of the bootstrap.
    """

    def __init__(self, rows: Sequence[Mapping[str, str]], *, seed: int = 0) -> None:
        self.seed = seed
        self._rows: dict[str, dict[str, dict[str, Mapping[str, str]]]] = {}
        for row in rows:
            self._rows.setdefault(row["class_name"], {}).setdefault(row["method"], {})[row["reference"]] = row

    @property
    def classes(self) -> list[str]:
        """Classes, in the order in which they appear."""
        return list(self._rows)

    def has(self, class_name: str, method: str) -> bool:
        """Whether the class has images of this method."""
        return method in self._rows.get(class_name, {})

    def mean(self, class_name: str, method: str, column: str) -> Interval:
        """Mean of a column over a method's images; NaN where there are none."""
        return self.over(class_name, method, 0.0, column)

    def over(self, class_name: str, method: str, other: str | float, column: str) -> Interval:
        """Mean of `method` minus `other`, a method or a number; references that only one answers are left out."""
        mine = self._rows.get(class_name, {}).get(method, {})
        theirs = self._rows.get(class_name, {}).get(other, {}) if isinstance(other, str) else None
        common = [name for name in mine if theirs is None or name in theirs]
        differences = [
            float(mine[name][column]) - (float(other) if theirs is None else float(theirs[name][column]))
            for name in common
        ]
        of_reference = theirs if theirs is not None and method == "real" else mine
        patients = [of_reference[name].get("patient") or "" for name in common]
        if not differences:
            return Interval(math.nan, math.nan, math.nan)
        return mean_interval(differences, clusters_of(patients), seed=self.seed)
