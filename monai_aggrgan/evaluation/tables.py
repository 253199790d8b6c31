"""The paper's Tables 1 to 4 and the table of all pairings, from the rows of results.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_aggrgan.evaluation.methods import AGGREGATES, AGGRGANS, with_style
from monai_aggrgan.evaluation.paper import TABLE_NUMBERS, paper_dataset, printed_value
from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS
from monai_aggrgan.evaluation.summaries import (
    HEADINGS,
    MISSING,
    REAL_LABEL,
    pairing_words,
    printed,
    read_results,
    summarise,
    unknown_patients,
)
from monai_aggrgan.evaluation.table_files import LEFT_OUT, markdown_table, write_table
from monai_aggrgan.evaluation.table_records import all_metrics, best_columns, in_order, record_of
from monai_aggrgan.exceptions import InputError

__all__ = [
    "HEADINGS",
    "LEFT_OUT",
    "MISSING",
    "PAIRINGS_NOTE",
    "PAPER_NOTE",
    "PROTOCOL",
    "REAL_LABEL",
    "SD_NOTE",
    "markdown_table",
    "pairing_heading",
    "printed",
    "read_results",
    "summarise",
    "write_baselines_table",
    "write_pairings_table",
    "write_table1",
]

PROTOCOL = (
    "Mean over n images and its 95 % interval (2000 bootstrap resamples of patients), each image against its "
    "reference: the real image that selected it and, where styled, lent its style (pairing: paired). SSIM, PSNR, SD: "
    "higher is better; KL-divergence: lower. Bold: best of its class among the methods, as printed. "
    f"{REAL_LABEL}: slices of patients that no training saw, selected by SSIM for the same references, beside methods "
    "that were selected by PSNR too (their pool is the held-out side, most often smaller than a generator's); the rows "
    "below it are the same slices against the nearest "
    "training image, a random one, and the nearest slice of another held-out patient. Real rows do not compete."
)
SD_NOTE = (
    "The paper prints SD values of about 28. Its formulas (eq. 5-7) cannot give them on 8-bit images without integer "
    "overflow; the SD values here are what the formulas give on [0, 1] and cannot be compared with the printed ones."
)
PAPER_NOTE = (
    "Paper: what the paper prints for the class of this name; its images, size and split are not those of these "
    "results."
)
PAIRINGS_NOTE = (
    "The same images against four choices of a real image: paired (the reference), nearest (the training image of "
    "highest SSIM), random (any training image) and held-out nearest (the image of highest SSIM among patients that no "
    "training saw). Nothing is bold: to come closer to the training images than the real row does can mean copying, or "
    "blur where the same holds against held-out images, which nothing could copy."
)


def write_table1(
    folder: Path | str, rows: Sequence[Mapping[str, str]], *, generators: Mapping[str, str], seed: int = 0
) -> None:
    """Write table1.csv, .md and .tex: the paper's Table 1 (or 2), and real against real in every pairing below it.

    A method without results has no row; nor has a generator that `generators` does not name. In the CSV, `<metric> low`
    and `high` are the ends of the interval, `<metric> paper` is what the paper prints, where the classes are the
    paper's and the method is in the table; `best` names the columns in which a row is best of its class, and
    `left_out` counts the values that are not in a mean.

    Args:
        folder: an existing folder.
        rows: of results.csv.
        generators: id -> label of those that are merged, in the order of the rows.
        seed: of the bootstrap.

    Raises:
        InputError: when `rows` hold none of the methods.
    """
    labels = {**with_style(generators), **AGGRGANS}
    if not _write_methods(folder, "table1", rows, labels, kind="methods", seed=seed):
        raise InputError("The results hold none of the methods of table1: name the generators that were evaluated.")


def write_baselines_table(
    folder: Path | str, rows: Sequence[Mapping[str, str]], *, baselines: Mapping[str, str], seed: int = 0
) -> bool:
    """Write baselines.csv, .md and .tex: the paper's Table 3 (or 4), AGGrGAN (SSIM) against other GANs.

    Args:
        folder: an existing folder.
        rows: of results.csv.
        baselines: id -> label of those GANs, such as LSGAN and InfoGAN.
        seed: of the bootstrap.

    Returns:
        Whether there was a baseline with results; else nothing is written.
    """
    evaluated = {row["method"] for row in rows}
    if not evaluated & set(baselines):
        return False
    labels = {**baselines, "aggrgan_ssim": AGGRGANS["aggrgan_ssim"]}
    return _write_methods(folder, "baselines", rows, labels, kind="baselines", seed=seed)


def write_pairings_table(
    folder: Path | str, rows: Sequence[Mapping[str, str]], *, generators: Mapping[str, str], seed: int = 0
) -> None:
    """Write pairings.csv, .md and .tex: SSIM and PSNR of each method in all four pairings; intervals in the CSV.

    As `write_table1`, with rows for the aggregates before style transfer and nothing marked as best; `generators` may
    name baselines too.
    """
    labels = {**with_style(generators), **AGGREGATES, **AGGRGANS, "real": REAL_LABEL}
    listed = [row for row in rows if row["method"] in labels]
    if {row["method"] for row in listed} <= {"real"}:
        raise InputError("The results hold none of the methods of pairings: name the generators that were evaluated.")
    summaries = [
        in_order(summarise(listed, pairing=pairing, metrics=("ssim", "psnr"), seed=seed), labels)
        for pairing in PAIRINGS
    ]
    records = [
        record_of(
            labels[of_method[0]["method"]],
            {
                pairing_heading(metric, pairing): (metric, summary)
                for metric in ("ssim", "psnr")
                for pairing, summary in zip(PAIRINGS, of_method, strict=True)
            },
        )
        for of_method in zip(*summaries, strict=True)
    ]
    title, notes = "SSIM and PSNR in four pairings", [PAIRINGS_NOTE, unknown_patients(listed)]
    write_table(folder, "pairings", records, title=title, notes=notes, intervals=False)


def pairing_heading(metric: str, pairing: str) -> str:
    """Column of the pairings table, such as `SSIM held-out nearest`."""
    return f"{HEADINGS[metric]} {pairing_words(pairing)}"


def _write_methods(
    folder: Path | str,
    name: str,
    rows: Sequence[Mapping[str, str]],
    labels: Mapping[str, str],
    *,
    kind: str,
    seed: int,
) -> bool:
    """Methods against their references, then real against real in every pairing, class by class; False if none."""
    listed = [row for row in rows if row["method"] in labels or row["method"] == "real"]
    dataset = paper_dataset({row["class_name"] for row in rows})
    number = TABLE_NUMBERS[dataset][kind] if dataset else None
    methods = in_order(summarise([row for row in listed if row["method"] in labels], seed=seed), labels)
    if not methods:
        return False
    real = [row for row in listed if row["method"] == "real"]
    reals = {pairing: summarise(real, pairing=pairing, seed=seed) for pairing in PAIRINGS}
    records = []
    for class_name in dict.fromkeys(row["class_name"] for row in listed):
        rivals = []
        for summary in methods:
            if summary["class_name"] == class_name:
                paper = {m: printed_value(dataset, number, class_name, summary["method"], m) for m in METRICS}
                rivals.append(record_of(labels[summary["method"]], all_metrics(summary), paper=paper))
        for record in rivals:
            record["best"] = " ".join(best_columns(record, rivals))
        records += rivals
        for pairing, summaries in reals.items():
            label = REAL_LABEL if pairing == "paired" else f"{REAL_LABEL}, {pairing_words(pairing)}"
            of_class = [summary for summary in summaries if summary["class_name"] == class_name]
            records += [{**record_of(label, all_metrics(s), paper={}), "best": ""} for s in of_class]
    title = f"Table {number}" if number else f"Table {TABLE_NUMBERS['figshare'][kind]} layout"
    notes = [PROTOCOL, SD_NOTE, PAPER_NOTE if dataset else "", unknown_patients(listed)]
    write_table(folder, name, records, title=title, notes=notes)
    return True
