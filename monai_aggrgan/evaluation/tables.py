"""The paper's Table 1, and the table of all pairings, from the rows of results.csv."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.utils.module import look_up_option

from monai_aggrgan.data.manifest import read_manifest, whole_file, write_manifest
from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS
from monai_aggrgan.exceptions import InputError

__all__ = [
    "HEADINGS",
    "LEFT_OUT",
    "MISSING",
    "PAIRINGS_NOTE",
    "PROTOCOL",
    "REAL_LABEL",
    "SD_NOTE",
    "markdown_table",
    "pairing_heading",
    "printed",
    "read_results",
    "summarise",
    "write_pairings_table",
    "write_table1",
]

HEADINGS = {"ssim": "SSIM", "psnr": "PSNR", "kl": "KL-divergence", "sd": "SD"}
DIGITS = {"ssim": 3, "psnr": 2, "kl": 3, "sd": 2}
SIGN = {"ssim": 1, "psnr": 1, "kl": -1, "sd": 1}
MISSING = "n/a"
AGGREGATES = {"aggregate_ssim": "Aggregate only (SSIM)", "aggregate_psnr": "Aggregate only (PSNR)"}
REAL_LABEL = "Real (held-out patients)"
PROTOCOL = (
    "Mean over n images, each against its reference: the real image that selected it and, where styled, lent its style "
    "(pairing: paired). SSIM, PSNR, SD: higher is better; KL-divergence: lower. Bold: best of its class among the "
    f"methods, as printed. {REAL_LABEL}: slices of patients that no training saw, put through the same selection "
    "(their pool is the held-out side, most often smaller than a generator's); they do not compete."
)
SD_NOTE = (
    "The paper prints SD values of about 28. Its formulas (eq. 5-7) cannot give them on 8-bit images without integer "
    "overflow; the SD values here are what the formulas give on [0, 1] and cannot be compared with the printed ones."
)
LEFT_OUT = "Values that are not finite (images alike, or no partner) are left out of the means:"
PAIRINGS_NOTE = (
    "The same images against four choices of a real image: paired (the reference), nearest (the training image of "
    "highest SSIM), random (any training image) and held-out nearest (the image of highest SSIM among patients that no "
    "training saw). Nothing is bold: to come closer to the training images than the real row does can mean copying, or "
    "blur where the same holds against held-out images, which nothing could copy."
)


def read_results(path: Path | str) -> list[dict[str, str]]:
    """Rows of a results.csv, one an image, every value as text.

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


def summarise(rows: Iterable[Mapping[str, str]], *, pairing: str = "paired") -> list[dict[str, Any]]:
    """Mean of each metric for each class and method, in the order in which they first appear.

    Returns:
        Dicts of `class_name`, `method`, `n`, the means `ssim`, `psnr`, `kl`, `sd`, and `<metric>_left_out`: how many
        values were not finite (images alike, or no partner) and so are not in the mean. No finite value: NaN.

    Raises:
        ValueError: when `pairing` is not one of `PAIRINGS`.
    """
    look_up_option(pairing, PAIRINGS)
    groups: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["class_name"], row["method"]), []).append(row)
    return [
        {"class_name": class_name, "method": method, "n": len(group), **_means(group, pairing=pairing)}
        for (class_name, method), group in groups.items()
    ]


def _means(group: Sequence[Mapping[str, str]], *, pairing: str) -> dict[str, float]:
    means: dict[str, float] = {}
    for metric in METRICS:
        finite = [value for row in group if math.isfinite(value := float(row[f"{metric}_{pairing}"]))]
        means[metric] = math.fsum(finite) / len(finite) if finite else math.nan
        means[f"{metric}_left_out"] = len(group) - len(finite)
    return means


def write_table1(folder: Path | str, rows: Sequence[Mapping[str, str]], *, generators: Mapping[str, str]) -> None:
    """Write table1.md and table1.csv: the paper's Table 1, with the real-against-real row in each class.

    A method without results has no row; nor has a generator that `generators` does not name. In the CSV, `best` names
    the columns in which a row is best of its class, and `left_out` counts the values that are not in a mean.

    Args:
        folder: an existing folder.
        rows: of results.csv.
        generators: id -> label, in the order of the rows.

    Raises:
        InputError: when `rows` hold none of the methods.
    """
    labels = {method: label for method, label in _method_labels(generators).items() if method not in AGGREGATES}
    records = [
        _record(labels, {HEADINGS[metric]: (metric, summary) for metric in METRICS})
        for summary in _in_order(summarise(rows), labels)
    ]
    for record in records:
        record["best"] = " ".join(_best_columns(record, records))
    _write(folder, "table1", records, title="Table 1", notes=[PROTOCOL, SD_NOTE])


