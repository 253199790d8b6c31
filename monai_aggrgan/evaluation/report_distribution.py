"""The report's section on distributions: tables, and charts that show the same at a glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from monai_aggrgan.evaluation.distribution import HEADINGS, METRIC_NOTES
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

DIRECTIONS = {
    **dict.fromkeys(("kid", "frechet", "frechet_ratio"), "lower"),
    **dict.fromkeys(("recall", "coverage", "distinct"), "higher"),
}
"""Of the other metrics the real row's value is the best, and both more and less are worse."""
DIGITS = {
    **dict.fromkeys(("frechet_ratio", "precision", "recall", "density", "coverage"), ".2f"),
    "ms_ssim": ".3f",
    "distinct": ".0f",
}
CHARTED = ("kid", "recall", "ms_ssim")
MANY = 12  # rows, beyond which a table is folded where charts show the same
DISTRIBUTION_NOTE = (
    "Each method's images against the same held-out images. The tinted row is real against real: as many training"
    " images of other patients, drawn by the seed, in the place of the synthetic ones; it is the level to reach."
    " Arrows show which is better; without one, what is nearest to the real row is best. Brackets: 95 % intervals."
    " Style transfer works on the statistics of VGG-19's maps, and the space vgg19 sees their means: it favours styled"
    " images, and shows those closer to their references. Read styled rows in the other spaces, too."
)
IMAGES_NOTE = (
    "Style transfer changes every image a little, so that repeats count as different after it: how varied a set is, the"
    " rows before style transfer tell."
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
            heading, better = HEADINGS[metric], DIRECTIONS.get(metric, "nearest to the real row")
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
    return [Note(DISTRIBUTION_NOTE), _meanings(rows), *blocks] if blocks else []


def _meanings(rows: Records) -> Table:
    """What each metric is, behind a word."""
    there = {row["metric"] for row in rows}
    told = [Row(heading, [Cell(METRIC_NOTES[metric])]) for metric, heading in HEADINGS.items() if metric in there]
    columns = [Column("What it is, and what real images give", number=False, long=True)]
    return Table("What the metrics are", "Metric", columns, [("", told)], folded="What these metrics are")


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
    metrics = [metric for metric in HEADINGS if metric in there] + sorted(there - set(HEADINGS))
    columns = [Column(HEADINGS.get(metric, metric), better=DIRECTIONS.get(metric, "")) for metric in metrics]
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
    digits = DIGITS.get(row["metric"], "")
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
