"""A sentence by sentence reading of the result: which claims of the paper hold here and which do not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monai_aggrgan.evaluation.claim_list import SENTENCES
from monai_aggrgan.evaluation.comparisons import Comparison, Methods, Sentence, Verdict, verdict_of
from monai_aggrgan.evaluation.differences import PairedDifferences, signed
from monai_aggrgan.evaluation.methods import AGGREGATES, AGGRGANS, with_style
from monai_aggrgan.evaluation.paper import PRINTED, paper_class, paper_dataset, printed_value
from monai_aggrgan.evaluation.summaries import BETTER, DIGITS, HEADINGS, REAL_LABEL
from monai_aggrgan.metrics.resampling import Interval

__all__ = ["CLAIMS_NOTE", "Claim", "Verdict", "claims_rows", "read_claims"]

Measured = tuple[Comparison, Interval]
DATASETS = {"figshare": "brain tumour dataset (Figshare)", "brats": "BraTS 2020"}
CLAIMS_NOTE = (
    "Each claim is read as comparisons of methods at the same references. In a class it holds where the 95 % interval"
    " of every difference that it needs lies on the claimed side of 0, does not hold where one lies on the other side,"
    " and else cannot be told. A claim that speaks of at least one, or that something is not the best, needs one"
    " difference; one of most cases needs more than half of them, of all classes together; these do not hold where too"
    " few are left beside those on the other side. Over its classes a claim holds where it holds in each; holds in part"
    " where it holds in some, whatever the others say; does not hold where it fails in some and holds in none; cannot"
    " be told where it can be told in none. Intervals are by patient where known, and are not corrected for their"
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
    labels = {**with_style(generators), **baselines, **AGGREGATES, **AGGRGANS, "real": REAL_LABEL}
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
    found = {}
    for class_name in _classes(sentence, differences.classes):
        told = [_measured(comparison, class_name, differences) for comparison in sentence.comparisons(methods)]
        if any(told) and all(differences.has(class_name, method) for method in sentence.needs):
            found[class_name] = [pair for pair in told if pair]
    if not found:
        return None
    if sentence.wanted == "most":
        found = {", ".join(found): [pair for pairs in found.values() for pair in pairs]}
    verdicts = {name: verdict_of([_side(*pair) for pair in pairs], sentence.wanted) for name, pairs in found.items()}
    details = [f"{name}: {verdicts[name]}, {_detail(pairs, sentence.wanted, labels)}" for name, pairs in found.items()]
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


def _measured(comparison: Comparison, class_name: str, differences: PairedDifferences) -> Measured | None:
    """With the one other that counts; None where either has no images."""
    method, _, metric, _ = comparison
    if not differences.has(class_name, method):
        return None
    pairs = [
        (comparison._replace(other=other), differences.over(class_name, method, other, f"{metric}_paired"))
        for other in comparison.others
        if not isinstance(other, str) or differences.has(class_name, other)
    ]
    return min(pairs, key=lambda pair: _margin((pair[0]._replace(sign=BETTER[metric]), pair[1])), default=None)


def _side(comparison: Comparison, interval: Interval) -> int:
    """1 where the interval lies on the claimed side of 0, -1 on the other, 0 where it tells nothing."""
    return comparison.sign * ((interval.low > 0) - (interval.high < 0))


def _overall(verdicts: Sequence[Verdict]) -> Verdict:
    if all(verdict == verdicts[0] for verdict in verdicts):
        return verdicts[0]
    if "holds" in verdicts:
        return "holds in part"
    return "does not hold"  # in some class it does not, and in the others it cannot be told


def _detail(found: Sequence[Measured], wanted: str, labels: Mapping[str, str]) -> str:
    """How many differences are as claimed, and the one that decides: the least for "all", the greatest else."""
    decide = min if wanted == "all" else max
    (method, other, metric, sign), interval = decide(found, key=_margin)
    claimed = sum(_side(*pair) == 1 for pair in found)
    against = f"{other:.2f}" if isinstance(other, float) else labels.get(str(other), str(other))
    return (
        f"{claimed} of {len(found)} differences as claimed, {'least' if wanted == 'all' else 'most'} so"
        f" {HEADINGS[metric]} of {labels.get(method, method)} minus {against}: {_numbers(metric, interval)}"
        f" ({'above' if sign > 0 else 'below'} 0 claimed)"
    )


def _numbers(metric: str, interval: Interval) -> str:
    text = signed(interval, digits=DIGITS[metric])
    return text if math.isfinite(interval.low) else f"{text}, without an interval"


def _margin(pair: Measured) -> tuple[int, float]:
    """What is more as claimed is larger: first the side of 0, then the distance from 0 in widths of the interval."""
    comparison, (mean, low, high) = pair
    width = high - low
    return _side(*pair), comparison.sign * (mean / width if width > 0 else mean)


def _in_paper(sentence: Sentence, dataset: str) -> bool | None:
    """Whether the printed means say so; equal ones tell nothing."""
    if not dataset:
        return None
    methods = Methods(("dcgan1", "dcgan2", "wgan_div"), ("lsgan", "infogan"))
    sides: dict[str, list[int]] = {}
    for class_name in sentence.classes or PRINTED[dataset][sentence.table]:
        for comparison in sentence.comparisons(methods):
            method, _, metric, sign = comparison
            values = [
                printed_value(dataset, sentence.table, class_name, name, metric) if isinstance(name, str) else name
                for name in (method, *comparison.others)
            ]
            if "" in values:
                return None
            mine, *theirs = map(float, values)
            least = min(BETTER[metric] * (mine - value) for value in theirs)
            of = "" if sentence.wanted == "most" else class_name
            sides.setdefault(of, []).append(sign * BETTER[metric] * ((least > 0) - (least < 0)))
    verdicts = {verdict_of(of_class, sentence.wanted) for of_class in sides.values()}
    if "does not hold" in verdicts:
        return False
    return True if verdicts == {"holds"} else None
