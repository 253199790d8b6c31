"""What selection, merging and style transfer are worth, each alone and added: a 2 x 2 x 2 factorial of the method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from monai_aggrgan.evaluation.differences import signed
from monai_aggrgan.evaluation.methods import STEP_WORDS
from monai_aggrgan.evaluation.summaries import ends, printed, summarise, unknown_patients
from monai_aggrgan.evaluation.table_files import write_table
from monai_aggrgan.metrics.resampling import Interval, clusters_of, mean_interval

__all__ = ["STEPS", "STEPS_NOTE", "effects", "steps_rows", "write_steps_table"]

FACTORS = ("selection", "merging", "style")
STEPS = {
    (False, False, False): "steps_000",
    (True, False, False): "steps_100",
    (False, True, False): "steps_010",
    (False, False, True): "steps_001",
    (True, True, False): "aggregate_ssim",
    (True, False, True): "steps_101",
    (False, True, True): "steps_011",
    (True, True, True): "aggrgan_ssim",
}
"""(selection, merging, style transfer) -> method whose images have these steps."""

STEPS_NOTE = (
    "Each step alone and added to the others. Without selection an image is drawn from a pool at random; without "
    "merging the GANs answer by turns, one a reference. Added: mean difference that a step makes to the same "
    "reference, averaged over the four combinations of the other two, with its 95 % bootstrap interval by patient. "
    "Selection and style see the reference, and merging blurs, so that each can raise SSIM against it without better "
    "images: the columns against held-out images, which selected and styled nothing, and KID tell what is gained "
    "beyond that. KID: of VGG-19 features, lower is better. Flagged: the share that the memorisation audit flags."
)
SPACE = "vgg19"
OUTCOMES = {"SSIM against the reference": "ssim_paired", "SSIM against held-out images": "ssim_held_out_nearest"}

Rows = Sequence[Mapping[str, str]]


def write_steps_table(
    folder: Path | str, results: Rows, distribution: Rows = (), audit: Rows = (), *, seed: int = 0
) -> bool:
    """Write steps.csv, .md and .tex; False, and nothing, where nothing was left out.

    Args:
        folder: an existing folder.
        results: rows of results.csv.
        distribution: rows of distribution.csv, for KID.
        audit: rows of audit.csv, for the share that was flagged.
        seed: of the bootstrap.
    """
    records = steps_rows(results, distribution, audit, seed=seed)
    if not records:
        return False
    notes = [
        STEPS_NOTE,
        *effects(results, seed=seed),
        unknown_patients([row for row in results if row["method"] in STEPS.values()]),
    ]
    write_table(folder, "steps", records, title="What each step is worth", notes=notes)
    return True


def steps_rows(results: Rows, distribution: Rows = (), audit: Rows = (), *, seed: int = 0) -> list[dict[str, str]]:
    """The table of steps, a row for each class and combination that was judged; empty where nothing was left out.

    Args:
        results: rows of results.csv.
        distribution: rows of distribution.csv, for KID.
        audit: rows of audit.csv, for the share that was flagged.
        seed: of the bootstrap.
    """
    if not any(row["method"] == STEPS[False, False, False] for row in results):
        return []
    paired, held_out = (
        {
            (summary["class_name"], summary["method"]): summary
            for summary in summarise(results, pairing=pairing, seed=seed)
        }
        for pairing in ("paired", "held_out_nearest")
    )
    kids = {(r["class_name"], r["method"]): r for r in distribution if (r["space"], r["metric"]) == (SPACE, "kid")}
    flags = {(r["class_name"], r["method"]): r["value"] for r in audit if r["measure"] == "flagged"}
    table = []
    for class_name, (steps, method) in product(dict.fromkeys(row["class_name"] for row in results), STEPS.items()):
        key = class_name, method
        if key not in paired:
            continue
        summary, kid = paired[key], kids.get(key, {})
        low, high = ends("ssim", Interval(summary["ssim"], summary["ssim_low"], summary["ssim_high"]))
        table.append(
            {
                "Category": class_name,
                "Method": ", ".join(words[on] for words, on in zip(STEP_WORDS, steps, strict=True)),
                "selection": _yes(steps[0]),
                "aggregation": _yes(steps[1]),
                "style": _yes(steps[2]),
                "SSIM": printed("ssim", summary["ssim"]),
                "SSIM low": low,
                "SSIM high": high,
                **{name: printed(metric, summary[metric]) for name, metric in _OTHERS.items()},
                "Held-out SSIM": printed("ssim", held_out[key]["ssim"]),
                **{f"KID{end}": _short(kid.get(column, "")) for end, column in _KID.items()},
                "flagged": _short(flags.get(key, "")),
                "n": str(summary["n"]),
            }
        )
    return table


_OTHERS = {"PSNR": "psnr", "KL": "kl", "SD": "sd"}
_KID = {"": "value", " low": "low", " high": "high"}


def effects(results: Rows, *, seed: int = 0) -> list[str]:
    """A sentence for each class and step: what it adds to SSIM against the reference and against held-out images.

    Args:
        results: rows of results.csv.
        seed: of the bootstrap.
    """
    values: dict[str, dict[str, dict[str, Mapping[str, str]]]] = {}
    for row in results:
        values.setdefault(row["class_name"], {}).setdefault(row["method"], {})[row["reference"]] = row
    sentences = []
    for class_name, of_methods in values.items():
        if not all(method in of_methods for method in STEPS.values()):
            continue
        for place, factor in enumerate(FACTORS):
            told = [
                f"{signed(_effect(of_methods, place, column, seed=seed))} in {outcome}"
                for outcome, column in OUTCOMES.items()
            ]
            sentences.append(f"{class_name}: {factor} adds {' and '.join(told)}.")
    return sentences


def _effect(
    of_methods: Mapping[str, Mapping[str, Mapping[str, str]]], place: int, column: str, *, seed: int
) -> Interval:
    """Main effect of a factor: per reference the mean difference over the settings of the other two."""
    references = list(of_methods[STEPS[True, True, True]])
    signed = {method: 1 if steps[place] else -1 for steps, method in STEPS.items()}
    differences = [
        sum(sign * float(of_methods[method][reference][column]) for method, sign in signed.items()) / (len(STEPS) / 2)
        for reference in references
    ]
    patients = [of_methods[STEPS[True, True, True]][reference].get("patient", "") for reference in references]
    return mean_interval(np.array(differences), clusters_of(patients), seed=seed)


def _short(text: str) -> str:
    """A number with three significant digits, nothing where there is none."""
    return f"{float(text):.3g}" if text and math.isfinite(float(text)) else ""


def _yes(value: bool) -> str:
    return "yes" if value else ""
