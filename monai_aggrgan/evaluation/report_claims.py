"""The report's section on the paper's claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monai_aggrgan.evaluation.claims import CLAIMS_NOTE, DATASETS
from monai_aggrgan.evaluation.paper import paper_dataset
from monai_aggrgan.evaluation.report_blocks import Block, Cell, Column, Heading, Note, Row, Table
from monai_aggrgan.evaluation.report_tables import grouped

__all__ = ["claim_mark", "claims_blocks", "claims_by_data_set"]

Record = Mapping[str, str]
CLAIM_MARKS = {"holds": "good", "yes": "good", "does not hold": "bad", "no": "bad"}
OTHERS_NOTE = (
    "The paper says these of another data set than the one that these classes are of. They are read off these tables"
    " all the same, and counted nowhere."
)
CLAIM_WORDS = {"good": "holds", "bad": "does not hold"}


def claim_mark(holds: str) -> str:
    """Mark of a claim's verdict as claims.csv says it."""
    return CLAIM_MARKS.get(holds.strip().lower(), "open")


def claims_by_data_set(claims: Sequence[Record], *, classes: Sequence[str]) -> tuple[list[Record], list[Record]]:
    """Claims that were made on the data set that these classes are of, or on both; and the others.

    Where the classes are of neither of the paper's data sets, no claim is nearer than another: all are of the first.
    """
    dataset = DATASETS.get(paper_dataset(classes) or "", "")
    others = [
        claim
        for claim in claims
        if dataset and claim.get("dataset") in DATASETS.values() and claim["dataset"] != dataset
    ]
    return [claim for claim in claims if claim not in others], others


def claims_blocks(claims: Sequence[Record], *, classes: Sequence[str]) -> list[Block]:
    """Sentences of the paper, whether they hold here, and why; those on another data set than `classes` are apart."""
    own, others = claims_by_data_set(claims, classes=classes)
    blocks: list[Block] = [_claims_table(own, label="The paper's claims")] if own else []
    blocks += [Note(CLAIMS_NOTE)] if claims else []
    if others:
        blocks += [Heading("Made on another data set", "other-claims"), Note(OTHERS_NOTE)]
        folded = f"Claims made on another data set ({len(others)})"
        blocks.append(_claims_table(others, label="Claims made on another data set", folded=folded))
    return blocks


def _claims_table(claims: Sequence[Record], *, label: str, folded: str = "") -> Table:
    columns = [Column("Here", number=False), Column("Evidence", number=False, long=True)]
    own = any(claim.get("in_paper") for claim in claims)
    columns += [Column("In the paper", number=False)] if own else []
    columns.append(Column("Made on", number=False))
    groups = [(name, [_claim_row(claim, own) for claim in of_table]) for name, of_table in grouped(claims, by="table")]
    return Table(label, "The paper says", columns, groups, folded=folded)


def _claim_row(claim: Record, own: bool) -> Row:
    mark = claim_mark(claim["holds"])
    word = CLAIM_WORDS.get(mark, claim["holds"] or "cannot be told")
    cells = [Cell(word, mark=mark), Cell(claim["evidence"]), *([_own(claim)] if own else [])]
    return Row(f"“{claim['quote']}”", [*cells, Cell(claim.get("dataset", ""))])


def _own(claim: Record) -> Cell:
    """Whether what the paper prints bears its sentence out; where that says neither, nothing."""
    found = claim.get("in_paper", "")
    return Cell(CLAIM_WORDS[claim_mark(found)], mark=claim_mark(found)) if found in ("yes", "no") else Cell("")
