"""The claims of the paper's Results about its Tables 1 to 4, each as comparisons that can be checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from monai_aggrgan.evaluation.similarity import METRICS

__all__ = ["SENTENCES", "Comparison", "Methods", "Sentence"]

SSIM_BASED, PSNR_BASED = "aggrgan_ssim", "aggrgan_psnr"
BETTER = {"ssim": 1, "psnr": 1, "kl": -1, "sd": 1}


class Comparison(NamedTuple):
    """`method` has a higher (`sign` 1) or lower (-1) value of `metric` than `other`, a method or a number."""

    method: str
    other: str | float
    metric: str
    sign: int


@dataclass(frozen=True)
class Methods:
    """Ids of the GANs that were evaluated: those that are merged, and those that only stand beside them."""

    generators: Sequence[str]
    baselines: Sequence[str]

    @property
    def styled(self) -> list[str]:
        """Each generator's images with style transfer."""
        return [f"{generator}+style" for generator in self.generators]

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
        wanted: how many of the comparisons: "all", "any" or "most" (more than half).
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


def _best(subject: str, metrics: Sequence[str]) -> Callable[[Methods], list[Comparison]]:
    """The best of the methods of Table 1 or 2."""
    return lambda m: [
        Comparison(subject, other, metric, BETTER[metric])
        for metric in metrics
        for other in (*m.base, SSIM_BASED, PSNR_BASED)
        if other != subject
    ]


def _best_of_rivals(subject: str, metrics: Sequence[str]) -> Callable[[Methods], list[Comparison]]:
    """The best of the methods of Table 3 or 4."""
    return lambda m: [
        Comparison(subject, other, metric, BETTER[metric])
        for metric in metrics
        for other in (*m.baselines, SSIM_BASED)
        if other != subject
    ]


def _style(metric: str, sign: int) -> Callable[[Methods], list[Comparison]]:
    """Style transfer raises (1) or lowers (-1) a metric of the base models."""
    return lambda m: [Comparison(f"{name}+style", name, metric, sign) for name in m.generators]


def _around(value: float) -> Callable[[Methods], list[Comparison]]:
    """SSIM of AGGrGAN (SSIM) within 0.1 of a value."""
    return lambda m: [
        Comparison(SSIM_BASED, round(value - 0.1, 2), "ssim", 1),
        Comparison(SSIM_BASED, round(value + 0.1, 2), "ssim", -1),
    ]


def _beats_base(subjects: Sequence[str], metrics: Sequence[str]) -> Callable[[Methods], list[Comparison]]:
    return lambda m: [
        Comparison(subject, other, metric, BETTER[metric])
        for metric in metrics
        for subject in subjects
        for other in m.base
    ]


