"""What the report calls methods, and which one it answers for."""

from __future__ import annotations

from monai_aggrgan.evaluation.report_readings import intervals_of, is_part, method_labels, subject_of
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


def test_an_unknown_end_is_the_value_and_an_unknown_value_is_left_out() -> None:
    place = {"method": "m", "metric": "kid", "space": "s"}
    table = [
        {**place, "class_name": "a", "value": "1", "low": "", "high": "2"},
        {**place, "class_name": "b", "value": "nan", "low": "0", "high": "2"},
        {**place, "class_name": "c", "value": "3", "low": "2", "high": "4", "space": "other"},
    ]
    assert intervals_of(table, method="m", metric="kid", space="s") == {"a": (1.0, 1.0, 2.0)}
