"""What a claim of the paper says, as comparisons of methods that can be checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from monai_aggrgan.evaluation.methods import styled
from monai_aggrgan.evaluation.summaries import BETTER

__all__ = [
    "PSNR_BASED",
    "SSIM_BASED",
    "WGAN",
    "Comparison",
    "Methods",
    "Sentence",
    "Verdict",
    "around",
    "beats_base",
    "beside_the_best",
    "best",
    "best_of_rivals",
    "style",
    "verdict_of",
]

SSIM_BASED, PSNR_BASED, WGAN = "aggrgan_ssim", "aggrgan_psnr", "wgan_div"

Verdict = Literal["holds", "does not hold", "holds in part", "cannot be told"]


class Comparison(NamedTuple):
    """`method` has a higher (`sign` 1) or lower (-1) value of `metric` than `other`.

    That is a method, a number, or several methods: of these the one that does best beside `method`.
    """

    method: str
    other: str | float | tuple[str, ...]
    metric: str
    sign: int

    @property
    def others(self) -> tuple[str | float, ...]:
        """Those of which one counts; one alone where it is named."""
        return self.other if isinstance(self.other, tuple) else (self.other,)


@dataclass(frozen=True)
class Methods:
    """Ids of the GANs that were evaluated: those that are merged, and those that only stand beside them."""

    generators: Sequence[str]
    baselines: Sequence[str]

    @property
    def styled(self) -> list[str]:
        """Each generator's images with style transfer."""
        return [styled(generator) for generator in self.generators]

    @property
    def base(self) -> list[str]:
        """Base models without and with style transfer."""
        return [*self.generators, *self.styled]


@dataclass(frozen=True)
class Sentence:
    """One claim.

    Attributes:
        quote: fragment of the paper, word for word.
        table: of the paper; 0 where it speaks of none.
        comparisons: what must be so, given the methods.
        wanted: how many of the comparisons: "all" or "any" of a class; "most" (more than half) of those of all classes
            together.
        classes: of the paper's data set that it speaks of; empty for all. Where the user's classes are others: all.
        reading: what is compared, where the quote does not say it.
        needs: methods without which the claim says nothing.
    """

    quote: str
    table: int
    comparisons: Callable[[Methods], list[Comparison]]
    wanted: str = "all"
    classes: tuple[str, ...] = ()
    reading: str = ""
    needs: tuple[str, ...] = ()


def best(subject: str, metrics: Sequence[str]) -> Callable[[Methods], list[Comparison]]:
    """The best of the methods of Table 1 or 2."""
    return lambda m: [
        Comparison(subject, other, metric, BETTER[metric])
        for metric in metrics
        for other in (*m.base, SSIM_BASED, PSNR_BASED)
        if other != subject
    ]


def best_of_rivals(subject: str, metrics: Sequence[str]) -> Callable[[Methods], list[Comparison]]:
    """The best of the methods of Table 3 or 4."""
    return lambda m: [
        Comparison(subject, other, metric, BETTER[metric])
        for metric in metrics
        for other in (*m.baselines, SSIM_BASED)
        if other != subject
    ]


def beside_the_best(metrics: Sequence[str], *, better: bool) -> Callable[[Methods], list[Comparison]]:
    """AGGrGAN (SSIM) is better, or is not, than the best of the other GANs."""
    return lambda m: [
        Comparison(SSIM_BASED, tuple(m.baselines), metric, BETTER[metric] if better else -BETTER[metric])
        for metric in metrics
    ]


def style(metric: str, sign: int) -> Callable[[Methods], list[Comparison]]:
    """Style transfer raises (1) or lowers (-1) a metric of the base models."""
    return lambda m: [Comparison(styled(name), name, metric, sign) for name in m.generators]


def around(value: float) -> Callable[[Methods], list[Comparison]]:
    """SSIM of AGGrGAN (SSIM) within 0.1 of a value."""
    return lambda m: [
        Comparison(SSIM_BASED, round(value - 0.1, 2), "ssim", 1),
        Comparison(SSIM_BASED, round(value + 0.1, 2), "ssim", -1),
    ]


def beats_base(subjects: Sequence[str], metrics: Sequence[str]) -> Callable[[Methods], list[Comparison]]:
    """Each subject is better than each base model, without and with style transfer."""
    return lambda m: [
        Comparison(subject, other, metric, BETTER[metric])
        for metric in metrics
        for subject in subjects
        for other in m.base
    ]


def verdict_of(sides: Sequence[int], wanted: str) -> Verdict:
    """What comparisons say of a claim, of one class or of all together.

    Args:
        sides: of each comparison, 1 where it is as claimed, -1 where the other way round, 0 where it tells nothing.
        wanted: as in `Sentence`.
    """
    claimed, against = sides.count(1), sides.count(-1)
    needed = {"all": len(sides), "any": 1, "most": len(sides) // 2 + 1}[wanted]
    if claimed >= needed:
        return "holds"
    return "does not hold" if len(sides) - against < needed else "cannot be told"
