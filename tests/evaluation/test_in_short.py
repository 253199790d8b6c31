"""The rules by which a study's answer is made."""

from __future__ import annotations

from typing import Any

import pytest

from monai_aggrgan.evaluation.in_short import Finding, in_short
from monai_aggrgan.evaluation.summaries import REAL_LABEL

LABELS = {"aggrgan_ssim": "AGGrGAN (SSIM)", "dcgan1": "DCGAN-1", "steps_000": "a step"}


def asked(topic: str, **tables: list[dict[str, str]]) -> Finding:
    """The one finding of these tables."""
    (found,) = in_short(tables, labels=LABELS)
    assert found.topic == topic
    return found


def flagged(name: str, verdict: str, *, method: str = "aggrgan_ssim", value: str = "0.03") -> dict[str, str]:
    row = {"class_name": name, "method": method, "measure": "flagged", "value": value, "held_out": "0.05", "n": "30"}
    return {**row, "verdict": verdict}


def measured(
    metric: str, value: float, low: float | None = None, high: float | None = None, **row: str
) -> dict[str, str]:
    ends = {"low": "" if low is None else f"{low:g}", "high": "" if high is None else f"{high:g}"}
    place = {"class_name": "a", "method": "aggrgan_ssim", "space": "vgg19", "n": "30"}
    return {**place, "metric": metric, "value": f"{value:g}", **ends, **row}


def test_without_tables_there_is_no_answer() -> None:
    assert in_short({}, labels={}) == []
    empty: dict[str, Any] = {name: [] for name in ("audit", "distribution", "table1", "pairings", "ablation", "claims")}
    assert in_short(empty, labels={}) == []


def test_copying_passes_only_where_the_audit_of_every_class_does() -> None:
    found = asked("Copying", audit=[flagged("a", "pass"), flagged("b", "pass", value="0.061")])
    assert found.mark == "good"
    assert "passes for AGGrGAN (SSIM) in all 2 classes: 3.0 % to 6.1 % of" in found.text.replace("\xa0", " ")
    found = asked("Copying", audit=[flagged("a", "pass"), flagged("b", "fail", value="0.14")])
    assert found.mark == "bad"
    assert "fails for AGGrGAN (SSIM) in b (1 of 2 classes): 14 % of" in found.text.replace("\xa0", " ")
    assert "5.0 % of real held-out images" in found.text.replace("\xa0", " ") and "Filter before use" in found.text


@pytest.mark.parametrize(("held_out", "mark"), [("19", "open"), ("20", "good")])
def test_a_pass_on_few_held_out_images_is_a_weak_one(held_out: str, mark: str) -> None:
    real = {**flagged("a", "", method="real"), "n": held_out}
    found = asked("Copying", audit=[flagged("a", "pass"), real])
    assert found.mark == mark and ("weak test" in found.text) == (mark == "open")


def test_failures_of_other_methods_are_told_but_not_those_of_parts_or_real_images() -> None:
    others = [flagged("a", "fail", method=method) for method in ("dcgan1", "steps_000", "real")]
    found = asked("Copying", audit=[flagged("a", "pass"), *others])
    assert found.mark == "good" and found.text.endswith("it fails in some class for DCGAN-1.")


@pytest.mark.parametrize(
    ("ratio", "kid", "mark", "words"),
    [
        ((2.5, 2.0, 3.0), (0.05, 0.04, 0.06), "bad", ["farther", "2.5 times as far", "above the real row's"]),
        ((1.1, 0.9, 1.3), (0.005, -0.001, 0.01), "good", ["cannot be told from", "ratio 1.1 in the", "not in a"]),
        ((1.1, 0.9, 1.3), (0.05, 0.04, 0.06), "open", ["cannot be told from", "interval in a"]),
    ],
)
def test_likeness_compares_intervals_with_real_against_real(
    ratio: tuple[float, ...], kid: tuple[float, ...], mark: str, words: list[str]
) -> None:
    rows = [measured("frechet_ratio", *ratio), measured("kid", *kid)]
    rows.append(measured("kid", 0.0, -0.01, 0.01, method="real"))
    found = asked("Likeness", distribution=rows)
    assert found.mark == mark and all(word in found.text for word in words)


