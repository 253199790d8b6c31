"""Gains over the best single candidate, their intervals, and the sentences made of them, on rows made by hand."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from monai_aggrgan.evaluation.ablation import ABLATION_NOTE, verdicts, write_ablation_table
from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS
from monai_aggrgan.evaluation.tables import REAL_LABEL

BASELINE, SUBJECT = "ablation_best_single", "ablation_edge_weighted"
LABELS = {
    "ablation_best_single": "Best single candidate",
    "ablation_mean": "Mean",
    "ablation_metric_weighted": "Metric-weighted",
    "ablation_edge_weighted": "Edge-weighted (Algorithm 1)",
    "ablation_edge_function": "Edge-weighted, literal reading",
    "real": REAL_LABEL,
}


def rows_of(
    class_name: str, method: str, paired: Sequence[float], held_out: Sequence[float] | None = None
) -> list[dict[str, str]]:
    """A row an image, its SSIM as given, all other values 0.5; reference r0, r1, ..."""
    others = {f"{metric}_{pairing}": "0.5" for metric in METRICS for pairing in PAIRINGS}
    return [
        {
            "class_name": class_name,
            "method": method,
            "reference": f"{class_name}/r{index}",
            **others,
            "ssim_paired": repr(float(near)),
            "ssim_held_out_nearest": repr(float(far)),
        }
        for index, (near, far) in enumerate(zip(paired, held_out or paired, strict=True))
    ]


def written(folder: Path, rows: Sequence[Mapping[str, str]], **options: int) -> dict[tuple[str, str], dict[str, str]]:
    """The lines of ablation.csv by class and method."""
    assert write_ablation_table(folder, rows, **options) is True
    with (folder / "ablation.csv").open(newline="", encoding="utf-8") as file:
        return {(record["Category"], record["Method"]): record for record in csv.DictReader(file)}


def numbers(cell: str) -> list[float]:
    """Mean, lower and upper end as a cell prints them."""
    found = re.fullmatch(r"([+-]\d+\.\d{3}) \[([+-]\d+\.\d{3}), ([+-]\d+\.\d{3})\]", cell)
    assert found, cell
    return [float(number) for number in found.groups()]


def test_a_constant_difference_is_its_own_interval(tmp_path: Path) -> None:
    baseline = [0.25, 0.5, 0.125, 0.75]
    rows = rows_of("a", BASELINE, baseline, [0.5] * 4)
    rows += rows_of("a", SUBJECT, [value + 0.125 for value in baseline], [0.25] * 4)
    record = written(tmp_path, rows)["a", LABELS[SUBJECT]]
    assert record["SSIM gain"] == "+0.125 [+0.125, +0.125]"
    assert record["Held-out gain"] == "-0.250 [-0.250, -0.250]"


def test_differences_are_taken_between_images_of_the_same_reference(tmp_path: Path) -> None:
    baseline = rows_of("a", BASELINE, [0.1, 0.5, 0.9])
    merged = rows_of("a", SUBJECT, [0.2, 0.6, 1.0])
    rows = [*merged[::-1], *baseline]  # in another order, and before what they are compared with
    assert written(tmp_path, rows)["a", LABELS[SUBJECT]]["SSIM gain"] == "+0.100 [+0.100, +0.100]"


def test_the_interval_is_that_of_a_bootstrap_written_out(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    baseline, differences = random.normal(0, 30, 25), random.gamma(2, 7, 25) - 5
    rows = rows_of("a", BASELINE, baseline) + rows_of("a", SUBJECT, baseline + differences)
    mean, low, high = numbers(written(tmp_path, rows)["a", LABELS[SUBJECT]]["SSIM gain"])
    means = differences[np.random.default_rng(2).integers(0, 25, (20000, 25))].mean(axis=1)
    assert mean == pytest.approx(differences.mean(), abs=6e-4)
    assert [low, high] == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.3)  # 90 % would be 0.6 narrower
    assert high - mean != pytest.approx(mean - low, abs=0.05)  # percentiles, not a normal approximation


def test_the_seed_alone_decides_the_interval(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = rows_of("a", BASELINE, random.normal(0, 9, 12)) + rows_of("a", SUBJECT, random.normal(0, 9, 12))
    gains = [written(tmp_path, rows, seed=seed)["a", LABELS[SUBJECT]]["SSIM gain"] for seed in (3, 4, 3)]
    assert gains[0] == gains[2] != gains[1]
    assert verdicts(rows, seed=3) != verdicts(rows, seed=4)


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        ([0.1, 0.2, 0.3], "is better than"),
        ([-0.1, -0.2, -0.3], "is worse than"),
        ([-0.3, 0.1, 0.3], "cannot be told from"),
        ([0.0, 0.0, 0.0], "cannot be told from"),
        ([0.0, 0.0, 0.3], "cannot be told from"),  # the interval begins at 0
    ],
)
def test_the_verdict_follows_the_interval(differences: list[float], words: str) -> None:
    baseline = [0.4, 0.5, 0.6]
    merged = [value + difference for value, difference in zip(baseline, differences, strict=True)]
    (paired,) = verdicts(rows_of("a", BASELINE, baseline, baseline) + rows_of("a", SUBJECT, merged, baseline))
    assert paired.startswith(f"a: merging by edges {words} the best single candidate in SSIM against the reference (")
    assert "and cannot be told from it against the nearest held-out image (+0.000 [+0.000, +0.000])." in paired
    (held_out,) = verdicts(rows_of("a", BASELINE, baseline, baseline) + rows_of("a", SUBJECT, baseline, merged))
    assert f"and {words} it against the nearest held-out image (" in held_out
    assert held_out.startswith("a: merging by edges cannot be told from the best single candidate")


def test_verdicts_name_the_gain_of_merging_by_edges_and_no_other(tmp_path: Path) -> None:
    rows = rows_of("b", BASELINE, [0.5] * 3) + rows_of("b", "ablation_mean", [0.9] * 3)
    rows += rows_of("b", SUBJECT, [0.25] * 3) + rows_of("a", BASELINE, [0.5] * 2) + rows_of("a", SUBJECT, [0.75] * 2)
    first, second = verdicts(rows)  # a sentence a class, in their order
    assert first.startswith("b: ") and "(-0.250 [-0.250, -0.250])" in first
    assert second.startswith("a: ") and "(+0.250 [+0.250, +0.250])" in second


def test_every_method_has_a_row_in_the_order_of_the_table_and_the_real_one_no_gain(tmp_path: Path) -> None:
    rows = [
        row
        for class_name in ("z", "a")
        for place, method in enumerate(reversed(LABELS))
        for row in rows_of(class_name, method, [place / 10] * 2)
    ]
    records = written(tmp_path, rows)
    assert list(records) == [(class_name, label) for class_name in ("z", "a") for label in LABELS.values()]
    for (_, label), record in records.items():
        without = label in (LABELS[BASELINE], REAL_LABEL)
        assert (record["SSIM gain"] == "") is (record["Held-out gain"] == "") is without
    assert records["z", REAL_LABEL]["SSIM"] == "0.000" and records["z", LABELS[BASELINE]]["SSIM"] == "0.500"
    assert records["a", "Mean"]["SSIM gain"] == "-0.100 [-0.100, -0.100]"


def test_methods_without_results_have_no_row_and_others_are_none_of_the_tables(tmp_path: Path) -> None:
    rows = [row for m in ("dcgan1", BASELINE, SUBJECT, "aggrgan_ssim") for row in rows_of("a", m, [0.5, 0.5])]
    assert list(written(tmp_path, rows)) == [("a", LABELS[BASELINE]), ("a", LABELS[SUBJECT])]


def test_one_reference_has_a_gain_without_interval_and_no_verdict(tmp_path: Path) -> None:
    rows = rows_of("a", BASELINE, [0.25]) + rows_of("a", SUBJECT, [0.75])
    record = written(tmp_path, rows)["a", LABELS[SUBJECT]]
    assert (record["SSIM gain"], record["n"]) == ("+0.500", "1")
    (sentence,) = verdicts(rows)
    assert sentence.count("cannot be told from") == 2 and "(+0.500)" in sentence


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_left_out_of_the_gain(tmp_path: Path, value: float) -> None:
    rows = rows_of("a", BASELINE, [0.5, 0.5, value, 0.5]) + rows_of("a", SUBJECT, [0.75, value, 0.75, 0.75])
    record = written(tmp_path, rows)["a", LABELS[SUBJECT]]
    assert (record["SSIM gain"], record["SSIM"], record["n"]) == ("+0.250 [+0.250, +0.250]", "0.750", "4")
    rows = rows_of("b", BASELINE, [0.5]) + rows_of("b", SUBJECT, [value])
    record = written(tmp_path, rows)["b", LABELS[SUBJECT]]
    assert (record["SSIM gain"], record["SSIM"]) == ("n/a", "n/a")
    assert "nan" not in verdicts(rows)[0]


def test_without_an_ablation_nothing_is_written(tmp_path: Path) -> None:
    rows = rows_of("a", "dcgan1", [0.5, 0.5]) + rows_of("a", "real", [0.5, 0.5])
    assert write_ablation_table(tmp_path, rows) is False
    assert list(tmp_path.iterdir()) == [] and verdicts(rows) == []


def test_the_text_holds_the_table_what_it_means_and_the_verdicts(tmp_path: Path) -> None:
    rows = [row for m in (BASELINE, SUBJECT, "real") for row in rows_of("a|b", m, [0.5, 0.25], [0.25, 0.0])]
    records = written(tmp_path, rows)
    columns = ["SSIM", "PSNR", "KL", "SD", "Held-out SSIM", "SSIM gain", "Held-out gain", "n"]
    assert all(list(record) == ["Category", "Method", *columns] for record in records.values())
    lines = (tmp_path / "ablation.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# What merging is worth"
    assert f"| Category | Method | {' | '.join(columns)} |" in lines
    assert r"| a\|b | Best single candidate | 0.375 | 0.50 | 0.500 | 0.50 | 0.125 |  |  | 2 |" in lines
    gain = "+0.000 [+0.000, +0.000]"
    assert f"|  | {LABELS[SUBJECT]} | 0.375 | 0.50 | 0.500 | 0.50 | 0.125 | {gain} | {gain} | 2 |" in lines
    assert f"|  | *{REAL_LABEL}* | 0.375 | 0.50 | 0.500 | 0.50 | 0.125 |  |  | 2 |" in lines
    assert ABLATION_NOTE in lines and set(verdicts(rows)) <= set(lines)
    tex = (tmp_path / "ablation.tex").read_text(encoding="utf-8")
    assert r"\label{tab:ablation}" in tex and tex.count("+0.000 {[}+0.000, +0.000]") >= 2


def test_the_verdict_names_a_merging_that_gains_more() -> None:
    baseline = [0.5, 0.5, 0.5]
    edges = rows_of("a", BASELINE, baseline, baseline) + rows_of("a", SUBJECT, [0.6] * 3, baseline)
    (alone,) = verdicts([*edges, *rows_of("a", "ablation_mean", [0.55] * 3, baseline)])
    assert "gains more" not in alone
    (beaten,) = verdicts([*edges, *rows_of("a", "ablation_mean", [0.65] * 3, baseline)])
    assert beaten.endswith("Mean gains more: +0.150 [+0.150, +0.150].")