SENTENCES = (
    Sentence("AGGrGAN (SSIM) has generated images with the best SSIM scores", 1, _best(SSIM_BASED, ["ssim"])),
    Sentence(
        "AGGrGAN (PSNR) has generated images with maximum PSNR scores for Glioma and Pituitary",
        1,
        _best(PSNR_BASED, ["psnr"]),
        classes=("glioma", "pituitary"),
    ),
    Sentence("images with SSIM values neighbouring 0.50", 1, _around(0.5), reading="between 0.40 and 0.60"),
    Sentence(
        "a high SSIM score suggests a better quality of images",
        1,
        lambda m: [Comparison("real", SSIM_BASED, "ssim", 1)],
        reading="if so, real slices of other patients, selected for the same references, must score higher than"
        " synthetic ones; needed, and not enough",
    ),
    Sentence(
        "at least one base model with or without style transfer has better KL-divergence scores than AGGrGAN (SSIM)",
        1,
        lambda m: [Comparison(name, SSIM_BASED, "kl", -1) for name in m.base],
        wanted="any",
    ),
    Sentence(
        "Only AGGrGAN (PSNR) has generated the images with most KL-divergence score for pituitary",
        1,
        _best(PSNR_BASED, ["kl"]),
        classes=("pituitary",),
        reading="best, that is lowest, as in Table 1",
    ),
    Sentence(
        "DCGAN-1 without style transfer has generated the best Glioma and Meningioma images according to KL-divergence",
        1,
        _best("dcgan1", ["kl"]),
        classes=("glioma", "meningioma"),
        needs=("dcgan1",),
    ),
    Sentence(
        "the addition of style transfer has improved the base models' SSIM values for all the cases",
        1,
        _style("ssim", 1),
    ),
    Sentence("and PSNR values for most of the cases", 1, _style("psnr", 1), wanted="most"),
    Sentence(
        "the style transferred images acquired a more diverse histogram distribution which suggests their higher"
        " KL-divergence value",
        1,
        _style("kl", 1),
    ),
    Sentence("AGGrGAN (SSIM)'s generated images have the best SD results", 1, _best(SSIM_BASED, ["sd"])),
    Sentence(
        "the style-transferred images generally have higher SD compared to their original counterparts",
        1,
        _style("sd", 1),
        wanted="most",
    ),
    Sentence(
        "has outperformed all the base models in the case of all the performance metrics",
        2,
        _beats_base([SSIM_BASED, PSNR_BASED], METRICS),
        reading="both AGGrGANs against each base model, without and with style transfer",
    ),
    Sentence(
        "PSNR based AGGrGAN has the best KL-divergence score results for all the classes",
        2,
        _best(PSNR_BASED, ["kl"]),
    ),
    Sentence(
        "the performance of DCGAN-1 is poorer than the other two",
        2,
        lambda m: [
            Comparison("dcgan1", other, metric, -BETTER[metric])
            for metric in METRICS
            for other in m.generators
            if other != "dcgan1"
        ],
        reading="in all four metrics, without style transfer",
        needs=("dcgan1",),
    ),
    Sentence(
        "it is not affected by DCGAN-1's poor performance and further improves from the other two",
        2,
        lambda m: [Comparison(SSIM_BASED, f"{other}+style", "ssim", 1) for other in m.generators if other != "dcgan1"],
        reading="in SSIM, all with style transfer",
        needs=("dcgan1",),
    ),
    Sentence("High SSIM values around 0.80", 2, _around(0.8), reading="between 0.70 and 0.90"),
    Sentence(
        "all the scores exceed 1",
        2,
        lambda m: [Comparison(name, 1.0, "kl", 1) for name in (*m.base, SSIM_BASED, PSNR_BASED)],
        reading="KL-divergence of each method",
    ),
    Sentence(
        "AGGrGAN has higher SSIM and SD values compared to the other two",
        3,
        _best_of_rivals(SSIM_BASED, ["ssim", "sd"]),
    ),
    Sentence(
        "outperformed the other models with respect to PSNR for the classes Glioma and Pituitary",
        3,
        _best_of_rivals(SSIM_BASED, ["psnr"]),
        classes=("glioma", "pituitary"),
    ),
    Sentence(
        "for the Meningioma class, InfoGAN has generated the best images with response to PSNR values",
        3,
        _best_of_rivals("infogan", ["psnr"]),
        classes=("meningioma",),
        needs=("infogan",),
    ),
    Sentence(
        "AGGrGAN has not the best results for the KL-divergence score",
        3,
        lambda m: [Comparison(name, SSIM_BASED, "kl", -1) for name in m.baselines],
        wanted="any",
    ),
    Sentence(
        "LSGAN has the lowest KL-divergence scores for Glioma and Pituitary",
        3,
        _best_of_rivals("lsgan", ["kl"]),
        classes=("glioma", "pituitary"),
        needs=("lsgan",),
    ),
    Sentence(
        "the best results with respect to all of the metrics for T1ce, T2 and T2-FLAIR",
        4,
        _best_of_rivals(SSIM_BASED, METRICS),
        classes=("t1ce", "t2", "flair"),
    ),
    Sentence(
        "stand-alone GANs may only fetch the localized features",
        0,
        lambda m: [Comparison("aggregate_ssim", name, "ssim", 1) for name in m.generators],
        reading="the merged image, before style transfer, against each GAN's own candidate, in SSIM",
    ),
)
