"""The factorial of the method's steps: rows in order, effects that are known by construction."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS
from monai_aggrgan.evaluation.steps import STEPS, STEPS_NOTE, effects, steps_rows, write_steps_table

SIZE = {"selection": 0.2, "merging": 0.05, "style": -0.01}


def results(class_name: str = "a", patients: int = 6) -> list[dict[str, str]]:
    """SSIM is additive in the steps, but for a term of the reference that cancels."""
    rows = []
    for steps, method in STEPS.items():
        for reference in range(2 * patients):
            value = 0.3 + reference / 100 + sum(size for size, on in zip(SIZE.values(), steps, strict=True) if on)
            columns = {f"{metric}_{pairing}": str(value) for metric in METRICS for pairing in PAIRINGS}
            row = {"class_name": class_name, "method": method, "reference": f"{class_name}/{reference}", **columns}
            rows.append({**row, "patient": f"p-{reference // 2}"})
    return rows


def test_each_combination_has_its_row_with_the_mean_of_its_method() -> None:
    table = steps_rows(results())
    assert [(bool(r["selection"]), bool(r["aggregation"]), bool(r["style"])) for r in table] == list(STEPS)
    for row, steps in zip(table, STEPS, strict=True):
        expected = 0.355 + sum(size for size, on in zip(SIZE.values(), steps, strict=True) if on)
        assert float(row["SSIM"]) == pytest.approx(expected, abs=6e-4) == float(row["Held-out SSIM"])
        assert float(row["SSIM low"]) < float(row["SSIM"]) < float(row["SSIM high"])
        assert (row["n"], row["KID"], row["flagged"]) == ("12", "", "")
    assert len({row["Method"] for row in table}) == 8


def test_kid_and_flagged_share_stand_beside() -> None:
    kid = {"class_name": "a", "method": "steps_001", "value": "1.5", "low": "1", "high": "2", "space": "vgg19"}
    distribution = [kid | {"metric": "kid"}, kid | {"metric": "recall", "value": "9"}]
    audit = [{"class_name": "a", "method": "steps_001", "measure": "flagged", "value": "0.04"}]
    row = {row["Method"]: row for row in steps_rows(results(), distribution, audit)}["drawn, one GAN, styled"]
    assert [row[name] for name in ("KID", "KID low", "KID high", "flagged")] == ["1.5", "1", "2", "0.04"]


def test_effects_are_those_of_the_construction() -> None:
    sentences = effects(results())
    assert len(sentences) == 3
    for sentence, (factor, size) in zip(sentences, SIZE.items(), strict=True):
        assert sentence.startswith(f"a: {factor} adds")
        assert [float(number) for number in re.findall(r"[+-]\d\.\d+", sentence)] == pytest.approx([size] * 6, abs=1e-3)


def test_nothing_is_said_where_no_step_was_left_out() -> None:
    kept = [row for row in results() if not row["method"].startswith("steps_")]
    assert steps_rows(kept) == [] and effects(kept) == []
    assert steps_rows(results(), []) and not effects([r for r in results() if r["method"] != "steps_010"])


def test_three_files_hold_the_rows_the_note_and_the_effects(tmp_path: Path) -> None:
    kid = {"class_name": "a", "method": "steps_001", "value": "1.23456", "low": "1", "high": "", "space": "vgg19"}
    audit = [{"class_name": "a", "method": "steps_001", "measure": "flagged", "value": "0.0123456"}]
    assert write_steps_table(tmp_path, results(), [kid | {"metric": "kid"}], audit, seed=3) is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["steps.csv", "steps.md", "steps.tex"]
    with (tmp_path / "steps.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows == steps_rows(results(), [kid | {"metric": "kid"}], audit, seed=3)
    assert [rows[3][name] for name in ("KID", "KID low", "KID high", "flagged")] == ["1.23", "1", "", "0.0123"]
    lines = (tmp_path / "steps.md").read_text(encoding="utf-8").splitlines()
    assert STEPS_NOTE in lines and set(effects(results(), seed=3)) <= set(lines)
    assert not any("patient is unknown" in line for line in lines)
    assert (tmp_path / "steps.tex").read_text(encoding="utf-8").count("drawn, one GAN") == 2


def test_without_steps_nothing_is_written_and_unknown_patients_are_told(tmp_path: Path) -> None:
    kept = [row for row in results() if not row["method"].startswith("steps_")]
    assert write_steps_table(tmp_path, kept) is False and list(tmp_path.iterdir()) == []
    others = [{**results()[0], "method": "dcgan1", "patient": ""}]
    assert write_steps_table(tmp_path, [*results(), *others])
    assert "patient is unknown" not in (tmp_path / "steps.md").read_text(encoding="utf-8")
    assert write_steps_table(tmp_path, [row | {"patient": ""} for row in results()])
    assert "The patient is unknown for all rows" in (tmp_path / "steps.md").read_text(encoding="utf-8")
