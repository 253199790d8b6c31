"""What the report calls methods, and which one it answers for."""

from __future__ import annotations

import math

import pytest

from monai_aggrgan.evaluation.report_readings import (
    attack_words,
    intervals_of,
    is_part,
    method_labels,
    subject_of,
    unstyled,
)
from monai_aggrgan.evaluation.summaries import REAL_LABEL


def rows(*methods: str) -> list[dict[str, str]]:
    return [{"method": method} for method in methods]


def test_the_final_set_is_answered_for_else_the_last_that_was_judged() -> None:
    assert subject_of(rows("dcgan1", "aggrgan_ssim", "aggrgan_psnr", "real")) == "aggrgan_ssim"
    assert subject_of(rows("dcgan1", "lsgan", "steps_000", "ablation_mean", "real")) == "lsgan"
    assert subject_of(rows("real")) == ""


def test_labels_of_all_kinds_of_methods() -> None:
    labels = method_labels({"mine": "My GAN"}, more={"lsgan": "LS"})
    told = {"mine": "My GAN", "mine+style": "My GAN + style transfer", "lsgan": "LS", "infogan": "InfoGAN"}
    told |= {"aggrgan_ssim": "AGGrGAN (SSIM)", "real": REAL_LABEL, "steps_100": "Steps: selected, one GAN, unstyled"}
    assert told.items() <= labels.items()
    assert len([name for name in labels if name.startswith("steps_")]) == 8
    assert [is_part(name) for name in ("steps_100", "ablation_mean", "mine")] == [True, True, False]


def test_an_unknown_end_is_nan_and_an_unknown_value_is_left_out() -> None:
    place = {"method": "m", "metric": "kid", "space": "s"}
    table = [
        {**place, "class_name": "a", "value": "1", "low": "", "high": "2"},
        {**place, "class_name": "b", "value": "nan", "low": "0", "high": "2"},
        {**place, "class_name": "c", "value": "3", "low": "2", "high": "4", "space": "other"},
    ]
    found = intervals_of(table, method="m", metric="kid", space="s")
    assert list(found) == ["a"] and found["a"] == pytest.approx((1.0, math.nan, 2.0), nan_ok=True)


def test_a_method_is_known_before_style_transfer() -> None:
    methods = {"aggrgan_psnr": "aggregate_psnr", "dcgan1+style": "dcgan1", "lsgan": "", "aggregate_ssim": ""}
    assert {method: unstyled(method) for method in methods} == methods


def attacked(name: str, space: str, value: str, low: str, high: str, *, method: str = "m") -> dict[str, str]:
    measure = f"membership_auc_{space}"
    return {"class_name": name, "method": method, "measure": measure, "value": value, "low": low, "high": high}


def test_the_largest_auc_is_told_and_an_attack_succeeds_where_its_interval_is_above_guessing() -> None:
    other = attacked("a", "vgg19", "0.9", "0.8", "1", method="other")
    rows = [other, attacked("a", "vgg19", "0.52", "0.47", "0.58"), attacked("b", "pixels", "0.55", "0.5", "0.61")]
    text, succeeds = attack_words(rows, method="m")
    assert not succeeds and text == (
        "A membership attack has an AUC of 0.55 [0.50, 0.61] at most (b, space pixels; 0.5 is guessing)."
    )
    text, succeeds = attack_words([*rows, attacked("a", "pixels", "0.54", "0.501", "0.6")], method="m")
    assert succeeds and "0.55 [0.50, 0.61] at most" in text and "better than guessing in a (1 of 2 classes)" in text
    assert attack_words([attacked("a", "vgg19", "", "", "")], method="m") == ("", False)
