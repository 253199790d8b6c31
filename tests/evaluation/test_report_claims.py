"""The paper's claims in the report."""

from __future__ import annotations

from monai_aggrgan.evaluation.claims import CLAIMS_NOTE
from monai_aggrgan.evaluation.report_blocks import Note, Table
from monai_aggrgan.evaluation.report_claims import claim_mark, claims_blocks


def test_a_claim_shows_its_verdict_and_what_the_paper_itself_prints() -> None:
    claim = {"quote": "Q", "table": "Table 1", "holds": "holds in part", "evidence": "E", "in_paper": "no"}
    table = claims_blocks([claim, {**claim, "in_paper": ""}])[0]
    assert isinstance(table, Table)
    cells = [[(cell.mark, cell.text) for cell in row.cells] for row in table.groups[0][1]]
    assert cells[0] == [("open", "holds in part"), ("", "E"), ("bad", "does not hold")]
    assert cells[1][2] == ("", "")
    alone = claims_blocks([{**claim, "in_paper": ""}])[0]
    assert isinstance(alone, Table) and len(alone.columns) == 2


def test_marks_follow_the_verdicts_and_the_rule_stands_below() -> None:
    verdicts = ("holds", "does not hold", "holds in part", "cannot be told", "yes", "no")
    assert [claim_mark(verdict) for verdict in verdicts] == ["good", "bad", "open", "open", "good", "bad"]
    claim = {"quote": "Q", "table": "", "holds": "holds", "evidence": "E"}
    assert claims_blocks([claim])[1] == Note(CLAIMS_NOTE)
    assert claims_blocks([]) == []
