"""The paper's claims in the report."""

from __future__ import annotations

import pytest

from monai_aggrgan.evaluation.claims import CLAIMS_NOTE, DATASETS
from monai_aggrgan.evaluation.report_blocks import Heading, Note, Table
from monai_aggrgan.evaluation.report_claims import claim_mark, claims_blocks, claims_by_data_set


def test_a_claim_shows_its_verdict_and_what_the_paper_itself_prints() -> None:
    claim = {"quote": "Q", "table": "Table 1", "holds": "holds in part", "evidence": "E", "in_paper": "no"}
    claim |= {"dataset": "both"}
    table = claims_blocks([claim, {**claim, "in_paper": ""}], classes=["a"])[0]
    assert isinstance(table, Table)
    cells = [[(cell.mark, cell.text) for cell in row.cells] for row in table.groups[0][1]]
    assert cells[0][:3] == [("open", "holds in part"), ("", "E"), ("bad", "does not hold")]
    assert cells[1][2] == ("", "") and cells[1][3] == ("", "both")
    alone = claims_blocks([{**claim, "in_paper": ""}], classes=["a"])[0]
    assert isinstance(alone, Table) and [column.heading for column in alone.columns] == ["Here", "Evidence", "Made on"]


def test_marks_follow_the_verdicts_and_the_rule_stands_below() -> None:
    verdicts = ("holds", "does not hold", "holds in part", "cannot be told", "yes", "no")
    assert [claim_mark(verdict) for verdict in verdicts] == ["good", "bad", "open", "open", "good", "bad"]
    claim = {"quote": "Q", "table": "", "holds": "holds", "evidence": "E"}
    assert claims_blocks([claim], classes=["a"])[1] == Note(CLAIMS_NOTE)
    assert claims_blocks([], classes=["a"]) == []


MADE = [
    {"quote": name, "table": "Table 1", "dataset": dataset, "holds": "holds", "evidence": ""}
    for name, dataset in {**DATASETS, "both": "both"}.items()
]


@pytest.mark.parametrize(
    ("classes", "others"),
    [(["glioma", "Pituitary"], ["brats"]), (["t1", "flair"], ["figshare"]), (["a", "glioma"], []), ([], [])],
)
def test_claims_on_another_data_set_stand_apart(classes: list[str], others: list[str]) -> None:
    own, apart = claims_by_data_set(MADE, classes=classes)
    assert [claim["quote"] for claim in apart] == others
    assert [claim["quote"] for claim in own] == [c["quote"] for c in MADE if c["quote"] not in others]
    blocks = claims_blocks(MADE, classes=classes)
    shown = [[line.heading for line in block.groups[0][1]] for block in blocks if isinstance(block, Table)]
    assert shown == [[f"“{claim['quote']}”" for claim in told] for told in (own, apart) if told]
    assert ("other-claims" in [block.anchor for block in blocks if isinstance(block, Heading)]) == bool(others)
