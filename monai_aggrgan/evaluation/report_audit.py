"""The report's section on memorisation: the rule, the verdicts, what they rest on, and the closest pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monai_aggrgan.evaluation.report_blocks import (
    Block,
    Cell,
    Charts,
    Code,
    Column,
    Heading,
    Note,
    Paragraph,
    Pictures,
    Row,
    Table,
)
from monai_aggrgan.evaluation.report_charts import DotChart, Histogram, histogram
from monai_aggrgan.evaluation.report_distribution import PARTS_FOLDED, interval_text
from monai_aggrgan.evaluation.report_readings import is_part, subject_of
from monai_aggrgan.evaluation.report_words import number, percent, significant
from monai_aggrgan.evaluation.summaries import MISSING

__all__ = ["audit_blocks"]

Records = Sequence[Mapping[str, str]]
Text = Callable[[float], str]

HISTOGRAM_CAPTION = (
    "Highest SSIM of each image with any training image. Filled: real images of held-out patients; line: {name}. A line"
    " that reaches farther to the right than the filled shape is nearer to training images than real patients are."
)
WEAK = "a weak test"
WORDS = {"pass": ("good", "pass"), "fail": ("bad", "fail")}
SPACE_MEASURES = {
    "memorised": ("Memorised", percent),
    "authenticity": ("Authentic", percent),
    "distance_ratio": ("Log distance ratio", significant),
    "membership_auc": ("Attack AUC", lambda value: f"{value:.2f}"),
}
AUDIT_NOTE = (
    "Memorised: share of images that are closer to one training image than the rule allows. Authentic: share of"
    " images that are farther from their nearest training image than that is from its nearest neighbour. Log distance"
    " ratio: to training over to held-out images, at equal n; below 0 is nearer to training; p by patient permutation,"
    " which needs known patients and is n/a without."
    " Attack AUC: how well the nearest synthetic image tells training from held-out images; 0.5 is guessing."
    " Brackets: 95 % intervals; held out: the same measure for real images of patients that no training saw."
)
FILTER = (
    "The study's folder filtered/ holds the images of AGGrGAN (SSIM) that the audit did not flag; memorization.csv says"
    " what was flagged and why. The command that makes it anew:"
)


def audit_blocks(
    audit: Records, memorization: Records, *, labels: Mapping[str, str], facts: Mapping[str, Any]
) -> list[Block]:
    """The rule, the verdicts, what they rest on, the closest pairs, and how to leave flagged images out."""
    blocks: list[Block] = [Paragraph(facts["audit_rule"], lead="The rule:")] if facts["audit_rule"] else []
    whole = [row for row in audit if not is_part(row["method"])]
    if audit:
        blocks.append(Heading("Verdicts, before and after merging and style transfer", "verdicts"))
        blocks.append(_audit_table(whole, label="Verdicts", labels=labels))
        if len(whole) < len(audit):
            parts = [row for row in audit if is_part(row["method"])]
            blocks.append(_audit_table(parts, label="Verdicts on parts", labels=labels, folded=PARTS_FOLDED))
    blocks += _histograms(memorization, labels)
    for space in _spaces(audit):
        blocks.append(_space_table(whole, space=space, labels=labels))
    if _spaces(audit):
        blocks.append(Note(AUDIT_NOTE))
    if facts["closest"]:
        blocks += [Heading("The closest pairs", "closest"), Pictures(facts["closest"])]
    if facts["filter_command"]:
        blocks += [
            Heading("The set without flagged images", "filter"),
            Paragraph(FILTER),
            Code(facts["filter_command"]),
        ]
    return blocks


def _audit_table(rows: Records, *, label: str, labels: Mapping[str, str], folded: str = "") -> Table:
    columns = [Column("Verdict", number=False), Column("Flagged", better="lower"), Column("Flagged, held out")]
    columns += [Column("Near-identical", better="lower"), Column("SSIM to nearest training")]
    columns += [Column("The same, held out"), Column("n")]
    told = any(row["detail"] for row in rows if row["measure"] == "flagged")
    columns += [Column("Why", number=False, long=True)] if told else []
    groups = []
    for name, of_class in _by_method(rows).items():
        lines = []
        for method, measures in of_class.items():
            flagged, copies, ssim = (measures.get(measure, {}) for measure in ("flagged", "copies", "ssim"))
            mark, word = WORDS.get(flagged.get("verdict", ""), ("", ""))
            if WEAK in flagged.get("detail", "") and mark == "good":
                mark, word = "open", "pass, weakly"
            cells = [
                Cell(word, mark=mark),
                _audit_cell(flagged, percent),
                Cell(_known(flagged.get("held_out", ""), percent)),
                _audit_cell(copies, lambda value: f"{value:.0f}"),
                _audit_cell(ssim, lambda value: f"{value:.3f}"),
                Cell(_known(ssim.get("held_out", ""), lambda value: f"{value:.3f}")),
                Cell(flagged.get("n", "")),
                *([Cell(flagged.get("detail", ""))] if told else []),
            ]
            lines.append(Row(labels.get(method, method), cells, method == "real"))
        groups.append((name, lines))
    return Table(label, "Method", columns, groups, folded=folded)


def _space_table(rows: Records, *, space: str, labels: Mapping[str, str]) -> Table:
    names = {measure: _measure_name(measure, space) for measure in SPACE_MEASURES}
    there = {row["measure"] for row in rows}
    shown = [measure for measure, name in names.items() if name in there]
    beside = {measure: _beside(rows, measure, names[measure]) for measure in shown}
    columns = []
    for measure in shown:
        columns += [
            Column(SPACE_MEASURES[measure][0]),
            *([Column(beside[measure], quiet=True)] if beside[measure] else []),
        ]
    groups = []
    for name, of_class in _by_method(rows).items():
        lines = []
        for method, measures in of_class.items():
            cells = []
            for measure in shown:
                row, text = measures.get(names[measure], {}), SPACE_MEASURES[measure][1]
                cells.append(_audit_cell(row, text))
                if beside[measure] == "p":
                    cells.append(Cell(_p_value(number(row.get("p", ""))) if row else ""))
                elif beside[measure]:
                    cells.append(Cell(_known(row.get("held_out", ""), text)))
            lines.append(Row(labels.get(method, method), cells, method == "real"))
        groups.append((name, lines))
    return Table(f"Audit in {space}", "Method", columns, groups, folded=f"Measures in the feature space {space}")


def _beside(rows: Records, measure: str, name: str) -> str:
    """Heading of the column beside a measure, "" where there is nothing to show in it."""
    if measure == "distance_ratio":
        return "p"
    return "held out" if any(row["held_out"] for row in rows if row["measure"] == name) else ""


def _measure_name(measure: str, space: str) -> str:
    return f"{measure}_{space}" if measure == "membership_auc" else f"{space}_{measure}"


def _spaces(audit: Records) -> list[str]:
    found = (row["measure"] for row in audit if row["measure"].endswith(("_memorised", "_authenticity")))
    return list(dict.fromkeys(measure.rpartition("_")[0] for measure in found))


def _by_method(rows: Records) -> dict[str, dict[str, dict[str, Mapping[str, str]]]]:
    found: dict[str, dict[str, dict[str, Mapping[str, str]]]] = {}
    for row in rows:
        found.setdefault(row["class_name"], {}).setdefault(row["method"], {})[row["measure"]] = row
    return found


def _audit_cell(row: Mapping[str, str], text: Text) -> Cell:
    if not row:
        return Cell("")
    return Cell(_known(row["value"], text), interval_text(row, text))


def _known(value: str, text: Text) -> str:
    return text(number(value)) if number(value) == number(value) else ""


def _p_value(p: float) -> str:
    return MISSING if p != p else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _histograms(memorization: Records, labels: Mapping[str, str]) -> list[Block]:
    subject = subject_of(memorization)
    name = labels.get(subject, subject)
    charts: list[DotChart | Histogram] = []
    for class_name in dict.fromkeys(row["class_name"] for row in memorization):
        values = [
            [number(row["ssim"]) for row in memorization if (row["class_name"], row["method"]) == (class_name, method)]
            for method in (subject, "real")
        ]
        chart = histogram(values[0], values[1], title=class_name, axis="SSIM to the nearest training image", name=name)
        charts += [chart] if chart else []
    return [Charts(charts, HISTOGRAM_CAPTION.format(name=name))] if charts else []
