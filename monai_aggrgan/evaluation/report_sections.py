"""The report's sections in their order: the answer first, then what it rests on, then the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai_aggrgan.evaluation import tables
from monai_aggrgan.evaluation.in_short import Finding
from monai_aggrgan.evaluation.report_audit import audit_blocks
from monai_aggrgan.evaluation.report_blocks import (
    Block,
    Bullets,
    Findings,
    Heading,
    Note,
    Paragraph,
    Pictures,
    Section,
)
from monai_aggrgan.evaluation.report_cards import (
    data_blocks,
    figure_blocks,
    settings_blocks,
    time_blocks,
    training_blocks,
)
from monai_aggrgan.evaluation.report_claims import claims_blocks
from monai_aggrgan.evaluation.report_distribution import distribution_blocks
from monai_aggrgan.evaluation.report_tables import (
    ablation_blocks,
    pairings_blocks,
    paper_blocks,
    selection_blocks,
    steps_blocks,
)
from monai_aggrgan.evaluation.report_utility import utility_blocks
from monai_aggrgan.evaluation.seven_cs import INTENDED_USE, SEVEN_CS_SOURCE, Criterion

__all__ = ["FILES", "sections"]

FILES = {
    "report.md": "this report for a text",
    "report.json": "this report for a program",
    "results.csv": "every judged image with its partners and values",
    "table1.csv": "Table 1 for a spreadsheet",
    "table1.md": "Table 1 for a text",
    "table1.tex": "Table 1 for LaTeX",
    "baselines.csv": "the table of other GANs for a spreadsheet",
    "baselines.md": "the table of other GANs for a text",
    "baselines.tex": "the table of other GANs for LaTeX",
    "pairings.csv": "the four pairings for a spreadsheet",
    "pairings.md": "the four pairings for a text",
    "pairings.tex": "the four pairings for LaTeX",
    "claims.csv": "the paper's claims and what became of them",
    "distribution.csv": "distances, precision, recall and variety of each set",
    "audit.csv": "the memorisation audit's verdicts and measures",
    "memorization.csv": "the nearest training images of every judged image, and which are flagged",
    "steps.csv": "each step of the method alone and added, for a spreadsheet",
    "steps.md": "each step of the method alone and added, for a text",
    "steps.tex": "each step of the method alone and added, for LaTeX",
    "table5.csv": "Table 5 for a spreadsheet",
    "table5.md": "Table 5 for a text",
    "table5.tex": "Table 5 for LaTeX",
    "verdicts.csv": "whether the images help, for each classifier",
    "comparisons.csv": "differences between what classifiers were trained on",
    "utility.csv": "every measure of every classifier in every condition",
    "selection.csv": "how each generator's pool was used",
    "ablation.csv": "what merging is worth, for a spreadsheet",
    "ablation.md": "what merging is worth, for a text",
    "ablation.tex": "what merging is worth, for LaTeX",
}
"""Files that may lie beside the report, and what for."""

HOW_TO_READ = (
    "This report compares synthetic images with real ones, in the layout of Mukherjee et al. (Scientific Reports,"
    " 2022). Every synthetic image is compared with the real image that was used to choose it and, where styled, lent"
    " it its style. That is the paper's protocol, and it rewards copying: a generator that handed back its training"
    f" images would score best. So read each method beside the tinted row “{tables.REAL_LABEL}”: real images of"
    " patients that no training saw, selected by SSIM. That row, not 1, is the level to compare with. A"
    " method above it copies its references, or blurs: an average head is near to everybody. What was copied is near to"
    " training images only; blur is near to held-out images as well."
)
HEADINGS = {"table1": "Table 1: the paper's metrics", "baselines": "Beside other GANs: the paper's metrics"}

Tables = Mapping[str, Sequence[Mapping[str, str]]]


def sections(
    read: Tables,
    *,
    facts: Mapping[str, Any],
    labels: Mapping[str, str],
    answers: Sequence[Finding],
    criteria: Sequence[Criterion],
    files: Sequence[str],
) -> list[Section]:
    """All sections that have anything to show.

    Args:
        read: rows of each CSV file by its name without `.csv`, none where it is absent.
        facts: all facts of `write_report`.
        labels: label of each method's id.
        answers: of `in_short`.
        criteria: of `seven_cs`.
        files: names of `FILES` that lie beside the report.
    """
    headings = {**HEADINGS, **facts["headings"]}
    notes = [tables.PROTOCOL, tables.SD_NOTE]
    classes = list(dict.fromkeys(record["Category"] for record in read["table1"]))
    parts = [
        *steps_blocks(read["steps"], effects=facts["effects"]),
        *ablation_blocks(read["ablation"], findings=facts["findings"]),
    ]
    parts += selection_blocks(facts["selection"])
    galleries: list[Block] = [Pictures(facts["galleries"], size="gallery")] if facts["galleries"] else []
    all_sections = [
        Section("in-short", "In short", "In short", _answers(answers)),
        Section("data", "Data card", "Data", data_blocks(facts)),
        Section("training", "Training card", "Training", [*training_blocks(facts), *settings_blocks(facts)]),
        Section("table-1", headings["table1"], "Table 1", paper_blocks(read["table1"], label="Table 1", notes=notes)),
        Section(
            "baselines",
            headings["baselines"],
            "Other GANs",
            paper_blocks(read["baselines"], label="Other GANs", notes=notes[:1]),
        ),
        Section(
            "pairings",
            "Pairings: the same images against other real images",
            "Pairings",
            pairings_blocks(read["pairings"]),
        ),
        Section("claims", "The paper's claims, read here", "Claims", claims_blocks(read["claims"], classes=classes)),
        Section("figures", "Figures: one image of each method", "Figures", figure_blocks(facts)),
        Section(
            "distribution",
            "Distribution: how far from real, and how varied",
            "Distribution",
            distribution_blocks(read["distribution"], labels=labels),
        ),
        Section(
            "audit",
            "Memorisation audit: are there copies?",
            "Audit",
            audit_blocks(read["audit"], read["memorization"], labels=labels, facts=facts),
        ),
        Section("utility", "Do the images help?", "Do they help?", utility_blocks(read, facts=facts)),
        Section("steps", "What each step is worth", "Steps", parts),
        Section("random-samples", "Random samples: drawn, not chosen", "Random samples", galleries),
        Section("limits", "Limits and intended use", "Limits", _limits(criteria, facts)),
        Section("time", "Time", "Time", time_blocks(facts["stages"])),
        Section("files", "Files", "Files", [Bullets([FILES[name] for name in files], links=files)]),
    ]
    return [section for section in all_sections if section.blocks]


def _answers(answers: Sequence[Finding]) -> list[Block]:
    shown: list[Block] = [Findings(answers)] if answers else []
    return [*shown, Heading("How to read the tables"), Paragraph(HOW_TO_READ)]


def _limits(criteria: Sequence[Criterion], facts: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = [Paragraph(facts["intended_use"] or INTENDED_USE, lead="Intended use.")]
    if facts["limits"]:
        blocks.append(Bullets(facts["limits"]))
    for criterion in criteria:
        blocks += [
            Heading(criterion.name),
            Note(criterion.asks),
            Paragraph(" ".join(criterion.measured), lead="Measured:"),
            Paragraph(" ".join(criterion.not_measured), lead="Not measured:"),
        ]
    return [*blocks, Note(SEVEN_CS_SOURCE)]
