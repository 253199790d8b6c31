"""Means, bold, order and the counting of what is left out."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS
from monai_aggrgan.evaluation.tables import (
    REAL_LABEL,
    read_results,
    summarise,
    write_pairings_table,
    write_table1,
)
from monai_aggrgan.exceptions import InputError

GENERATORS = {"dcgan1": "DCGAN-1", "mine": "My GAN"}
METHODS = ("real", "aggrgan_psnr", "mine", "mine+style", "aggregate_ssim", "dcgan1", "dcgan1+style", "aggrgan_ssim")


def row(class_name: str, method: str, **values: float) -> dict[str, str]:
    columns = {f"{metric}_{pairing}": "0.5" for pairing in PAIRINGS for metric in METRICS}
    return {"class_name": class_name, "method": method, **columns, **{k: str(v) for k, v in values.items()}}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_summary_is_the_mean_over_images() -> None:
    rows = [row("a", "mine", ssim_paired=0.2, ssim_random=0.1), row("a", "mine", ssim_paired=0.6, ssim_random=0.3)]
    paired, random = summarise([*rows, row("b", "mine")]), summarise(rows, pairing="random")
    assert [(s["class_name"], s["method"], s["n"]) for s in paired] == [("a", "mine", 2), ("b", "mine", 1)]
    assert (paired[0]["ssim"], random[0]["ssim"]) == (pytest.approx(0.4), pytest.approx(0.2))


def test_values_that_are_not_finite_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [row("a", "mine", psnr_paired=value, sd_paired="inf") for value in (float("inf"), float("nan"), 20, 30)]
    (summary,) = summarise(rows)
    assert (summary["psnr"], summary["psnr_left_out"], summary["n"], summary["ssim_left_out"]) == (25, 2, 4, 0)
    write_table1(tmp_path, rows, generators=GENERATORS)
    (record,) = read_csv(tmp_path / "table1.csv")
    assert (record["PSNR"], record["SD"], record["left_out"]) == ("25.00", "n/a", "2 PSNR, 4 SD")
    assert "SD" not in record["best"].split()
    assert "a, My GAN: 2 PSNR, 4 SD." in (tmp_path / "table1.md").read_text()


def test_table1_has_the_papers_columns_and_order_and_the_real_row_last(tmp_path: Path) -> None:
    write_table1(tmp_path, [row(c, m) for c in ("z", "a") for m in METHODS], generators=GENERATORS)
    records = read_csv(tmp_path / "table1.csv")
    assert list(records[0])[:6] == ["Category", "Method", "SSIM", "PSNR", "KL-divergence", "SD"]
    labels = ["DCGAN-1", "DCGAN-1 + style transfer", "My GAN", "My GAN + style transfer", "AGGrGAN (SSIM)"]
    labels += ["AGGrGAN (PSNR)", REAL_LABEL]
    assert [(r["Category"], r["Method"]) for r in records] == [(c, label) for c in ("z", "a") for label in labels]


def test_methods_without_results_have_no_row(tmp_path: Path) -> None:
    write_table1(tmp_path, [row("a", "mine"), row("a", "wgan_div")], generators=GENERATORS)
    assert [record["Method"] for record in read_csv(tmp_path / "table1.csv")] == ["My GAN"]


def test_best_is_highest_but_lowest_for_kl_by_class_and_never_real(tmp_path: Path) -> None:
    rows = [
        row("a", "dcgan1", ssim_paired=0.4, psnr_paired=18, kl_paired=0.3, sd_paired=20),
        row("a", "mine", ssim_paired=0.4001, psnr_paired=17, kl_paired=0.2, sd_paired=21),
        row("a", "real", ssim_paired=0.9, psnr_paired=18, kl_paired=0.1, sd_paired=21),
        row("b", "mine", ssim_paired=0.1, psnr_paired=1, kl_paired=9, sd_paired=1),
    ]
    write_table1(tmp_path, rows, generators=GENERATORS)
    best = [record["best"] for record in read_csv(tmp_path / "table1.csv")]
    assert best == ["SSIM PSNR", "SSIM KL-divergence SD", "", "SSIM PSNR KL-divergence SD"]  # 0.400 twice: both bold
    lines = (tmp_path / "table1.md").read_text().splitlines()
    assert "| a | DCGAN-1 | **0.400** | **18.00** | 0.300 | 20.00 | 1 |" in lines
    assert f"|  | *{REAL_LABEL}* | 0.900 | 18.00 | 0.100 | 21.00 | 1 |" in lines


def test_pairings_table_holds_every_pairing_of_every_method(tmp_path: Path) -> None:
    values = {f"{m}_{p}": 10 * i + j for i, m in enumerate(("ssim", "psnr"), 1) for j, p in enumerate(PAIRINGS)}
    write_pairings_table(tmp_path, [row("a", method, **values) for method in METHODS], generators=GENERATORS)
    records = read_csv(tmp_path / "pairings.csv")
    assert len(records) == len(METHODS)
    assert records[-1]["Method"] == REAL_LABEL
    assert list(records[0].values())[2:10] == [
        *("10.000", "11.000", "12.000", "13.000"),
        *("20.00", "21.00", "22.00", "23.00"),
    ]
    assert "**" not in (tmp_path / "pairings.md").read_text()


def test_a_bar_in_a_class_name_does_not_break_the_markdown(tmp_path: Path) -> None:
    write_table1(tmp_path, [row("T1|T2", "mine")], generators=GENERATORS)
    assert r"| T1\|T2 | My GAN |" in (tmp_path / "table1.md").read_text()


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
    with pytest.raises(InputError, match="none of the methods"):
        write_table1(tmp_path, [row("a", "unknown")], generators=GENERATORS)
    assert not (tmp_path / "table1.csv").exists()