def test_likeness_names_the_classes_that_are_far() -> None:
    rows = [measured("frechet_ratio", 2.0, 1.5, 2.5), measured("frechet_ratio", 1.1, 0.9, 1.4, class_name="b")]
    found = asked("Likeness", distribution=rows)
    assert found.mark == "open" and "in a (1 of 2 classes): 2.0 times" in found.text


@pytest.mark.parametrize(
    ("mine", "different", "mark"),
    [((0.3, 0.2, 0.4), 30, "bad"), ((0.5, 0.3, 0.7), 30, "good"), ((0.5, 0.3, 0.7), 28, "open")],
)
def test_variety_is_less_where_intervals_do_not_touch_and_doubtful_where_images_repeat(
    mine: tuple[float, ...], different: int, mark: str
) -> None:
    rows = [measured("recall", *mine), measured("recall", 0.7, 0.6, 0.8, method="real")]
    rows.append(measured("distinct", different, space="images"))
    found = asked("Variety", distribution=rows)
    assert found.mark == mark and f"of 30 images a class, {different} are different" in found.text
    assert "(real against real: 0.70)" in found.text


def means(name: str, mine: str, real: str, column: str = "SSIM") -> list[dict[str, str]]:
    labelled = {f"{REAL_LABEL}, nearest": "0.990", "AGGrGAN (SSIM)": mine, REAL_LABEL: real}
    return [
        {
            "Category": name,
            "Method": label,
            column: value,
            f"{column} low": f"{float(value) - 0.01}",
            f"{column} high": f"{float(value) + 0.01}",
        }
        for label, value in labelled.items()
    ]


def test_ssim_above_real_images_is_a_warning_and_tells_blur_from_copying() -> None:
    table = [*means("a", "0.600", "0.500"), *means("b", "0.600", "0.500"), *means("c", "0.400", "0.500")]
    column = "SSIM held-out nearest"
    pairings = [*means("a", "0.600", "0.500", column), *means("b", "0.500", "0.500", column)]
    found = asked("SSIM", table1=table, pairings=pairings)
    assert found.mark == "open" and "exceeds the level of real images in a and b (2 of 3 classes)" in found.text
    assert "(0.600 against 0.500)" in found.text
    assert "a: it does so against held-out images" in found.text and "b: only against its own" in found.text


@pytest.mark.parametrize("mine", ["0.400", "0.515"])  # below, and above with intervals that touch
def test_ssim_at_the_level_of_real_images_is_well(mine: str) -> None:
    found = asked("SSIM", table1=means("a", mine, "0.500"))
    assert found.mark == "good" and f"does not clearly exceed the level of real images ({mine} against" in found.text


def test_merging_counts_only_where_its_interval_is_above_0() -> None:
    gains = {"a": ("+0.02 [+0.01, +0.03]", "+0.01 [+0.00, +0.02]"), "b": ("+0.02 [-0.01, +0.03]", "")}
    rows = [
        {"Category": name, "Method": method, "SSIM gain": paired, "Held-out gain": held_out}
        for name, (paired, held_out) in gains.items()
        for method in ("Edge-weighted (Algorithm 1)", "Edge-weighted, literal reading")
    ]
    found = asked("Merging", ablation=rows)
    assert found.mark == "open"
    assert "the reference in a (1 of 2 classes)" in found.text and "selected nothing, in none of 2" in found.text


def test_claims_are_counted_by_what_became_of_them() -> None:
    claims = [{"holds": text} for text in ("holds", "holds", "does not hold", "holds in part", "cannot be told")]
    found = asked("The paper", claims=claims)
    assert found.mark == "open" and found.text.startswith("Of 5 claims")
    assert found.text.endswith("2 hold, 1 does not and 2 are open or half true.")
