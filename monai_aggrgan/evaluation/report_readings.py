"""What the report reads from rows of the evaluation, and what it calls the methods in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monai_aggrgan.evaluation.report_words import number
from monai_aggrgan.evaluation.tables import REAL_LABEL

__all__ = ["SUBJECT", "intervals_of", "is_part", "method_labels", "subject_of"]

SUBJECT = "aggrgan_ssim"
"""The final set: what a study is made for, and what its report answers for."""

FIXED_LABELS = {
    "aggregate_ssim": "Aggregate only (SSIM)",
    "aggrgan_ssim": "AGGrGAN (SSIM)",
    "aggregate_psnr": "Aggregate only (PSNR)",
    "aggrgan_psnr": "AGGrGAN (PSNR)",
    "lsgan": "LSGAN",
    "infogan": "InfoGAN",
    "ablation_best_single": "Best single candidate",
    "ablation_mean": "Merged: mean",
    "ablation_metric_weighted": "Merged: metric-weighted",
    "ablation_edge_weighted": "Merged: edge-weighted",
    "ablation_edge_function": "Merged: edge-weighted, literal reading",
}
STEPS = (("drawn", "selected"), ("one GAN", "merged"), ("unstyled", "styled"))


def method_labels(generators: Mapping[str, str], *, more: Mapping[str, str]) -> dict[str, str]:
    """Label of each method's id; those of `generators` and `more` win."""
    labels = dict(FIXED_LABELS)
    for generator, label in generators.items():
        labels |= {generator: label, f"{generator}+style": f"{label} + style transfer"}
    for place in range(2 ** len(STEPS)):
        digits = f"{place:0{len(STEPS)}b}"
        words = (step[int(digit)] for step, digit in zip(STEPS, digits, strict=True))
        labels[f"steps_{digits}"] = f"Steps: {', '.join(words)}"
    return labels | {"real": REAL_LABEL} | dict(more)


def is_part(method: str) -> bool:
    """Whether a method is a part of another that is judged for the ablation alone."""
    return method.startswith(("ablation_", "steps_"))


def subject_of(rows: Sequence[Mapping[str, str]]) -> str:
    """Id of the method that the answers are about, "" where no method was judged."""
    methods = dict.fromkeys(row["method"] for row in rows if row["method"] != "real" and not is_part(row["method"]))
    return SUBJECT if SUBJECT in methods else next(reversed(methods), "")


def intervals_of(
    rows: Sequence[Mapping[str, str]], *, method: str, metric: str, space: str
) -> dict[str, tuple[float, float, float]]:
    """Value, low and high of a metric of distribution.csv for each class; an end that is not known is the value."""
    found = {}
    for row in rows:
        if (row["method"], row["metric"], row["space"]) == (method, metric, space):
            value = number(row["value"])
            ends = [value if end != end else end for end in (number(row["low"]), number(row["high"]))]
            if value == value:
                found[row["class_name"]] = (value, ends[0], ends[1])
    return found
