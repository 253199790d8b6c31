"""Verdicts on the paper's claims, on rows made so that the truth is known."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from monai_aggrgan.evaluation.claim_list import SENTENCES
from monai_aggrgan.evaluation.claims import Claim, claims_rows, read_claims
from monai_aggrgan.evaluation.similarity import METRICS, PAIRINGS

GENERATORS = {"dcgan1": "DCGAN-1", "dcgan2": "DCGAN-2", "wgan_div": "WGAN-div"}
BASELINES = {"lsgan": "LSGAN", "infogan": "InfoGAN"}
STYLED = {f"{name}+style": 0.0 for name in GENERATORS}
BEST_SSIM = "AGGrGAN (SSIM) has generated images with the best SSIM scores"


def rows_of(
    class_name: str, ssim: Mapping[str, float], *, metric: str = "ssim", noise: float = 0.01
) -> list[dict[str, str]]:
    """Eight images a method; values near the mean that is given, all other metrics 0.5."""
    drawn = random.Random(class_name)
    return [
        {f"{m}_{p}": "0.5" for m in METRICS for p in PAIRINGS}
        | {"class_name": class_name, "method": method, "reference": f"r{i}", "patient": f"p{i // 2}"}
        | {f"{metric}_paired": repr(mean + noise * drawn.uniform(-1, 1))}
        for method, mean in ssim.items()
        for i in range(8)
    ]


def read(rows: list[dict[str, str]], quote: str) -> Claim:
    claims = read_claims(rows, generators=GENERATORS, baselines=BASELINES)
    (claim,) = [claim for claim in claims if claim.quote.startswith(quote)]
    return claim


def methods(best: float) -> dict[str, float]:
    return {**dict.fromkeys(GENERATORS, 0.3), **dict.fromkeys(STYLED, 0.4), "aggrgan_psnr": 0.42, "aggrgan_ssim": best}


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (0.5, 0.5, "holds"),
        (0.35, 0.35, "does not hold"),
        (0.5, 0.35, "holds in part"),
        (0.42, 0.42, "cannot be told"),
        (0.42, 0.35, "does not hold"),
        (0.5, 0.42, "holds in part"),
    ],
)
def test_best_of_all_follows_the_intervals_in_every_class(first: float, second: float, verdict: str) -> None:
    rows = rows_of("ring", methods(first), noise=0.02) + rows_of("blob", methods(second), noise=0.02)
    claim = read(rows, BEST_SSIM)
    assert (claim.holds, claim.table, claim.in_paper) == (verdict, "Table 1", True)
    assert "Figshare" in claim.dataset and "ring: " in claim.evidence and "blob: " in claim.evidence
    assert ("Holds for ring only." in claim.evidence) is (verdict == "holds in part")


def test_the_evidence_has_the_numbers_of_the_difference_that_decides() -> None:
    values = {"dcgan1": 0.25, "dcgan2": 0.375, "aggrgan_ssim": 0.5}
    claim = read(rows_of("ring", values, noise=0), BEST_SSIM)
    assert "ring: holds, 2 of 2 differences as claimed, least so SSIM of AGGrGAN (SSIM) minus DCGAN-2" in claim.evidence
    assert "+0.125 [+0.125, +0.125] (above 0 claimed)" in claim.evidence


def test_higher_noise_than_effect_cannot_be_told() -> None:
    assert read(rows_of("ring", {"dcgan1": 0.49, "aggrgan_ssim": 0.5}, noise=0.4), BEST_SSIM).holds == "cannot be told"


@pytest.mark.parametrize(("lower", "verdict"), [(1, "holds"), (0, "does not hold")])
def test_any_needs_one_and_kl_is_better_when_lower(lower: int, verdict: str) -> None:
    kl = {name: 0.2 if i < lower else 0.9 for i, name in enumerate(GENERATORS)} | {"aggrgan_ssim": 0.5}
    claim = read(rows_of("ring", kl, metric="kl"), "at least one base model")
    assert claim.holds == verdict and f"{lower} of 3 differences" in claim.evidence


@pytest.mark.parametrize(("raised", "verdict"), [(3, "holds"), (2, "holds"), (1, "does not hold")])
def test_most_is_more_than_half_and_all_is_all(raised: int, verdict: str) -> None:
    psnr = dict.fromkeys(GENERATORS, 15.0) | {
        f"{n}+style": 16.0 if i < raised else 14.0 for i, n in enumerate(GENERATORS)
    }
    assert read(rows_of("ring", psnr, metric="psnr"), "and PSNR values for most").holds == verdict
    ssim = read(rows_of("ring", {k: v / 20 for k, v in psnr.items()}), "the addition of style transfer")
    assert ssim.holds == ("holds" if raised == 3 else "does not hold")


def test_most_counts_the_cases_of_all_classes_together() -> None:
    """Five of six rise, in one class only one of two: more than half of all."""
    low, high = {"dcgan1": 15.0, "dcgan2": 15.0}, {"dcgan1+style": 16.0, "dcgan2+style": 16.0}
    rows = rows_of("ring", low | high, metric="psnr") + rows_of("blob", low | high, metric="psnr")
    rows += rows_of("dot", low | high | {"dcgan2+style": 14.0}, metric="psnr")
    claim = read(rows, "and PSNR values for most")
    assert claim.holds == "holds" and "ring, blob, dot: holds, 5 of 6 differences" in claim.evidence
    half = rows_of("ring", low | high | {"dcgan1+style": 14.0}, metric="psnr")
    assert read(half, "and PSNR values for most").holds == "does not hold"


@pytest.mark.parametrize(
    ("wgan", "other", "verdict"),
    [(-1, 1, "holds"), (1, 1, "does not hold"), (-1, -1, "does not hold"), (-1, 0, "cannot be told")],
)
@pytest.mark.parametrize(
    ("quote", "metric", "own_class"),
    [("Only WGAN has", "psnr", "meningioma"), ("style transfer has improved KL", "kl", "pituitary")],
)
def test_only_wgan_is_wgan_and_no_other(
    quote: str, metric: str, own_class: str, wgan: int, other: int, verdict: str
) -> None:
    values = {"dcgan1": 5.0, "dcgan1+style": 6.0, "dcgan2": 5.0, "dcgan2+style": 5.0 + other, "wgan_div": 5.0}
    rows = rows_of(own_class, values | {"wgan_div+style": 5.0 + wgan}, metric=metric, noise=0.1)
    if other == 0:
        rows = [row | ({f"{metric}_paired": "5.0"} if row["method"].startswith("dcgan2") else {}) for row in rows]
    elsewhere = rows_of("glioma", values | {"wgan_div+style": 9.0}, metric=metric)
    claim = read([*rows, *elsewhere], quote)
    assert claim.holds == verdict and "glioma" not in claim.evidence
    without = [row for row in rows if row["method"] != "wgan_div+style"]
    claims = read_claims(without, generators=GENERATORS, baselines={})
    assert not [claim for claim in claims if claim.quote.startswith(quote)]


def rivals_of(class_name: str, **ahead: float) -> list[dict[str, str]]:
    """AGGrGAN (SSIM) at 0.5 in all metrics; LSGAN behind by 0.1, InfoGAN ahead by as much as is given, else behind."""
    rows = []
    for method in ("aggrgan_ssim", "lsgan", "infogan"):
        row_list = rows_of(class_name, {method: 0.5}, noise=0)
        for metric in METRICS:
            better = -1 if metric == "kl" else 1
            behind = {"aggrgan_ssim": 0.0, "lsgan": -0.1, "infogan": ahead.get(metric, -0.2)}[method]
            row_list = [row | {f"{metric}_paired": repr(0.5 + better * behind)} for row in row_list]
        rows += row_list
    return rows


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [
        ({"psnr": 0.1, "kl": 0.1}, "holds"),
        ({"psnr": 0.1}, "does not hold"),
        ({"psnr": 0.1, "kl": 0.1, "sd": 0.1}, "does not hold"),
        ({"psnr": 0.1, "kl": 0.0}, "cannot be told"),
    ],
)
def test_outperformed_by_any_is_by_one(ahead: dict[str, float], verdict: str) -> None:
    rows = rivals_of("T1", **ahead) + rivals_of("T2", ssim=0.1)
    claim = read(rows, "Only cases where")
    assert (claim.holds, claim.table, claim.dataset) == (verdict, "Table 4", "BraTS 2020")
    assert "T1: " in claim.evidence and "T2: " not in claim.evidence
    only_lsgan = [row for row in rows if row["method"] != "infogan"]
    assert read(only_lsgan, "Only cases where").holds == "does not hold"


def test_the_best_outcome_of_a_case_is_better_than_every_rivals() -> None:
    quote = "AGGrGAN has the best outcome for most of the cases"
    claim = read(rivals_of("T1", psnr=0.1, kl=0.1) + rivals_of("T2", psnr=0.1), quote)
    assert claim.holds == "holds" and "T1, T2: holds, 5 of 8 differences" in claim.evidence
    claim = read(rivals_of("T1", psnr=0.1, kl=0.1) + rivals_of("T2", psnr=0.1, sd=0.1), quote)
    assert claim.holds == "does not hold" and "4 of 8" in claim.evidence  # half of them are not most


@pytest.mark.parametrize(("value", "verdict"), [(0.5, "holds"), (0.3, "does not hold"), (0.7, "does not hold")])
def test_neighbouring_is_within_a_tenth(value: float, verdict: str) -> None:
    assert read(rows_of("ring", {"aggrgan_ssim": value}), "images with SSIM values neighbouring").holds == verdict


@pytest.mark.parametrize(("real", "verdict"), [(0.6, "holds"), (0.4, "does not hold")])
def test_high_ssim_is_read_against_real_slices(real: float, verdict: str) -> None:
    claim = read(rows_of("ring", {"aggrgan_ssim": 0.5, "real": real}), "a high SSIM score suggests")
    assert claim.holds == verdict and claim.in_paper is None


def test_merging_is_read_before_style_transfer() -> None:
    values = dict.fromkeys(GENERATORS, 0.4) | dict.fromkeys(STYLED, 0.9) | {"aggregate_ssim": 0.5}
    claim = read(rows_of("ring", values), "stand-alone GANs")
    assert (claim.holds, claim.table, claim.dataset) == ("holds", "", "both")


def test_a_claim_on_some_classes_speaks_of_them_alone_on_its_own_data_and_of_all_elsewhere() -> None:
    quote = "AGGrGAN (PSNR) has generated images with maximum PSNR"
    psnr = {"dcgan1": 15.0, "aggrgan_psnr": 17.0}
    rows = [row for name in ("Glioma", "meningioma") for row in rows_of(name, psnr, metric="psnr")]
    assert "meningioma" not in read(rows, quote).evidence and "Glioma: holds" in read(rows, quote).evidence
    elsewhere = [row for name in ("ring", "blob") for row in rows_of(name, psnr, metric="psnr")]
    assert "ring: holds" in read(elsewhere, quote).evidence and "blob: holds" in read(elsewhere, quote).evidence


def test_claims_without_results_are_left_out() -> None:
    assert read_claims([], generators=GENERATORS, baselines=BASELINES) == []
    everything = [*GENERATORS, *STYLED, "aggregate_ssim", "aggrgan_ssim", "aggrgan_psnr", *BASELINES, "real"]
    all_claims = read_claims(
        rows_of("ring", dict.fromkeys(everything, 0.5)), generators=GENERATORS, baselines=BASELINES
    )
    assert [claim.quote for claim in all_claims] == [sentence.quote for sentence in SENTENCES]
    without = [name for name in everything if name not in BASELINES]
    claims = read_claims(rows_of("ring", dict.fromkeys(without, 0.5)), generators=GENERATORS, baselines=BASELINES)
    assert not {claim.table for claim in claims} & {"Table 3", "Table 4"} and len(claims) == len(all_claims) - 9
    others = {"mine": "My GAN"}
    claims = read_claims(rows_of("ring", {"mine": 0.4, "aggrgan_ssim": 0.5}), generators=others, baselines={})
    assert not any("DCGAN-1" in claim.quote for claim in claims) and any("My GAN" in claim.evidence for claim in claims)


def test_one_patient_has_no_interval_and_no_verdict() -> None:
    rows = [{**row, "patient": "p"} for row in rows_of("ring", {"dcgan1": 0.1, "aggrgan_ssim": 0.5})]
    claim = read(rows, BEST_SSIM)
    assert claim.holds == "cannot be told" and "without an interval" in claim.evidence and "nan" not in claim.evidence


def test_the_seed_decides_and_rows_are_plain_text() -> None:
    rows = rows_of("ring", {"dcgan1": 0.45, "aggrgan_ssim": 0.5, "real": 0.4}, noise=0.2)
    rows = [{**row, "patient": ""} for row in rows]
    one, two, three = (read_claims(rows, generators=GENERATORS, baselines={}, seed=seed) for seed in (1, 2, 1))
    assert one == three != two
    written = claims_rows(one)
    assert list(written[0]) == ["quote", "table", "dataset", "holds", "evidence", "in_paper"]
    assert all(isinstance(value, str) for row in written for value in row.values())
    assert {row["in_paper"] for row in written} == {"yes", "no", ""}


def test_the_papers_own_tables_contradict_some_of_its_sentences() -> None:
    everything = dict.fromkeys([*GENERATORS, *STYLED, *BASELINES, "aggrgan_ssim", "aggrgan_psnr"], 0.5)
    claims = read_claims(rows_of("ring", everything), generators=GENERATORS, baselines=BASELINES)
    borne_out = [claim.quote[:12] for claim in claims if claim.in_paper]
    assert {"Only WGAN ha", "AGGrGAN has ", "Only cases w"} <= {*borne_out}
    contradicted = {claim.quote[:30] for claim in claims if claim.in_paper is False}
    assert contradicted == {
        "the style transferred images a",  # pituitary: KL falls for DCGAN-2 and WGAN
        "has outperformed all the base ",  # T1: AGGrGAN (PSNR) has SSIM 0.74, WGAN with style transfer 0.76
        "style transfer has improved KL",  # pituitary: it improved that of DCGAN-2 too, 0.34 to 0.21
        "InfoGAN has for the Meningioma",  # LSGAN has 0.25, InfoGAN 0.31
        "the performance of DCGAN-1 is ",  # its SD is the highest of the three
        "all the scores exceed 1",  # T1ce, AGGrGAN (PSNR): 0.99
        "for the Meningioma class, Info",  # LSGAN has 17.96, InfoGAN 16.48
        "LSGAN has the lowest KL-diverg",  # pituitary: InfoGAN has 0.24, LSGAN 0.31
    }


def test_quotes_are_the_papers_words(shared: Path) -> None:
    text = (shared / "paper" / "aggrgan-scirep-2022.txt").read_text(encoding="utf-8").replace("**", "")
    assert [sentence.quote for sentence in SENTENCES if sentence.quote not in text] == []
