"""The report's section on use: do the images help a classifier?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai_aggrgan.evaluation.conditions import MINORITY, PATIENT, SLICE
from monai_aggrgan.evaluation.in_short_utility import beside_audit
from monai_aggrgan.evaluation.report_blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Findings,
    Heading,
    Note,
    Paragraph,
    Pictures,
    Row,
    Table,
)
from monai_aggrgan.evaluation.report_tables import measured_table
from monai_aggrgan.evaluation.report_utility_notes import (
    SLICE_NOTE,
    UNKNOWN_NOTE,
    lead_words,
    minority_words,
    protocol_notes,
)
from monai_aggrgan.evaluation.report_utility_tables import case_of, condition_of, differences_table, measures_table
from monai_aggrgan.evaluation.report_words import duration
from monai_aggrgan.evaluation.utility_words import MARK_OF, condition_words

__all__ = ["UTILITY_PICTURES", "utility_blocks"]

Records = Sequence[Mapping[str, str]]

UTILITY_PICTURES = {
    "cases.png": {
        "caption": "Share of correct answers by the paper's cases, with 95 % intervals. Cases 1 and 2 are tested on"
        " synthetic images as well, 3a to 3c on real ones alone: compare 3a, 3b and 3c with each other.",
        "alt": "A panel for each classifier: balanced accuracy and accuracy of each case, split by patient and by slice"
        " side by side, and what guessing gives. The values are in Table 5 and in the table of all measures below.",
    },
    "curve.png": {
        "caption": "Balanced accuracy on real images of held-out patients against the number of images added to each"
        " class, with 95 % intervals: synthetic ones; flips, shifts and zooms; the same real ones again.",
        "alt": "A panel for each classifier: lines for synthetic images, for flips, shifts and zooms and for"
        " oversampling over the number of added images, and the value of real images alone. The values are in the"
        " table of all measures below.",
    },
    "minority.png": {
        "caption": "One class with few real images: its recall, and the balanced accuracy, with 95 % intervals. At the"
        " right: with all real images.",
        "alt": "A panel for each classifier: recall of the class and balanced accuracy for few real images alone, with"
        " synthetic images, with flips, shifts and zooms, with oversampling, and for all real images. The values are in"
        " the table below.",
    },
}
"""Captions of the pictures that the stage `compare` draws, by the name of the file without its folder."""

TABLE_5 = "Balanced accuracy in per cent, with 95 % intervals below."
MEASURES_NOTE = (
    "All in per cent. AUC: mean over classes of one against the rest, 50 is guessing. Calibration error: mean distance"
    " between a classifier's confidence and how often it is right."
)


def utility_blocks(read: Mapping[str, Records], *, facts: Mapping[str, Any]) -> list[Block]:
    """The verdicts, figures, Table 5, differences, the minority experiment and how it was done; nothing without rows.

    Args:
        read: rows of utility.csv, comparisons.csv, verdicts.csv and table5.csv by the name without `.csv`; and of
            audit.csv, where it is there.
        facts: of the report; read are `utility`, what utility.json holds, and `utility_figures`.
    """
    rows, differences, utility = read["utility"], read["comparisons"], facts["utility"]
    if not rows:
        return []
    pictures = {_stem(item["path"]): item for item in facts["utility_figures"]}
    verdicts = [(MARK_OF.get(row["verdict"], "open"), row["label"], _untold(row)) for row in read["verdicts"]]
    blocks: list[Block] = [Findings(verdicts)] if verdicts else []
    if beside := beside_audit(read["verdicts"], read.get("audit", ())):
        blocks.append(Note(beside))
    blocks.append(Paragraph(lead_words(utility)))
    if not utility.get("patients_known", True):
        blocks.append(Note(UNKNOWN_NOTE))
    if utility.get("notes"):
        blocks.append(Bullets(utility["notes"]))
    known = [item for name, item in pictures.items() if name not in ("curve", "minority")]
    return [
        *blocks,
        *_cases(rows, read["table5"], differences, pictures=known),
        *_curve(differences, pictures=[pictures[name] for name in ("curve",) if name in pictures]),
        *_minority(
            rows, differences, utility=utility, pictures=[pictures[name] for name in ("minority",) if name in pictures]
        ),
        *_details(rows, utility),
    ]


def _untold(row: Mapping[str, str]) -> str:
    """A verdict's sentence without the name that already stands before it."""
    text = row["sentence"].removeprefix(f"{row['label']}: ")
    return text[:1].upper() + text[1:]


