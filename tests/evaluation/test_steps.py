"""The factorial of the method's steps: rows in order, effects that are known by construction."""

from __future__ import annotations

import re

import pytest

from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS
from monai_aggrgan.evaluation.steps import STEPS, effects, steps_rows

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
