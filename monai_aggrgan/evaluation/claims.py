"""A sentence by sentence reading of the result: which claims of the paper hold here and which do not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from monai_aggrgan.evaluation.claim_list import SENTENCES, Comparison, Methods, Sentence
from monai_aggrgan.evaluation.differences import PairedDifferences
from monai_aggrgan.evaluation.paper import PRINTED, paper_class, paper_dataset, printed_value
from monai_aggrgan.evaluation.summaries import DIGITS, HEADINGS, MISSING, REAL_LABEL
from monai_aggrgan.metrics.resampling import Interval

__all__ = ["CLAIMS_NOTE", "Claim", "Verdict", "claims_rows", "read_claims"]

Verdict = Literal["holds", "does not hold", "holds in part", "cannot be told"]
DATASETS = {"figshare": "brain tumour dataset (Figshare)", "brats": "BraTS 2020"}
AGGREGATES = {
    "aggregate_ssim": "aggregate only (SSIM)",
    "aggrgan_ssim": "AGGrGAN (SSIM)",
    "aggrgan_psnr": "AGGrGAN (PSNR)",
    "real": REAL_LABEL,
}
CLAIMS_NOTE = (
    "Each claim is read as comparisons of methods at the same references. It holds where the 95 % interval of every"
    " difference that it needs lies on the claimed side of 0, in every class; it does not hold where one lies on the"
    " other side; otherwise it cannot be told. Intervals are by patient where known, and are not corrected for their"
    " number: of twenty differences that are truly 0, one will seem to be one. In the paper: whether its own printed"
    " means say what its sentence says. Source of the quotes: Mukherjee et al. 2022, Scientific Reports 12, CC BY 4.0."
)


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and what became of it here.

    Attributes:
        quote: words of the paper.
        table: that it speaks of, such as "Table 1"; empty for none.
        dataset: the paper's data set that it was made on; one's own images may be others.
        holds: the verdict on one's own results.
        evidence: what was compared, with the numbers of each class.
        in_paper: whether the paper's printed means bear it out; None where they do not tell.
    """

    quote: str
    table: str
    dataset: str
    holds: Verdict
    evidence: str
    in_paper: bool | None


def read_claims(
    rows: Sequence[Mapping[str, str]], *, generators: Mapping[str, str], baselines: Mapping[str, str], seed: int = 0
) -> list[Claim]:
    """Read each claim of the paper's Results against one's own results.

    Args:
        rows: of results.csv.
        generators: id -> label of the GANs that are merged.
        baselines: id -> label of the others, such as LSGAN.
        seed: of the bootstrap.

    Returns:
        Claims in the order of the paper; those whose methods have no results are left out.
    """
    differences = PairedDifferences(rows, seed=seed)
    labels = {**generators, **{f"{name}+style": f"{label} + style transfer" for name, label in generators.items()}}
    labels |= {**baselines, **AGGREGATES}
    methods = Methods(tuple(generators), tuple(baselines))
    claims = [_read(sentence, methods, differences, labels) for sentence in SENTENCES]
    return [claim for claim in claims if claim]


def claims_rows(claims: Sequence[Claim]) -> list[dict[str, str]]:
    """Rows of claims.csv: quote, table, dataset, holds, evidence, in_paper ("yes", "no" or empty)."""
    words = {True: "yes", False: "no", None: ""}
    return [
        {
            "quote": claim.quote,
            "table": claim.table,
            "dataset": claim.dataset,
            "holds": claim.holds,
            "evidence": claim.evidence,
            "in_paper": words[claim.in_paper],
        }
        for claim in claims
    ]


def _read(
    sentence: Sentence, methods: Methods, differences: PairedDifferences, labels: Mapping[str, str]
) -> Claim | None:
    verdicts: dict[str, Verdict] = {}
    details = []
    for class_name in _classes(sentence, differences.classes):
        present = [c for c in sentence.comparisons(methods) if _known(c, class_name, differences)]
        if not present or not all(differences.has(class_name, method) for method in sentence.needs):
            continue
        found = [(c, differences.over(class_name, c.method, c.other, f"{c.metric}_paired")) for c in present]
        verdicts[class_name] = _verdict([_side(c, interval) for c, interval in found], sentence.wanted)
        details.append(f"{class_name}: {verdicts[class_name]}, {_detail(found, sentence.wanted, labels)}")
    if not verdicts:
        return None
    holds = _overall(list(verdicts.values()))
    parts = []
    if sentence.reading:
        parts.append(f"Read as: {sentence.reading}.")
    if holds == "holds in part":
        where = ", ".join(name for name, verdict in verdicts.items() if verdict == "holds")
        parts.append(f"Holds for {where} only.")
    dataset = {0: "", 1: "figshare", 2: "brats", 3: "figshare", 4: "brats"}[sentence.table]
    return Claim(
        quote=sentence.quote,
        table=f"Table {sentence.table}" if sentence.table else "",
        dataset=DATASETS.get(dataset, "both"),
        holds=holds,
        evidence=" ".join([*parts, f"{'; '.join(details)}."]),
        in_paper=_in_paper(sentence, dataset),
    )


