"""Questions on conditions, Holm's correction within each part, verdicts and their sentences."""

from __future__ import annotations

from collections import Counter

import pytest

from monai_aggrgan.evaluation.conditions import ARMS, MINORITY, PATIENT, Condition, conditions
from monai_aggrgan.evaluation.utility_comparisons import comparison_rows, questions, verdict_rows
from monai_aggrgan.evaluation.utility_runs import JudgedRuns
from monai_aggrgan.metrics.crossed import holm
from tests.evaluation.predicted_runs import CLASSES, predicted_runs

LABELS = {"small": "Small CNN", "vgg19": "VGG-19"}
CASES = conditions(base=30, slice_level=False)
HELPED = {"synthetic": 1.6, "transforms": 1.0}


def judged(*runs) -> JudgedRuns:
    return JudgedRuns([run for part in runs for run in part], classes=CLASSES)


def rows_of(its: JudgedRuns, **options) -> list[dict[str, str]]:
    return comparison_rows(its, labels=LABELS, base=30, **options)


def verdict_of(its: JudgedRuns) -> dict[str, str]:
    (row,) = verdict_rows(its, rows_of(its), labels=LABELS, base=30)
    return row


def test_questions_are_those_of_the_cases_the_curve_and_the_minority() -> None:
    asked = questions(conditions(base=30, counts=(10, 0, 30), minority=7), base=30, minority_class="ring")
    assert [(question.part, question.name) for question in asked] == [
        ("cases", "3b - 3a"),
        ("cases", "3c - 3a"),
        ("cases", "3b - 3c"),
        ("curve", "10: synthetic - real"),
        ("curve", "10: synthetic - transforms"),
        ("curve", "10: synthetic - oversampling"),
        ("curve", "30: synthetic - oversampling"),
        *[("minority", f"synthetic - {arm}") for arm in ("real", "transforms", "oversampling")] * 2,
    ]
    assert [question.metric for question in asked[7:]] == ["recall ring"] * 3 + ["balanced_accuracy"] * 3
    assert {question.metric for question in asked[:7]} == {"balanced_accuracy"}
    assert len({(question.first, question.second, question.metric) for question in asked}) == len(asked)
    assert asked[2].first == Condition(PATIENT, "synthetic", 30) and asked[2].second.arm == "transforms"
    assert asked[4].second == Condition(PATIENT, "transforms", 10)
    assert asked[8].first == Condition(MINORITY, "synthetic", 7) and asked[8].second.arm == "transforms"


def test_only_what_was_trained_is_asked() -> None:
    some = [Condition(PATIENT, "real"), Condition(PATIENT, "synthetic", 30), Condition(MINORITY, "synthetic", 7)]
    assert [question.name for question in questions(some, base=30, minority_class="ring")] == ["3b - 3a"]
    assert questions(some[:1], base=30) == []
    whole = conditions(base=30, minority=7)
    assert "minority" not in {question.part for question in questions(whole, base=30)}


def test_p_values_are_corrected_within_each_part_over_all_classifiers() -> None:
    trained = conditions(base=30, counts=(10,), slice_level=False, minority=7)
    margins = {"synthetic": 0.8, "transforms": 0.6, "oversampling": 0.75}
    its = judged(predicted_runs(trained, margins), predicted_runs(trained, HELPED, classifier="vgg19"))
    rows = rows_of(its, minority_class="ring")
    assert Counter(row["part"] for row in rows) == {"cases": 6, "curve": 8, "minority": 12}
    for part in ("cases", "curve", "minority"):
        mine = [row for row in rows if row["part"] == part]
        corrected = holm([float(row["p"]) for row in mine])
        assert [float(row["p_holm"]) for row in mine] == pytest.approx(corrected, abs=2e-5)
        assert {row["protocol"] for row in mine} == {MINORITY if part == "minority" else PATIENT}
    assert any(float(row["p"]) < 0.05 <= float(row["p_holm"]) for row in rows)
    for row in rows:
        mark = "better" if float(row["difference"]) > 0 else "worse"
        assert row["verdict"] == (mark if float(row["p_holm"]) < 0.05 else "cannot tell")
    assert len({row["verdict"] for row in rows}) > 1