def _stem(path: str) -> str:
    """`curve` of `utility_curve.png`."""
    return path.rpartition("/")[2].partition(".")[0].rpartition("_")[2]


def _cases(
    rows: Records, table5: Records, differences: Records, *, pictures: Sequence[Mapping[str, Any]]
) -> list[Block]:
    blocks: list[Block] = [Heading("Table 5: the paper's cases", "table-5")]
    blocks += [Pictures(pictures)] if pictures else []
    if table5:
        blocks += [measured_table(table5, label="Table 5", corner="Case"), Note(TABLE_5)]
    if any(row["protocol"] == SLICE for row in rows):
        blocks.append(Note(SLICE_NOTE))
    return blocks + _differences(differences, part="cases", label="Differences between the cases")


def _curve(differences: Records, *, pictures: Sequence[Mapping[str, Any]]) -> list[Block]:
    found = _differences(differences, part="curve", label="Differences by the number of added images")
    shown: list[Block] = [Pictures(pictures)] if pictures else []
    return [Heading("More or fewer images", "curve"), *shown, *found] if shown or found else []


def _minority(
    rows: Records, differences: Records, *, utility: Mapping[str, Any], pictures: Sequence[Mapping[str, Any]]
) -> list[Block]:
    mine = [row for row in rows if row["protocol"] == MINORITY]
    if not mine:
        return []
    words = minority_words(utility)
    metrics = ("balanced_accuracy", f"recall {(utility.get('minority') or {}).get('class', '')}")
    full = [
        {**row, "protocol": MINORITY, "arm": "all"}
        for row in rows
        if (row["protocol"], row["arm"], row["test"]) == (PATIENT, "real", "real")
    ]
    shown = [row for row in [*mine, *full] if row["metric"] in metrics]
    blocks: list[Block] = [Heading("When one class has few images", "minority")]
    blocks += [Paragraph(words)] if words else []
    blocks += [Pictures(pictures)] if pictures else []
    blocks.append(measures_table(shown, label="Few images of one class", by=_minority_of))
    return blocks + _differences(differences, part="minority", label="Differences with few images of one class")


def _minority_of(row: Mapping[str, str]) -> str:
    return "all real" if row["arm"] == "all" else condition_words(row)


def _differences(rows: Records, *, part: str, label: str) -> list[Block]:
    mine = [row for row in rows if row["part"] == part]
    return [differences_table(mine, label=label)] if mine else []


def _details(rows: Records, utility: Mapping[str, Any]) -> list[Block]:
    """All measures, and how it was done, each behind a word."""
    by_case = [row for row in rows if row["case"]]
    curve = [row for row in rows if row["protocol"] == PATIENT and row["test"] == "real"]
    notes = protocol_notes(utility, slice_level=any(row["protocol"] == SLICE for row in rows))
    how = Table(
        "How this was done",
        "What",
        [Column("How", number=False, long=True)],
        [("", [Row(topic, [Cell(text)]) for topic, text in notes])],
        folded="How this was done",
    )
    blocks: list[Block] = [Heading("All measures, and how this was done", "all-measures")]
    if by_case:
        blocks.append(measures_table(by_case, label="Measures by case", by=case_of, folded="All measures by case"))
    if any(row["arm"] != "real" for row in curve):
        folded = "All measures by the number of added images"
        blocks.append(measures_table(curve, label="Measures by number", by=condition_of, folded=folded))
    blocks += [Note(MEASURES_NOTE), how]
    seconds = sum(told["seconds"] for told in (utility.get("training") or {}).values())
    return (
        [*blocks, Note(f"The trainings of all classifiers took {duration(seconds)} together.")] if seconds else blocks
    )
