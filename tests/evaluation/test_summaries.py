"""Means and intervals of results.csv, and what is refused."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS
from monai_aggrgan.evaluation.summaries import ends, printed, read_results, summarise, unknown_patients
from monai_aggrgan.exceptions import InputError
from monai_aggrgan.metrics import Interval, mean_interval


def row(class_name: str, method: str, **values: float) -> dict[str, str]:
    columns = {f"{metric}_{pairing}": "0.5" for pairing in PAIRINGS for metric in METRICS}
    return {"class_name": class_name, "method": method, **columns, **{k: str(v) for k, v in values.items()}}


def test_summary_is_the_mean_over_images() -> None:
    rows = [row("a", "mine", ssim_paired=0.2, ssim_random=0.1), row("a", "mine", ssim_paired=0.6, ssim_random=0.3)]
    paired, random = summarise([*rows, row("b", "mine")]), summarise(rows, pairing="random")
    assert [(s["class_name"], s["method"], s["n"]) for s in paired] == [("a", "mine", 2), ("b", "mine", 1)]
    assert (paired[0]["ssim"], random[0]["ssim"]) == (pytest.approx(0.4), pytest.approx(0.2))


def test_intervals_go_by_patient_and_are_those_of_the_metric() -> None:
    values = np.repeat(np.random.default_rng(0).normal(0.5, 0.1, 12), 4)
    rows = [row("a", "mine", ssim_paired=v, psnr_random=v) | {"patient": f"p{i // 4}"} for i, v in enumerate(values)]
    expected = mean_interval(values, np.arange(48) // 4, seed=3)
    (summary,) = summarise(rows, seed=3)
    assert (summary["ssim"], summary["ssim_low"], summary["ssim_high"]) == pytest.approx(tuple(expected))
    (alone,) = summarise([{**r, "patient": ""} for r in rows], seed=3)
    (old,) = summarise([{k: v for k, v in r.items() if k != "patient"} for r in rows], seed=3)
    assert alone == old and old["ssim_high"] - old["ssim_low"] < 0.7 * (expected.high - expected.low)
    (random,) = summarise(rows, pairing="random", metrics=["psnr"], seed=3)
    assert random["psnr_low"] == summary["ssim_low"] and "ssim" not in random


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [row("a", "mine", ssim_paired=0.25)]
    with (tmp_path / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert read_results(tmp_path / "results.csv") == rows


def test_results_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    with pytest.raises(InputError, match=r"no results\.csv"):
        read_results(path)
    path.write_text("class_name,method\n")
    with pytest.raises(InputError, match="has no rows"):
        read_results(path)
    path.write_text("class_name,method\na,mine\n")
    with pytest.raises(InputError, match="lacks the columns ssim_paired, psnr_paired"):
        read_results(path)
    with pytest.raises(ValueError, match="closest"):
        summarise([row("a", "mine")], pairing="closest")


def test_figures_are_printed_with_the_digits_of_their_metric() -> None:
    assert (printed("ssim", 0.54949), printed("psnr", 17.325), printed("sd", math.inf)) == ("0.549", "17.32", "n/a")
    assert ends("kl", Interval(0.5, 0.25, 0.75)) == ("0.250", "0.750")
    assert ends("kl", Interval(0.5, math.nan, math.nan)) == ("", "")


def test_unknown_patients_are_counted() -> None:
    assert unknown_patients([{"patient": "p"}, {"patient": "q"}]) == ""
    assert "for 1 of 2 rows" in unknown_patients([{"patient": "p"}, {"patient": ""}])
    assert "for all rows" in unknown_patients([{}, {"patient": ""}])
