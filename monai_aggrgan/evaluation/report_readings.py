"""What the report reads from rows of the evaluation, and what it calls the methods in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monai_aggrgan.evaluation.report_words import number, of_classes
from monai_aggrgan.evaluation.tables import REAL_LABEL

__all__ = ["SUBJECT", "attack_words", "intervals_of", "is_part", "method_labels", "subject_of", "unstyled"]

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
ATTACK = "membership_auc_"
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


def unstyled(method: str) -> str:
    """Id of the method whose images are this one's before style transfer, "" where there was none."""
    if method.startswith("aggrgan_"):
        return method.replace("aggrgan_", "aggregate_", 1)
    return method.removesuffix("+style") if method.endswith("+style") else ""


def attack_words(audit: Sequence[Mapping[str, str]], *, method: str) -> tuple[str, bool]:
    """What audit.csv says of the membership attack on a method, and whether it succeeds in some class and space.

    It succeeds where the interval of its AUC lies above 0.5. ("", False) where there was none.
    """
    rows = [row for row in audit if row["method"] == method and row["measure"].startswith(ATTACK)]
    known = [row for row in rows if number(row["value"]) == number(row["value"])]
    if not known:
        return "", False
    largest = max(known, key=lambda row: number(row["value"]))
    value, low, high = (number(largest[column]) for column in ("value", "low", "high"))
    interval = f" [{low:.2f}, {high:.2f}]" if low == low and high == high else ""
    text = (
        f"A membership attack has an AUC of {value:.2f}{interval} at most ({largest['class_name']}, space"
        f" {largest['measure'].removeprefix(ATTACK)}; 0.5 is guessing)"
    )
    above = list(dict.fromkeys(row["class_name"] for row in known if number(row["low"]) > 0.5))
    if not above:
        return f"{text}.", False
    where = of_classes(above, list(dict.fromkeys(row["class_name"] for row in known)))
    return (
        f"{text} and is better than guessing {where}: the images tell something of their training images, or held-out"
        " patients differ from those of the training.",
        True,
    )


def intervals_of(
    rows: Sequence[Mapping[str, str]], *, method: str, metric: str, space: str
) -> dict[str, tuple[float, float, float]]:
    """Value, low and high of a metric of distribution.csv for each class that has a value; unknown ends are NaN."""
    found = {}
    for row in rows:
        if (row["method"], row["metric"], row["space"]) == (method, metric, space):
            value, low, high = (number(row[column]) for column in ("value", "low", "high"))
            if value == value:
                found[row["class_name"]] = (value, low, high)
    return found
