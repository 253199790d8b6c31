"""The cards on data and trainings."""

from __future__ import annotations

from typing import Any

from monai_aggrgan.evaluation.report import FACTS
from monai_aggrgan.evaluation.report_blocks import Paragraph, Table
from monai_aggrgan.evaluation.report_cards import data_blocks, settings_blocks, training_blocks

GENERATORS = {"mine": "My GAN", "yours": "Your GAN"}


def facts(**told: Any) -> dict[str, Any]:
    return {**FACTS, "title": "", "generators": GENERATORS, **told}


def training(generator: str, **more: Any) -> dict[str, Any]:
    return {"class_name": "a", "generator": generator, "epochs": 3, "seconds": 60, **more}


def test_what_all_trainings_share_stands_in_a_sentence_and_what_differs_in_columns() -> None:
    trainings = [
        training("mine", batch_size=64, why="x" * 30, seed=1),
        training("yours", batch_size=64, why="y", seed=2),
    ]
    table, same = training_blocks(facts(trainings=trainings))
    assert isinstance(table, Table) and isinstance(same, Paragraph)
    assert [(column.heading, column.number, column.long) for column in table.columns] == [
        ("Epochs", True, False),
        ("Time", True, False),
        ("Why", False, True),
        ("Seed", True, False),
    ]
    assert [[cell.text for cell in row.cells] for row in table.groups[0][1]] == [
        ["3", "1 min 00 s", "x" * 30, "1"],
        ["3", "1 min 00 s", "y", "2"],
    ]
    assert same.text == "batch size 64."


def test_a_single_training_has_all_in_its_row() -> None:
    (table,) = training_blocks(facts(trainings=[training("mine", batch_size=64, restarts=None)]))
    assert isinstance(table, Table)
    assert [column.heading for column in table.columns] == ["Epochs", "Time", "Batch size"]


def test_data_without_patients_say_so() -> None:
    rows = [{"class_name": "a", "section": "held_out", "images": 3, "patients": None, "size": ""}]
    table = data_blocks(facts(data=rows))[0]
    assert isinstance(table, Table)
    (row,) = table.groups[0][1]
    assert (row.heading, [cell.text for cell in row.cells]) == ("held-out", ["3", "unknown", "unknown"])


def test_many_settings_and_left_out_files_are_folded() -> None:
    few, many = ({str(n): n for n in range(count)} for count in (8, 9))
    assert [settings_blocks(facts(settings=told))[1].folded for told in (few, many)] == ["", "All 9 settings"]  # type: ignore[union-attr]
    data = [{"class_name": "a", "section": "training", "images": 3, "patients": 1}]
    skipped = [{"class_name": "a", "count": 2, "reason": f"r{n}"} for n in range(6)]
    blocks = data_blocks(facts(data=data, skipped=skipped))
    tables = [block for block in blocks if isinstance(block, Table)]
    assert [block.folded for block in tables] == ["", "Reasons why files were left out (6)"]
    assert [cell.text for cell in tables[1].groups[0][1][0].cells] == ["2", "r0"]
    assert any(isinstance(block, Paragraph) and "(12)" in block.text for block in blocks)
