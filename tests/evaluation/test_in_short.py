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


def test_usefulness_is_asked_where_its_table_is_there_and_stands_after_variety() -> None:
    found = asked("Usefulness", verdicts=[])
    assert found.mark == "open" and "was not measured" in found.text
    verdicts = [{"classifier": "a", "label": "A", "verdict": "helps", "sentence": "They help."}]
    assert asked("Usefulness", verdicts=verdicts) == Finding("good", "Usefulness", "They help.")
    rows = [measured("distinct", 30, space="images")]
    found_all = in_short({"verdicts": verdicts, "distribution": rows, "table1": means("a", "1", "1")}, labels=LABELS)
    assert [finding.topic for finding in found_all] == ["Variety", "Usefulness", "SSIM"]


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


@pytest.mark.parametrize(("low", "mark"), [("0.49", "good"), ("0.56", "open")])
def test_a_membership_attack_that_succeeds_makes_a_pass_doubtful(low: str, mark: str) -> None:
    attack = {**flagged("b", "", value="0.6"), "measure": "membership_auc_vgg19", "low": low, "high": "0.65"}
    rows = [flagged("a", "pass"), flagged("b", "pass"), attack]
    found = asked("Copying", audit=rows)
    assert found.mark == mark and f"AUC of 0.60 [{low}, 0.65] at most (b, space vgg19" in found.text
    assert ("better than guessing in b" in found.text) == (mark == "open")
    assert asked("Copying", audit=[*rows, flagged("c", "fail")]).mark == "bad"


@pytest.mark.parametrize(
    ("ratio", "kid", "mark", "words"),
    [
        ((2.5, 2.0, 3.0), (0.05, 0.04, 0.06), "bad", ["farther", "2.5 times as far", "above the real row's"]),
        (
            (1.1, 0.9, 1.3),
            (0.005, -0.001, 0.01),
            "good",
            ["about as near", "ratio 1.1 in the", "KID does not lie above"],
        ),
        ((1.1, 0.9, 1.3), (0.05, 0.04, 0.06), "open", ["about as near", "interval in a"]),
        ((3.0, 0.5, 18.0), (0.005, -0.001, 0.01), "open", ["cannot be told in a: the Fréchet ratio is 3.0"]),
        ((1.1, 0.9, 1.5), (0.005, -0.001, 0.01), "open", ["cannot be told in a"]),
        ((1.1,), (0.005, -0.001, 0.01), "open", ["cannot be told in a", "missing or reach beyond 1.5"]),
        ((2.5,), (0.005, -0.001, 0.01), "open", ["cannot be told in a"]),
    ],
)
def test_likeness_compares_intervals_with_real_against_real(
    ratio: tuple[float, ...], kid: tuple[float, ...], mark: str, words: list[str]
) -> None:
    rows = [measured("frechet_ratio", *ratio), measured("kid", *kid)]
    rows.append(measured("kid", 0.0, -0.01, 0.01, method="real"))
    found = asked("Likeness", distribution=rows)
    assert found.mark == mark and all(word in found.text for word in words)


@pytest.mark.parametrize(("method", "favoured"), [("aggrgan_ssim", True), ("dcgan1", False)])
def test_likeness_says_that_style_transfer_works_in_the_network_that_judges(method: str, favoured: bool) -> None:
    found = asked("Likeness", distribution=[measured("frechet_ratio", 2.0, 1.5, 2.5, method=method)])
    assert ("favours its images" in found.text) == favoured


def test_likeness_names_the_classes_that_are_far() -> None:
    rows = [measured("frechet_ratio", 2.0, 1.5, 2.5), measured("frechet_ratio", 1.1, 0.9, 1.4, class_name="b")]
    found = asked("Likeness", distribution=rows)
    assert found.mark == "open" and "in a (1 of 2 classes): 2.0 times" in found.text


@pytest.mark.parametrize(
    ("mine", "different", "mark"),
    [
        ((0.3, 0.2, 0.4), 30, "bad"),
        ((0.65, 0.55, 0.7), 30, "good"),
        ((0.65, 0.55, 0.7), 28, "open"),
        ((0.65, 0.5, 0.7), 30, "open"),  # the real row may have 0.8, more than 1.5 times as much
        ((0.1, 0.0, 1.0), 30, "open"),
        ((0.65,), 30, "open"),
    ],
)
def test_variety_is_less_where_intervals_do_not_touch_and_doubtful_where_images_repeat(
    mine: tuple[float, ...], different: int, mark: str
) -> None:
    rows = [measured("recall", *mine), measured("recall", 0.7, 0.6, 0.8, method="real")]
    rows.append(measured("distinct", different, space="images"))
    found = asked("Variety", distribution=rows)
    assert found.mark == mark and f"of 30 images a class, {different} are different" in found.text
    assert "(real against real: 0.70)" in found.text


def test_repeats_that_style_transfer_hides_are_told() -> None:
    rows = [measured("recall", 0.65, 0.55, 0.7), measured("recall", 0.7, 0.6, 0.8, method="real")]
    rows += [measured("distinct", 30, space="images")]
    rows += [measured("distinct", count, space="images", method="aggregate_ssim", class_name=c) for c, count in BEFORE]
    found = asked("Variety", distribution=rows)
    assert found.mark == "open" and "30 are different (22 to 30 before style transfer" in found.text


def test_a_number_of_different_images_alone_is_no_evidence_of_variety() -> None:
    assert asked("Variety", distribution=[measured("distinct", 30, space="images")]).mark == "open"


BEFORE = (("a", 22), ("b", 30))


