"""The report's section on distributions: tables, and charts that show the same at a glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from monai_aggrgan.evaluation.report_blocks import (
    Block,
    Cell,
    Charts,
    Column,
    Heading,
    Note,
    Row,
    Table,
)
from monai_aggrgan.evaluation.report_charts import DotChart, Histogram, dot_chart
from monai_aggrgan.evaluation.report_readings import is_part
from monai_aggrgan.evaluation.report_words import number, significant

__all__ = ["PARTS_FOLDED", "distribution_blocks", "interval_text"]

Records = Sequence[Mapping[str, str]]

DISTRIBUTION = {  # metric -> heading, which is better, format
    "kid": ("KID", "lower", ""),
    "frechet": ("Fréchet distance", "lower", ""),
    "frechet_ratio": ("Fréchet ratio", "lower", ".2f"),
    "precision": ("Precision", "higher", ".2f"),
    "recall": ("Recall", "higher", ".2f"),
    "density": ("Density", "higher", ".2f"),
    "coverage": ("Coverage", "higher", ".2f"),
    "ms_ssim": ("MS-SSIM between images", "lower", ".3f"),
    "distinct": ("Different images", "higher", ".0f"),
}
CHARTED = ("kid", "recall", "ms_ssim")
MANY = 12  # rows, beyond which a table is folded where charts show the same
DISTRIBUTION_NOTE = (
    "Each method's images against the same held-out images. The tinted row is real against real: as many training"
    " images of other patients, drawn by the seed, in the place of the synthetic ones; it is the level to reach."
    " KID: unbiased, 0 for equal distributions. Fréchet ratio: distance over that of the real row. Precision: share of"
    " images that look real; recall and coverage: share of real variety that is reached; density: how well placed."
    " Brackets: 95 % intervals."
)
IMAGES_NOTE = (
    "MS-SSIM: mean over pairs of images of one set, lower is more diverse. Different images: how many of the set are"
    " not the same as another."
)
PARTS_FOLDED = "The same for the parts of the method (steps, ways of merging)"
REAL_AGAINST_REAL = "Real (training patients against held-out)"


def distribution_blocks(rows: Records, *, labels: Mapping[str, str]) -> list[Block]:
    """A table a feature space, one of the images themselves, and charts."""
    blocks: list[Block] = []
    names = {**labels, "real": REAL_AGAINST_REAL}
    for space in sorted(dict.fromkeys(row["space"] for row in rows), key=lambda space: space == "images"):
        of_space = [row for row in rows if row["space"] == space]
        whole = [row for row in of_space if not is_part(row["method"])]
        parts = [row for row in of_space if is_part(row["method"]) or row["method"] == "real"]
        title = "Within a set" if space == "images" else f"In the feature space {space}"
        blocks.append(Heading(title, f"space-{space}"))
        for metric in CHARTED:
            heading, better, _ = DISTRIBUTION[metric]
            blocks += _charts(
                [row for row in whole if row["metric"] == metric],
                caption=f"{heading}, {better} is better. Band: interval of the real row; its line: the value.",
                of=heading,
                labels=names,
            )
        lines = len({(row["class_name"], row["method"]) for row in whole})
        folded = f"All numbers, {title[:1].lower()}{title[1:]} ({lines} rows)" if lines > MANY else ""
        blocks.append(_distribution_table(whole, label=title, labels=names, folded=folded))
        if any(is_part(row["method"]) for row in parts):
            blocks.append(_distribution_table(parts, label=f"{title}: parts", labels=names, folded=PARTS_FOLDED))
        blocks += [Note(text) for text in [_numbers(of_space)] + [IMAGES_NOTE] * (space == "images")]
    return [Note(DISTRIBUTION_NOTE), *blocks] if blocks else []


def _charts(rows: Records, *, caption: str, of: str, labels: Mapping[str, str]) -> list[Block]:
    charts: list[DotChart | Histogram] = []
    for name in dict.fromkeys(row["class_name"] for row in rows):
        values = [
            (
                labels.get(row["method"], row["method"]),
                *(number(row[column]) for column in ("value", "low", "high")),
                row["method"] == "real",
            )
            for row in rows
            if row["class_name"] == name
        ]
        chart = dot_chart(values, title=name, of=of)  # type: ignore[arg-type]
        charts += [chart] if chart else []
    return [Charts(charts, caption)] if charts else []


def _distribution_table(rows: Records, *, label: str, labels: Mapping[str, str], folded: str = "") -> Table:
    there = {row["metric"] for row in rows}
    metrics = [metric for metric in DISTRIBUTION if metric in there] + sorted(there - set(DISTRIBUTION))
    columns = []
    for metric in metrics:
        heading, better, _ = DISTRIBUTION.get(metric, (metric, "", ""))
        columns.append(Column(heading, better=better))
    groups = []
    for name in dict.fromkeys(row["class_name"] for row in rows):
        cells: dict[str, dict[str, Cell]] = {}
        for row in rows:
            if row["class_name"] == name:
                cells.setdefault(row["method"], {})[row["metric"]] = _distribution_cell(row)
        groups.append(
            (
                name,
                [
                    Row(labels.get(method, method), [found.get(m, Cell("")) for m in metrics], method == "real")
                    for method, found in cells.items()
                ],
            )
        )
    return Table(label, "Method", columns, groups, folded=folded)


def _distribution_cell(row: Mapping[str, str]) -> Cell:
    digits = DISTRIBUTION.get(row["metric"], ("", "", ""))[2]
    value = number(row["value"])
    if row["metric"] == "distinct" and value == value:
        return Cell(f"{value:.0f} of {row['n']}")
    return Cell(_text(value, digits), interval_text(row, lambda end: _text(end, digits)))


def _text(value: float, digits: str) -> str:
    return format(value, digits) if digits and value == value else significant(value)


def interval_text(row: Mapping[str, str], text: Callable[[float], str]) -> str:
    """The ends of a row's interval in brackets, nothing where it has none."""
    low, high = number(row["low"]), number(row["high"])
    return f"[{text(low)}, {text(high)}]" if low == low and high == high else ""


def _numbers(rows: Records) -> str:
    told = dict.fromkeys(f"{row['class_name']} {row['n']} against {row['reference_n']}" for row in rows)
    extractors = dict.fromkeys(row["extractor"] for row in rows if row["extractor"])
    extractor = f" Extractor: {'; '.join(extractors)}." if extractors else ""
    return f"n, judged against held-out images: {', '.join(told)}.{extractor}"
