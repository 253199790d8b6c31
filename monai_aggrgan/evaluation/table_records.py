"""Lines of a table from summaries of results: columns, order, what is best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from monai_aggrgan.evaluation.similarity import METRICS
from monai_aggrgan.evaluation.summaries import BETTER, HEADINGS, MISSING, ends, printed
from monai_aggrgan.metrics.resampling import Interval

__all__ = ["all_metrics", "best_columns", "in_order", "record_of"]


def all_metrics(summary: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """A column for each of the paper's metrics, for `record_of`."""
    return {HEADINGS[metric]: (metric, summary) for metric in METRICS}


def in_order(summaries: Sequence[dict[str, Any]], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Classes as they come, methods as their labels come."""
    classes, methods = list(dict.fromkeys(summary["class_name"] for summary in summaries)), list(labels)
    return sorted(summaries, key=lambda s: (classes.index(s["class_name"]), methods.index(s["method"])))


def record_of(
    label: str, cells: Mapping[str, tuple[str, dict[str, Any]]], *, paper: Mapping[str, str] | None = None
) -> dict[str, str]:
    """One line; `cells` says for each column which metric of which summary stands there.

    Args:
        label: of the method.
        cells: column -> (metric, summary).
        paper: metric -> what the paper prints; None leaves the columns of printed values out.
    """
    _, first = next(iter(cells.values()))
    record = {"Category": first["class_name"], "Method": label}
    for column, (metric, summary) in cells.items():
        interval = Interval(summary[metric], summary[f"{metric}_low"], summary[f"{metric}_high"])
        record[column] = printed(metric, interval.mean)
        record[f"{column} low"], record[f"{column} high"] = ends(metric, interval)
        if paper is not None:
            record[f"{column} paper"] = paper.get(metric, "")
    left_out = {column: summary[f"{metric}_left_out"] for column, (metric, summary) in cells.items()}
    text = ", ".join(f"{count} {column}" for column, count in left_out.items() if count)
    return {**record, "n": str(first["n"]), "left_out": text}


def best_columns(record: dict[str, str], rivals: Sequence[dict[str, str]]) -> list[str]:
    """Columns in which `record`, one of the rivals, is best."""
    return [
        HEADINGS[metric]
        for metric in METRICS
        if _merit(metric, record) == max(_merit(metric, rival) for rival in rivals) > -math.inf
    ]


def _merit(metric: str, record: Mapping[str, str]) -> float:
    """What is better is larger; judged as printed, so that equal figures are equally bold."""
    text = record[HEADINGS[metric]]
    return -math.inf if text == MISSING else BETTER[metric] * float(text)
