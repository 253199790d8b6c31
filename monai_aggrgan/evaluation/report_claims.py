"""The report's section on the paper's claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monai_aggrgan.evaluation.claims import CLAIMS_NOTE
from monai_aggrgan.evaluation.report_blocks import Block, Cell, Column, Note, Row, Table
from monai_aggrgan.evaluation.report_tables import grouped

__all__ = ["claim_mark", "claims_blocks"]

Record = Mapping[str, str]
CLAIM_MARKS = {"holds": "good", "yes": "good", "does not hold": "bad", "no": "bad"}
CLAIM_WORDS = {"good": "holds", "bad": "does not hold"}


def claim_mark(holds: str) -> str:
    """Mark of a claim's verdict as claims.csv says it."""
    return CLAIM_MARKS.get(holds.strip().lower(), "open")


def claims_blocks(claims: Sequence[Record]) -> list[Block]:
    """Sentences of the paper, whether they hold here, and why."""
    if not claims:
        return []
    columns = [Column("Here", number=False), Column("Evidence", number=False, long=True)]
    own = any(claim.get("in_paper") for claim in claims)
    columns += [Column("In the paper", number=False)] if own else []
    groups = [(name, [_claim_row(claim, own) for claim in of_table]) for name, of_table in grouped(claims, by="table")]
    return [Table("The paper's claims", "The paper says", columns, groups), Note(CLAIMS_NOTE)]


def _claim_row(claim: Record, own: bool) -> Row:
    mark = claim_mark(claim["holds"])
    word = CLAIM_WORDS.get(mark, claim["holds"] or "cannot be told")
    return Row(f"“{claim['quote']}”", [Cell(word, mark=mark), Cell(claim["evidence"]), *([_own(claim)] if own else [])])


def _own(claim: Record) -> Cell:
    """Whether what the paper prints bears its sentence out; where that says neither, nothing."""
    found = claim.get("in_paper", "")
    return Cell(CLAIM_WORDS[claim_mark(found)], mark=claim_mark(found)) if found in ("yes", "no") else Cell("")