def means(name: str, mine: str, real: str, column: str = "SSIM", *, half: float | None = 0.01) -> list[dict[str, str]]:
    labelled = {f"{REAL_LABEL}, nearest": "0.990", "AGGrGAN (SSIM)": mine, REAL_LABEL: real}
    return [
        {
            "Category": name,
            "Method": label,
            column: value,
            f"{column} low": "" if half is None else f"{float(value) - half}",
            f"{column} high": "" if half is None else f"{float(value) + half}",
        }
        for label, value in labelled.items()
    ]


def test_ssim_above_real_images_is_a_warning_and_tells_blur_from_copying() -> None:
    table = [row for name in ("a", "b", "d") for row in means(name, "0.600", "0.500")] + means("c", "0.400", "0.500")
    column = "SSIM held-out nearest"
    pairings = [*means("a", "0.600", "0.500", column), *means("b", "0.500", "0.500", column)]
    found = asked("SSIM", table1=table, pairings=pairings)
    assert found.mark == "open" and "exceeds the level of real images in a, b and d (3 of 4 classes)" in found.text
    assert "(0.600 against 0.500)" in found.text
    assert (
        "a: it does so against held-out images as well; blur, most likely." in found.text
        and " b: only against its own" in found.text
    )


@pytest.mark.parametrize("mine", ["0.485", "0.515"])  # below and above, with intervals that touch
def test_ssim_at_the_level_of_real_images_is_well(mine: str) -> None:
    found = asked("SSIM", table1=means("a", mine, "0.500"))
    assert found.mark == "good"
    assert f"is at the level of real images of other patients in a ({mine} against 0.500)" in found.text


def test_ssim_below_real_images_is_bad_and_open_where_it_is_so_in_some_classes() -> None:
    below, level = means("a", "0.378", "0.506"), means("b", "0.490", "0.500")
    found = asked("SSIM", table1=below)
    assert found.mark == "bad" and "is below real images of other patients in a (0.378 against 0.506)" in found.text
    found = asked("SSIM", table1=[*below, *level])
    assert found.mark == "open" and "below real images of other patients in a (1 of 2 classes) (0.378" in found.text
    assert "at the level of real images of other patients in b (1 of 2 classes) (0.490" in found.text


@pytest.mark.parametrize("half", [0.05, 0.3, None])
def test_ssim_with_wide_or_unknown_intervals_is_undecided(half: float | None) -> None:
    table = means("a", "0.480", "0.500", half=half)
    found = asked("SSIM", table1=table)
    assert found.mark == "open" and "cannot be told in a (0.480 against 0.500)" in found.text


def test_merging_counts_only_where_its_interval_is_above_0() -> None:
    found = asked("Merging", ablation=gained(a=(BETTER, UNDECIDED), b=(UNDECIDED, "")))
    assert found.mark == "open" and "worse" not in found.text
    assert "the reference, in a (1 of 2 classes)" in found.text and "selected nothing, in none of 2" in found.text


BETTER, UNDECIDED, WORSE = "+0.020 [+0.010, +0.030]", "+0.020 [-0.010, +0.030]", "-0.010 [-0.020, -0.005]"


def gained(**gains: tuple[str, str]) -> list[dict[str, str]]:
    return [
        {"Category": name, "Method": method, "SSIM gain": paired, "Held-out gain": held_out}
        for name, (paired, held_out) in gains.items()
        for method in ("Edge-weighted (Algorithm 1)", "Edge-weighted, literal reading")
    ]


@pytest.mark.parametrize(
    ("held_out", "mark"),
    [
        ((BETTER, BETTER), "good"),
        ((BETTER, UNDECIDED), "open"),
        ((UNDECIDED, UNDECIDED), "open"),
        ((WORSE, UNDECIDED), "open"),
        ((WORSE, WORSE), "bad"),
        (("-0.020", "-0.020"), "open"),  # without intervals
        (("+0.003 [+0.000, +0.006]",) * 2, "good"),  # such as 0.0004, rounded
        (("-0.003 [-0.006, -0.000]",) * 2, "bad"),
        (("+0.003 [-0.000, +0.006]",) * 2, "open"),
        (("+0.000 [+0.000, +0.000]",) * 2, "open"),  # equal images
    ],
)
def test_merging_is_judged_by_the_interval_of_its_gain_against_held_out_images(
    held_out: tuple[str, str], mark: str
) -> None:
    rows = gained(a=(BETTER, held_out[0]), b=(BETTER, held_out[1]))
    found = asked("Merging", ablation=rows)
    assert found.mark == mark
    assert ("It is worse against held-out images" in found.text) == (WORSE in held_out or mark == "bad")


def test_claims_are_counted_by_what_became_of_them() -> None:
    claims = [{"holds": text} for text in ("holds", "holds", "does not hold", "holds in part", "cannot be told")]
    found = asked("The paper", claims=claims)
    assert found.mark == "open" and found.text.startswith("Of 5 claims")
    assert found.text.endswith("2 hold, 1 does not and 2 are open or half true.")


def test_claims_on_another_data_set_are_not_counted() -> None:
    datasets = [*["brain tumour dataset (Figshare)"] * 2, "both", *["BraTS 2020"] * 3]
    claims = [{"holds": "holds", "dataset": dataset} for dataset in datasets]
    table1 = [{"Category": name, "Method": ""} for name in ("glioma", "pituitary")]
    found = asked("The paper", claims=claims, table1=table1)
    assert found.mark == "good" and found.text.startswith("Of 3 claims of the paper on this data set")
    assert "3 hold. 3 more were made on another data set and are not counted." in found.text
    elsewhere = asked("The paper", claims=claims, table1=[{"Category": "mine", "Method": ""}])
    assert elsewhere.text.startswith("Of 6 claims of the paper that")
