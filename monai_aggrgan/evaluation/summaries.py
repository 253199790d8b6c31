"""Means of results.csv by class and method, with intervals by patient, and how they are printed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.utils.module import look_up_option

from monai_aggrgan.data.manifest import read_manifest
from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.metrics.resampling import Interval, clusters_of, mean_interval

__all__ = [
    "BETTER",
    "HEADINGS",
    "MISSING",
    "REAL_LABEL",
    "ends",
    "pairing_words",
    "printed",
    "read_results",
    "summarise",
    "unknown_patients",
]

HEADINGS = {"ssim": "SSIM", "psnr": "PSNR", "kl": "KL-divergence", "sd": "SD"}
BETTER = {"ssim": 1, "psnr": 1, "kl": -1, "sd": 1}
"""Metric -> 1 where higher is better, -1 where lower is."""

DIGITS = {"ssim": 3, "psnr": 2, "kl": 3, "sd": 2}
MISSING = "n/a"
REAL_LABEL = "Real (held-out patients)"


def read_results(path: Path | str) -> list[dict[str, str]]:
    """Rows of a results.csv, one an image, every value as text. The column `patient` may be absent.

    Raises:
        InputError: when the file is missing, has no rows or lacks a column.
    """
    path = Path(path)
    rows = read_manifest(path.parent, name=path.name)
    if not rows:
        raise InputError(f"{path} has no rows: run the evaluate stage again.")
    needed = ["class_name", "method", *(f"{metric}_{pairing}" for pairing in PAIRINGS for metric in METRICS)]
    if lacking := [column for column in needed if column not in rows[0]]:
        raise InputError(f"{path} lacks the columns {', '.join(lacking)}: run the evaluate stage again.")
    return rows


def summarise(
    rows: Iterable[Mapping[str, str]],
    *,
    pairing: str = "paired",
    metrics: Sequence[str] = METRICS,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Mean and interval of each metric for each class and method, in the order in which they first appear.

    Args:
        rows: of results.csv. Those of one patient (column `patient`) are one cluster of the bootstrap; a row without
            is one of its own.
        pairing: which of `PAIRINGS`.
        metrics: which of `METRICS`.
        seed: of the bootstrap.

    Returns:
        Dicts of `class_name`, `method`, `n` and for each metric: `<metric>`, the mean; `<metric>_low` and
        `<metric>_high`, its 95 % interval (see `monai_aggrgan.metrics.mean_interval`), NaN where there is none;
        `<metric>_left_out`: how many values were not finite (images alike, or no partner) and so are not in the mean.
        No finite value: NaN.

    Raises:
        ValueError: when `pairing` is not one of `PAIRINGS`.
    """
    look_up_option(pairing, PAIRINGS)
    groups: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["class_name"], row["method"]), []).append(row)
    return [
        {
            "class_name": class_name,
            "method": method,
            "n": len(group),
            **_summary(group, [(metric, f"{metric}_{pairing}") for metric in metrics], seed=seed),
        }
        for (class_name, method), group in groups.items()
    ]


def _summary(group: Sequence[Mapping[str, str]], columns: Sequence[tuple[str, str]], *, seed: int) -> dict[str, float]:
    clusters = clusters_of([row.get("patient") or "" for row in group])
    summary: dict[str, float] = {}
    for metric, column in columns:
        values = [float(row[column]) for row in group]
        mean, low, high = mean_interval(values, clusters, seed=seed)
        summary |= {metric: mean, f"{metric}_low": low, f"{metric}_high": high}
        summary[f"{metric}_left_out"] = sum(not math.isfinite(value) for value in values)
    return summary


def unknown_patients(rows: Sequence[Mapping[str, str]]) -> str:
    """A sentence where intervals cannot go by patient, else nothing."""
    unknown = sum(not row.get("patient") for row in rows)
    if not unknown:
        return ""
    whom = "all rows" if unknown == len(rows) else f"{unknown} of {len(rows)} rows"
    return (
        f"The patient is unknown for {whom} of the results: each of these counts as a patient of its own, so intervals"
        " are too narrow where images come from the same patient."
    )


def printed(metric: str, mean: float) -> str:
    """A mean with the digits of its metric, `MISSING` where there is none."""
    return f"{mean:.{DIGITS[metric]}f}" if math.isfinite(mean) else MISSING


def ends(metric: str, interval: Interval) -> tuple[str, str]:
    """Low and high end with the digits of the metric, empty where there is no interval."""
    low, high = (printed(metric, end) if math.isfinite(end) else "" for end in interval[1:])
    return low, high


def pairing_words(pairing: str) -> str:
    """`held-out nearest` for `held_out_nearest`."""
    return pairing.replace("held_out_", "held-out ")
