"""Limits under seven headings: numbers where there are such, and nothing claimed that was not measured."""

from __future__ import annotations

import pytest

from monai_aggrgan.evaluation.seven_cs import seven_cs

NAMES = ["Congruence", "Coverage", "Constraint", "Completeness", "Compliance", "Comprehension", "Consistency"]
LABELS = {"aggrgan_ssim": "AGGrGAN (SSIM)"}


def measured(metric: str, value: str, *, method: str = "aggrgan_ssim", space: str = "vgg19") -> dict[str, str]:
    place = {"class_name": "a", "method": method, "space": space, "n": "9"}
    return {**place, "metric": metric, "value": value, "low": "", "high": ""}


def test_all_seven_say_what_they_ask_and_what_was_not_measured() -> None:
    criteria = seven_cs({}, facts={}, labels={})
    assert [criterion.name for criterion in criteria] == NAMES
    for criterion in criteria:
        assert criterion.asks.endswith("?") and criterion.measured and criterion.not_measured


def test_nothing_counts_as_measured_without_its_table() -> None:
    told = {criterion.name: " ".join(criterion.measured) for criterion in seven_cs({}, facts={}, labels={})}
    for name in ("Congruence", "Coverage", "Constraint", "Consistency"):
        assert told[name].startswith("Nothing")
    assert "No memorisation audit was made." in told["Compliance"]
    assert told["Comprehension"].startswith("Nothing")


def test_numbers_come_from_the_tables() -> None:
    rows = [measured("kid", "0.0312"), measured("kid", "0.001", method="real"), measured("frechet_ratio", "2.25")]
    rows += [measured("recall", "0.31"), measured("recall", "0.72", method="real")]
    audit = [
        {"class_name": name, "method": "aggrgan_ssim", "measure": "flagged", "value": "0.14", "held_out": "0.05"}
        | {"verdict": verdict}
        for name, verdict in (("a", "fail"), ("b", "pass"))
    ]
    facts = {"data": [{"class_name": "a"}], "settings": {"image_size": 64}, "seed": 0}
    tables = {"distribution": rows, "audit": audit, "table1": [{"Category": "a", "SSIM low": "1"}, {"Category": "b"}]}
    criteria = seven_cs(tables, facts=facts, labels=LABELS)
    told = {criterion.name: " ".join(criterion.measured).replace("\xa0", " ") for criterion in criteria}
    assert (
        told["Congruence"] == "AGGrGAN (SSIM), features vgg19: Fréchet ratio 2.25 (real: 1), KID 0.0312 (real: 0.001)."
    )
    assert "recall 0.31 (real: 0.72)" in told["Coverage"]
    assert "a FAILS (14 % flagged; real held-out images 5.0 %), b passes" in told["Compliance"]
    assert "64x64" in told["Completeness"] and "labels a" in told["Completeness"]
    assert told["Comprehension"] == "This report holds data and split, all settings and the seed."
    assert "2 classes apart" in told["Consistency"] and "Intervals" in told["Consistency"]


def test_use_is_told_where_it_was_measured_and_missed_where_not() -> None:
    asked = seven_cs({"verdicts": []}, facts={}, labels={})[3]
    assert asked.name == "Completeness" and "Whether the images help a classifier." in asked.not_measured
    verdicts = [{"label": name, "verdict": "helps", "sentence": f"{name} gains."} for name in ("A", "B")]
    told = seven_cs({"verdicts": verdicts}, facts={}, labels={})[3]
    assert told.measured[-1] == "As further training images of a classifier: A gains. B gains."
    assert len(told.not_measured) == len(asked.not_measured) - 1


def test_the_audit_is_told_with_the_membership_attack() -> None:
    flagged = {"class_name": "a", "method": "aggrgan_ssim", "measure": "flagged", "value": "0", "held_out": "0.05"}
    attack = {**flagged, "measure": "membership_auc_vgg19", "value": "0.6", "low": "0.56", "high": "0.65"}
    audit = [{**flagged, "verdict": "pass"}, {**attack, "verdict": ""}]
    told = " ".join(seven_cs({"audit": audit}, facts={}, labels=LABELS)[4].measured)
    assert "a passes" in told and "AUC of 0.60 [0.56, 0.65]" in told and "better than guessing in a" in told


@pytest.mark.parametrize(("patients", "known"), [((5, 4), True), ((5, None), False), ((None, None), False), ((), True)])
def test_intervals_speak_of_other_patients_only_where_patients_are_known(
    patients: tuple[int | None, ...], known: bool
) -> None:
    facts = {"data": [{"class_name": "a", "patients": count} for count in patients]}
    told = " ".join(seven_cs({"table1": [{"Category": "a", "SSIM low": "1"}]}, facts=facts, labels={})[-1].measured)
    assert ("move with other patients" in told) == known and ("not known" in told) == (not known)


def test_left_out_files_are_not_said_to_be_named() -> None:
    assert "counted, not named" in seven_cs({}, facts={}, labels={})[4].measured[-1]


def test_privacy_and_plausibility_are_not_claimed() -> None:
    criteria = {criterion.name: criterion for criterion in seven_cs({}, facts={}, labels={})}
    assert "not differentially private" in criteria["Compliance"].not_measured[0]
    assert "anatomical plausibility" in criteria["Constraint"].not_measured[0]


def test_one_seed_is_said_to_be_one() -> None:
    once, often = (seven_cs({}, facts={"repeats": count}, labels={})[-1].not_measured[0] for count in (1, 5))
    assert once.startswith("One seed") and often.startswith("5 seeds")
