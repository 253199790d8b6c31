"""What merging is worth: the same candidates merged in several ways, against the best single one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_aggrgan.evaluation.differences import PairedDifferences, signed
from monai_aggrgan.evaluation.methods import PARTS
from monai_aggrgan.evaluation.summaries import printed, summarise
from monai_aggrgan.evaluation.table_files import write_table
from monai_aggrgan.metrics.resampling import Interval

__all__ = ["ABLATION_NOTE", "BASELINE", "verdicts", "write_ablation_table"]

BASELINE, SUBJECT = "ablation_best_single", "ablation_edge_weighted"
COLUMNS = {
    "SSIM": ("ssim", "paired"),
    "PSNR": ("psnr", "paired"),
    "KL": ("kl", "paired"),
    "SD": ("sd", "paired"),
    "Held-out SSIM": ("ssim", "held_out_nearest"),
}
GAINS = {"SSIM gain": ("ssim", "paired"), "Held-out gain": ("ssim", "held_out_nearest")}
ABLATION_NOTE = (
    "The best candidates of each reference, selected by SSIM, merged in different ways, before style transfer. Gain: "
    "mean difference in SSIM to the best single candidate of the same reference, with its 95 % bootstrap interval "
    "(2000 resamples of patients; a reference of unknown patient counts as a patient of its own). "
    "Held-out: against the nearest held-out image, which selected nothing. Paired SSIM also rises where merging only "
    "blurs: read it beside these columns and SD (sharpness difference)."
)


def write_ablation_table(folder: Path | str, rows: Sequence[Mapping[str, str]], *, seed: int = 0) -> bool:
    """Write ablation.csv, .md and .tex from the rows of results.csv; False, and nothing, where there are none.

    Args:
        folder: an existing folder.
        rows: of results.csv, with the methods of the stage's ablation.
        seed: of the bootstrap.
    """
    if not any(row["method"] == BASELINE for row in rows):
        return False
    summaries = {pairing: _by_method(rows, pairing) for pairing in ("paired", "held_out_nearest")}
    gains = _gains(rows, seed=seed)
    records = [
        {
            "Category": class_name,
            "Method": label,
            **{
                column: printed(metric, summaries[pairing][class_name, method][metric])
                for column, (metric, pairing) in COLUMNS.items()
            },
            **{column: _gain(gains, class_name, method, column) for column in GAINS},
            "n": str(summaries["paired"][class_name, method]["n"]),
        }
        for class_name in dict.fromkeys(row["class_name"] for row in rows)
        for method, label in PARTS.items()
        if (class_name, method) in summaries["paired"]
    ]
    notes = [ABLATION_NOTE, *verdicts(rows, seed=seed)]
    write_table(folder, "ablation", records, title="What merging is worth", notes=notes)
    return True


def verdicts(rows: Sequence[Mapping[str, str]], *, seed: int = 0) -> list[str]:
    """A sentence a class: is merging by edges better than the best single candidate?"""
    gains = _gains(rows, seed=seed)
    sentences = []
    for class_name in dict.fromkeys(class_name for class_name, _, _ in gains):
        paired, held_out = (gains[class_name, SUBJECT, column] for column in GAINS)
        sentences.append(
            f"{class_name}: merging by edges {_compared(paired)} the best single candidate in SSIM against the"
            f" reference ({signed(paired)}) and {_compared(held_out)} it against the nearest held-out image"
            f" ({signed(held_out)}).{_better(gains, class_name)}"
        )
    return sentences


def _better(gains: Mapping[tuple[str, str, str], Interval], class_name: str) -> str:
    """Which other merging gains more against the reference, a sentence or nothing."""
    column = next(iter(GAINS))
    rivals = {method: gains[class_name, method, column][0] for method in PARTS if (class_name, method, column) in gains}
    best = max(rivals, key=lambda method: rivals[method])
    if not rivals[best] > rivals[SUBJECT]:
        return ""
    return f" {PARTS[best]} gains more: {signed(gains[class_name, best, column])}."


def _by_method(rows: Sequence[Mapping[str, str]], pairing: str) -> dict[tuple[str, str], dict[str, float]]:
    return {(summary["class_name"], summary["method"]): summary for summary in summarise(rows, pairing=pairing)}


def _gains(rows: Sequence[Mapping[str, str]], *, seed: int) -> dict[tuple[str, str, str], Interval]:
    """Gain over the baseline for each class, method and column of `GAINS`."""
    differences = PairedDifferences([row for row in rows if row["method"] in PARTS], seed=seed)
    return {
        (class_name, method, column): differences.over(class_name, method, BASELINE, f"{metric}_{pairing}")
        for column, (metric, pairing) in GAINS.items()
        for class_name in differences.classes
        for method in PARTS
        if method not in (BASELINE, "real") and differences.has(class_name, method)
    }


def _gain(gains: Mapping[tuple[str, str, str], Interval], class_name: str, method: str, column: str) -> str:
    """As printed, nothing for the baseline and for real slices."""
    key = class_name, method, column
    return signed(gains[key]) if key in gains else ""


def _compared(gain: Interval) -> str:
    _, low, high = gain
    if low > 0:
        return "is better than"
    return "is worse than" if high < 0 else "cannot be told from"