def test_a_row_is_a_paired_difference_in_words() -> None:
    its = judged(predicted_runs(CASES, HELPED))
    first, *_ = rows_of(its)
    added, real = Condition(PATIENT, "synthetic", 30), Condition(PATIENT, "real")
    difference = its.difference("small", added, real, "balanced_accuracy")
    numbers = [float(first[name]) for name in ("difference", "low", "high", "p")]
    assert numbers == pytest.approx(difference[:4], abs=1e-6)
    assert (first["first"], first["second"]) == ("real + 30 synthetic", "real alone")
    assert (first["classifier"], first["label"], first["question"]) == ("small", "Small CNN", "3b - 3a")


@pytest.mark.parametrize(("margin", "verdict"), [(1.6, "helps"), (-0.6, "harms"), (0.5, "cannot tell")])
def test_the_verdict_is_that_of_synthetic_against_real_images(margin: float, verdict: str) -> None:
    row = verdict_of(judged(predicted_runs(CASES, {"synthetic": margin, "transforms": 0.5})))
    assert row["verdict"] == verdict and row["label"] == "Small CNN"
    words = {"helps": "class help:", "harms": "class harm:", "cannot tell": "cannot tell whether 30 synthetic"}
    assert words[verdict] in row["sentence"]


def test_the_sentence_tells_how_much_how_sure_and_beside_what() -> None:
    its = judged(predicted_runs(CASES, HELPED))
    rows = rows_of(its)
    low, high = (f"{100 * float(rows[0][end]):+.1f}" for end in ("low", "high"))
    sentence = verdict_of(its)["sentence"]
    assert sentence.startswith(
        "Small CNN: 30 synthetic images a class help: balanced accuracy "
        f"{100 * float(rows[0]['difference']):+.1f} points [{low}, {high}] over real images alone (p "
    )
    assert " after Holm; 5 trainings each, 90 test images). " in sentence
    assert f"Beside as many flips, shifts and zooms: {100 * float(rows[2]['difference']):+.1f} points [" in sentence
    assert sentence.endswith(f"], {rows[2]['verdict']}.")


def test_one_training_each_tells_a_difference_without_interval_or_verdict() -> None:
    its = judged(predicted_runs(CASES, HELPED, seeds=1))
    first, *_ = rows_of(its)
    assert float(first["difference"]) > 0.1
    assert [first[name] for name in ("low", "high", "p", "p_holm")] == [""] * 4 and first["verdict"] == "cannot tell"
    row = verdict_of(its)
    assert row["verdict"] == "cannot tell"
    assert "points over real images alone (1 training each, 90 test images)." in row["sentence"]


def test_answers_that_are_the_same_cannot_tell() -> None:
    first, *_ = rows_of(judged(predicted_runs(CASES, {arm: 0.5 for arm in ARMS})))
    assert float(first["difference"]) == 0 and float(first["p"]) == 1 and first["low"] == ""
    assert first["verdict"] == "cannot tell"


def test_without_transforms_the_sentence_ends_sooner_and_without_3b_there_is_none() -> None:
    real, added = Condition(PATIENT, "real"), Condition(PATIENT, "synthetic", 30)
    assert "flips" not in verdict_of(judged(predicted_runs([real, added], HELPED)))["sentence"]
    alone = judged(predicted_runs([real], {}))
    assert rows_of(alone) == [] == verdict_rows(alone, [], labels=LABELS, base=30)


def test_trainings_that_cannot_be_paired_are_refused() -> None:
    runs = predicted_runs(CASES, HELPED)
    dropped = [run for run in runs if (run.condition.arm, run.seed) != ("synthetic", 3)]
    with pytest.raises(ValueError, match="has the seeds"):
        rows_of(judged(dropped))
