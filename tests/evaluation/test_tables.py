"""Means, bold, order and the counting of what is left out."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS
from monai_aggrgan.evaluation.tables import (
    PAPER_NOTE,
    REAL_LABEL,
    pairing_heading,
    summarise,
    write_baselines_table,
    write_pairings_table,
    write_table1,
)
from monai_aggrgan.exceptions import InputError

GENERATORS = {"dcgan1": "DCGAN-1", "mine": "My GAN"}
REALS = [REAL_LABEL, *(f"{REAL_LABEL}, {name}" for name in ("nearest", "random", "held-out nearest"))]
METHODS = ("real", "aggrgan_psnr", "mine", "mine+style", "aggregate_ssim", "dcgan1", "dcgan1+style", "aggrgan_ssim")


def row(class_name: str, method: str, **values: float) -> dict[str, str]:
    columns = {f"{metric}_{pairing}": "0.5" for pairing in PAIRINGS for metric in METRICS}
    return {"class_name": class_name, "method": method, **columns, **{k: str(v) for k, v in values.items()}}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


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
    columns = [h + end for h in ("SSIM", "PSNR", "KL-divergence", "SD") for end in ("", " low", " high", " paper")]
    assert list(records[0]) == ["Category", "Method", *columns, "n", "left_out", "best"]
    labels = ["DCGAN-1", "DCGAN-1 + style transfer", "My GAN", "My GAN + style transfer", "AGGrGAN (SSIM)"]
    labels += ["AGGrGAN (PSNR)", *REALS]
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
    assert best[:2] == ["SSIM PSNR", "SSIM KL-divergence SD"]  # 0.400 twice: both bold
    assert best[2:] == [""] * 4 + ["SSIM PSNR KL-divergence SD"]
    lines = (tmp_path / "table1.md").read_text().splitlines()
    assert "| a | DCGAN-1 | **0.400** | **18.00** | 0.300 | 20.00 | 1 |" in lines
    assert f"|  | *{REAL_LABEL}* | 0.900 | 18.00 | 0.100 | 21.00 | 1 |" in lines


def test_pairings_table_holds_every_pairing_of_every_method(tmp_path: Path) -> None:
    values = {f"{m}_{p}": 10 * i + j for i, m in enumerate(("ssim", "psnr"), 1) for j, p in enumerate(PAIRINGS)}
    write_pairings_table(tmp_path, [row("a", method, **values) for method in METHODS], generators=GENERATORS)
    records = read_csv(tmp_path / "pairings.csv")
    assert len(records) == len(METHODS)
    assert records[-1]["Method"] == REAL_LABEL
    headings = [pairing_heading(metric, pairing) for metric in ("ssim", "psnr") for pairing in PAIRINGS]
    assert headings[3] == "SSIM held-out nearest"
    assert [records[0][heading] for heading in headings] == [
        *("10.000", "11.000", "12.000", "13.000"),
        *("20.00", "21.00", "22.00", "23.00"),
    ]
    assert "**" not in (tmp_path / "pairings.md").read_text()


def test_a_bar_in_a_class_name_does_not_break_the_markdown(tmp_path: Path) -> None:
    write_table1(tmp_path, [row("T1|T2", "mine")], generators=GENERATORS)
    assert r"| T1\|T2 | My GAN |" in (tmp_path / "table1.md").read_text()


def test_intervals_are_printed_in_all_three_files_and_nowhere_invented(tmp_path: Path) -> None:
    rows = [row("a", "mine", ssim_paired=0.4), row("a", "mine", ssim_paired=0.6), row("a", "dcgan1", ssim_paired=0.1)]
    write_table1(tmp_path, rows, generators=GENERATORS)
    one, two = read_csv(tmp_path / "table1.csv")
    assert (two["SSIM"], two["SSIM low"], two["SSIM high"], two["n"]) == ("0.500", "0.400", "0.600", "2")
    assert (one["SSIM"], one["SSIM low"], one["SSIM high"], one["SSIM paper"]) == ("0.100", "", "", "")
    text, tex = ((tmp_path / f"table1.{suffix}").read_text() for suffix in ("md", "tex"))
    assert "| **0.500 [0.400, 0.600]** |" in text and "| 0.100 |" in text
    assert r"\textbf{0.500 {[}0.400, 0.600]}" in tex and "& 0.100 &" in tex
    assert "SSIM paper" not in text and "paper" not in tex.split("tabular")[1]


def test_real_against_real_stands_in_every_pairing_below_the_methods(tmp_path: Path) -> None:
    values = {f"{m}_{p}": i * 10 + j for i, m in enumerate(METRICS) for j, p in enumerate(PAIRINGS)}
    write_table1(tmp_path, [row("a", "mine"), row("a", "real", **values)], generators=GENERATORS)
    records = read_csv(tmp_path / "table1.csv")
    assert [record["Method"] for record in records] == ["My GAN", *REALS]
    for column, metric in enumerate(("SSIM", "PSNR", "KL-divergence", "SD")):
        assert [float(record[metric]) for record in records[1:]] == [column * 10 + j for j in range(4)]
    assert (tmp_path / "table1.md").read_text().count(f"| *{REAL_LABEL}") == 4


@pytest.mark.parametrize(
    ("class_name", "title", "printed"),
    [("Glioma", "Table 1", "0.39"), ("T2-FLAIR", "Table 2", "0.48"), ("ring", "Table 1 layout", "")],
)
def test_the_papers_values_stand_beside_those_of_its_own_classes(
    tmp_path: Path, class_name: str, title: str, printed: str
) -> None:
    write_table1(tmp_path, [row(class_name, method) for method in METHODS], generators=GENERATORS)
    records = {record["Method"]: record for record in read_csv(tmp_path / "table1.csv")}
    assert records["DCGAN-1"]["SSIM paper"] == printed
    assert records["My GAN"]["SSIM paper"] == records[REAL_LABEL]["SSIM paper"] == ""
    text = (tmp_path / "table1.md").read_text()
    assert text.startswith(f"# {title}\n") and ("| SSIM paper |" in text) is bool(printed)
    assert (PAPER_NOTE in text) is bool(printed) and f"\\caption{{{title}. " in (tmp_path / "table1.tex").read_text()


@pytest.mark.parametrize(
    ("class_name", "title"), [("Glioma", "Table 3"), ("t1", "Table 4"), ("ring", "Table 3 layout")]
)
def test_baselines_stand_beside_aggrgan_and_real(tmp_path: Path, class_name: str, title: str) -> None:
    baselines = {"lsgan": "LSGAN", "infogan": "InfoGAN"}
    rows = [row(class_name, m, ssim_paired=i) for i, m in enumerate((*METHODS, "lsgan"))]
    assert write_baselines_table(tmp_path, rows, baselines=baselines) is True
    records = read_csv(tmp_path / "baselines.csv")
    assert [record["Method"] for record in records] == ["LSGAN", "AGGrGAN (SSIM)", *REALS]
    assert "SSIM" in records[0]["best"].split() and "SSIM" not in records[1]["best"].split()
    assert bool(records[0]["PSNR paper"]) == bool(records[1]["PSNR paper"]) == ("layout" not in title)
    assert (tmp_path / "baselines.md").read_text().startswith(f"# {title}\n")


def test_without_a_baseline_there_is_no_such_table(tmp_path: Path) -> None:
    rows = [row("a", method) for method in METHODS]
    assert write_baselines_table(tmp_path, rows, baselines={"lsgan": "LSGAN"}) is False
    assert write_baselines_table(tmp_path, rows, baselines={}) is False
    assert list(tmp_path.iterdir()) == []


def test_pairings_have_intervals_in_the_csv_alone(tmp_path: Path) -> None:
    rows = [row("a", "mine", ssim_random=value) for value in (0.25, 0.75)]
    write_pairings_table(tmp_path, rows, generators=GENERATORS)
    (record,) = read_csv(tmp_path / "pairings.csv")
    assert (record["SSIM random low"], record["SSIM random high"], record["n"]) == ("0.250", "0.750", "2")
    assert "[" not in (tmp_path / "pairings.md").read_text() and (tmp_path / "pairings.tex").is_file()


def test_rows_without_a_patient_are_told(tmp_path: Path) -> None:
    rows = [row("a", "mine") | {"patient": name} for name in ("p", "", "p")]
    write_table1(tmp_path, rows, generators=GENERATORS)
    assert "The patient is unknown for 1 of 3 rows" in (tmp_path / "table1.md").read_text()
    write_table1(tmp_path, [r | {"patient": "p"} for r in rows], generators=GENERATORS)
    assert "patient is unknown" not in (tmp_path / "table1.md").read_text()


def test_results_without_the_methods_of_a_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the methods of table1"):
        write_table1(tmp_path, [row("a", "unknown")], generators=GENERATORS)
    with pytest.raises(InputError, match="none of the methods of pairings"):
        write_pairings_table(tmp_path, [row("a", "unknown")], generators=GENERATORS)
    real = [row("a", "unknown"), row("a", "real")]  # real slices alone are no result
    with pytest.raises(InputError, match="none of the methods of table1"):
        write_table1(tmp_path, real, generators=GENERATORS)
    with pytest.raises(InputError, match="none of the methods of pairings"):
        write_pairings_table(tmp_path, real, generators=GENERATORS)
    assert list(tmp_path.iterdir()) == []