def write_pairings_table(
    folder: Path | str, rows: Sequence[Mapping[str, str]], *, generators: Mapping[str, str]
) -> None:
    """Write pairings.md and pairings.csv: SSIM and PSNR of each method in all four pairings.

    As `write_table1`, with rows for the aggregates before style transfer and nothing marked as best.
    """
    labels = _method_labels(generators)
    summaries = [_in_order(summarise(rows, pairing=pairing), labels) for pairing in PAIRINGS]
    records = [
        _record(
            labels,
            {
                pairing_heading(metric, pairing): (metric, summary)
                for metric in ("ssim", "psnr")
                for pairing, summary in zip(PAIRINGS, of_method, strict=True)
            },
        )
        for of_method in zip(*summaries, strict=True)
    ]
    _write(folder, "pairings", records, title="SSIM and PSNR in four pairings", notes=[PAIRINGS_NOTE])


def pairing_heading(metric: str, pairing: str) -> str:
    """Column of the pairings table, such as `SSIM held-out nearest`."""
    return f"{HEADINGS[metric]} {pairing.replace('held_out_', 'held-out ')}"


def _method_labels(generators: Mapping[str, str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for generator, label in generators.items():
        labels |= {generator: label, f"{generator}+style": f"{label} + style transfer"}
    return (
        labels | AGGREGATES | {"aggrgan_ssim": "AGGrGAN (SSIM)", "aggrgan_psnr": "AGGrGAN (PSNR)", "real": REAL_LABEL}
    )


def _in_order(summaries: Sequence[dict[str, Any]], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Summaries of the methods that have a label: classes as they come, methods as their labels come."""
    classes, methods = list(dict.fromkeys(summary["class_name"] for summary in summaries)), list(labels)
    labelled = [summary for summary in summaries if summary["method"] in labels]
    return sorted(labelled, key=lambda s: (classes.index(s["class_name"]), methods.index(s["method"])))


def _record(labels: Mapping[str, str], cells: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """One printed line; `cells` says for each column which metric of which summary stands there."""
    _, summary = next(iter(cells.values()))
    left_out = {column: s[f"{metric}_left_out"] for column, (metric, s) in cells.items()}
    return {
        "Category": summary["class_name"],
        "Method": labels[summary["method"]],
        **{column: printed(metric, s[metric]) for column, (metric, s) in cells.items()},
        "n": str(summary["n"]),
        "left_out": ", ".join(f"{count} {column}" for column, count in left_out.items() if count),
    }


def printed(metric: str, mean: float) -> str:
    """A mean with the digits of its metric, `MISSING` where there is none."""
    return f"{mean:.{DIGITS[metric]}f}" if math.isfinite(mean) else MISSING


def _best_columns(record: dict[str, str], records: Sequence[dict[str, str]]) -> list[str]:
    rivals = [r for r in records if r["Category"] == record["Category"] and r["Method"] != REAL_LABEL]
    return [
        HEADINGS[metric]
        for metric in METRICS
        if record in rivals and _merit(metric, record) == max(_merit(metric, rival) for rival in rivals) > -math.inf
    ]


def _merit(metric: str, record: Mapping[str, str]) -> float:
    """What is better is larger; judged as printed, so that equal figures are equally bold."""
    text = record[HEADINGS[metric]]
    return -math.inf if text == MISSING else SIGN[metric] * float(text)


def _write(folder: Path | str, name: str, records: list[dict[str, str]], *, title: str, notes: list[str]) -> None:
    if not records:
        raise InputError(f"The results hold none of the methods of {name}: name the generators that were evaluated.")
    write_manifest(folder, records, name=f"{name}.csv")
    with whole_file(Path(folder) / f"{name}.md") as partial:
        partial.write_text(markdown_table(records, title=title, notes=notes), encoding="utf-8")


def markdown_table(records: Sequence[dict[str, str]], *, title: str, notes: Sequence[str]) -> str:
    """A table with a row a record, its class named once, and the notes below; `best` and `left_out` are no columns."""
    columns = [column for column in records[0] if column not in ("best", "left_out")]
    left_out = [f"{r['Category']}, {r['Method']}: {r['left_out']}" for r in records if r.get("left_out")]
    notes = [*notes, *([f"{LEFT_OUT} {'; '.join(left_out)}."] if left_out else [])]
    lines = [columns, ["---", "---", *["---:"] * (len(columns) - 2)]]
    for previous, record in zip([None, *records], records, strict=False):
        new_class = previous is None or previous["Category"] != record["Category"]
        lines.append([_cell(record, column) if new_class or column != "Category" else "" for column in columns])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([f"# {title}", table, *notes]) + "\n"


def _cell(record: Mapping[str, str], column: str) -> str:
    text = record[column].replace("|", "\\|")
    if column in record.get("best", "").split():
        return f"**{text}**"
    return f"*{text}*" if text == REAL_LABEL else text