def _classes(sentence: Sentence, classes: Sequence[str]) -> list[str]:
    """Those that the sentence names, where the data set is its own; else all."""
    named = [name for name in classes if paper_class(name) in sentence.classes]
    own = sentence.classes and paper_dataset(classes) == paper_dataset(sentence.classes)
    return named if own else list(classes)


def _known(comparison: Comparison, class_name: str, differences: PairedDifferences) -> bool:
    methods = [name for name in (comparison.method, comparison.other) if isinstance(name, str)]
    return all(differences.has(class_name, method) for method in methods)


def _side(comparison: Comparison, interval: Interval) -> int:
    """1 where the interval lies on the claimed side of 0, -1 on the other, 0 where it tells nothing."""
    return comparison.sign * ((interval.low > 0) - (interval.high < 0))


def _verdict(sides: Sequence[int], wanted: str) -> Verdict:
    """Of one class."""
    claimed, against = sides.count(1), sides.count(-1)
    needed = {"all": len(sides), "any": 1, "most": len(sides) // 2 + 1}[wanted]
    if claimed >= needed:
        return "holds"
    return "does not hold" if len(sides) - against < needed else "cannot be told"


def _overall(verdicts: Sequence[Verdict]) -> Verdict:
    if all(verdict == verdicts[0] for verdict in verdicts):
        return verdicts[0]
    if "holds" in verdicts:
        return "holds in part"
    return "does not hold"  # in some class it does not, and in the others it cannot be told


def _detail(found: Sequence[tuple[Comparison, Interval]], wanted: str, labels: Mapping[str, str]) -> str:
    """How many differences are as claimed, and the one that decides: the least for "all", the greatest else."""
    decide = min if wanted == "all" else max
    (method, other, metric, sign), interval = decide(found, key=_margin)
    claimed = sum(_side(*pair) == 1 for pair in found)
    against = labels.get(other, other) if isinstance(other, str) else f"{other:.2f}"
    return (
        f"{claimed} of {len(found)} differences as claimed, {'least' if wanted == 'all' else 'most'} so"
        f" {HEADINGS[metric]} of {labels.get(method, method)} minus {against}: {_numbers(metric, interval)}"
        f" ({'above' if sign > 0 else 'below'} 0 claimed)"
    )


def _numbers(metric: str, interval: Interval) -> str:
    mean, low, high = (f"{number:+.{DIGITS[metric]}f}" if math.isfinite(number) else "" for number in interval)
    return f"{mean} [{low}, {high}]" if low and high else f"{mean or MISSING}, without an interval"


def _margin(pair: tuple[Comparison, Interval]) -> tuple[int, float]:
    """What is more as claimed is larger: first the side of 0, then the distance from 0 in widths of the interval."""
    comparison, (mean, low, high) = pair
    width = high - low
    return _side(*pair), comparison.sign * (mean / width if width > 0 else mean)


def _in_paper(sentence: Sentence, dataset: str) -> bool | None:
    """Whether the printed means say so; equal ones tell nothing."""
    if not dataset:
        return None
    methods = Methods(("dcgan1", "dcgan2", "wgan_div"), ("lsgan", "infogan"))
    verdicts = []
    for class_name in sentence.classes or PRINTED[dataset][sentence.table]:
        sides = []
        for method, other, metric, sign in sentence.comparisons(methods):
            pair = [
                printed_value(dataset, sentence.table, class_name, name, metric) if isinstance(name, str) else name
                for name in (method, other)
            ]
            if "" in pair:
                return None
            difference = sign * (float(pair[0]) - float(pair[1]))
            sides.append((difference > 0) - (difference < 0))
        verdicts.append(_verdict(sides, sentence.wanted))
    if "does not hold" in verdicts:
        return False
    return True if set(verdicts) == {"holds"} else None
