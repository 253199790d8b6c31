"""The claims of the paper's Results about its Tables 1 to 4, each as comparisons that can be checked."""

from __future__ import annotations

from monai_aggrgan.evaluation.comparisons import (
    PSNR_BASED,
    SSIM_BASED,
    WGAN,
    Comparison,
    Sentence,
    around,
    beats_base,
    beside_the_best,
    best,
    best_of_rivals,
    style,
)
from monai_aggrgan.evaluation.methods import styled
from monai_aggrgan.evaluation.similarity import METRICS
from monai_aggrgan.evaluation.summaries import BETTER

__all__ = ["SENTENCES"]

SENTENCES = (
    Sentence("AGGrGAN (SSIM) has generated images with the best SSIM scores", 1, best(SSIM_BASED, ["ssim"])),
    Sentence(
        "AGGrGAN (PSNR) has generated images with maximum PSNR scores for Glioma and Pituitary",
        1,
        best(PSNR_BASED, ["psnr"]),
        classes=("glioma", "pituitary"),
    ),
    Sentence("images with SSIM values neighbouring 0.50", 1, around(0.5), reading="between 0.40 and 0.60"),
    Sentence(
        "a high SSIM score suggests a better quality of images",
        1,
        lambda m: [Comparison("real", SSIM_BASED, "ssim", 1)],
        reading="if so, real slices of other patients, selected by SSIM for the same references, must score higher than"
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
        best(PSNR_BASED, ["kl"]),
        classes=("pituitary",),
        reading="best, that is lowest, as in Table 1",
    ),
    Sentence(
        "DCGAN-1 without style transfer has generated the best Glioma and Meningioma images according to KL-divergence",
        1,
        best("dcgan1", ["kl"]),
        classes=("glioma", "meningioma"),
        needs=("dcgan1",),
    ),
    Sentence(
        "the addition of style transfer has improved the base models' SSIM values for all the cases",
        1,
        style("ssim", 1),
    ),
    Sentence("and PSNR values for most of the cases", 1, style("psnr", 1), wanted="most"),
    Sentence(
        "Only WGAN has produced better Meningioma images with respect to PSNR",
        1,
        lambda m: [Comparison(styled(g), g, "psnr", -1 if g == WGAN else 1) for g in m.generators],
        classes=("meningioma",),
        reading="of the base models WGAN alone has the higher PSNR without style transfer",
        needs=(WGAN, styled(WGAN)),
    ),
    Sentence(
        "the style transferred images acquired a more diverse histogram distribution which suggests their higher"
        " KL-divergence value",
        1,
        style("kl", 1),
    ),
    Sentence(
        "style transfer has improved KL-divergence values for only WGAN in the case of Pituitary",
        1,
        lambda m: [Comparison(styled(g), g, "kl", -1 if g == WGAN else 1) for g in m.generators],
        classes=("pituitary",),
        reading="style transfer lowers the KL-divergence of WGAN and raises that of the other base models",
        needs=(WGAN, styled(WGAN)),
    ),
    Sentence("AGGrGAN (SSIM)'s generated images have the best SD results", 1, best(SSIM_BASED, ["sd"])),
    Sentence(
        "the style-transferred images generally have higher SD compared to their original counterparts",
        1,
        style("sd", 1),
        wanted="most",
    ),
    Sentence(
        "has outperformed all the base models in the case of all the performance metrics",
        2,
        beats_base([SSIM_BASED, PSNR_BASED], METRICS),
        reading="both AGGrGANs against each base model, without and with style transfer",
    ),
    Sentence(
        "PSNR based AGGrGAN has the best KL-divergence score results for all the classes",
        2,
        best(PSNR_BASED, ["kl"]),
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
        lambda m: [Comparison(SSIM_BASED, styled(other), "ssim", 1) for other in m.generators if other != "dcgan1"],
        reading="in SSIM, all with style transfer",
        needs=("dcgan1",),
    ),
    Sentence("High SSIM values around 0.80", 2, around(0.8), reading="between 0.70 and 0.90"),
    Sentence(
        "all the scores exceed 1",
        2,
        lambda m: [Comparison(name, 1.0, "kl", 1) for name in (*m.base, SSIM_BASED, PSNR_BASED)],
        reading="KL-divergence of each method",
    ),
    Sentence(
        "AGGrGAN has higher SSIM and SD values compared to the other two",
        3,
        best_of_rivals(SSIM_BASED, ["ssim", "sd"]),
    ),
    Sentence(
        "outperformed the other models with respect to PSNR for the classes Glioma and Pituitary",
        3,
        best_of_rivals(SSIM_BASED, ["psnr"]),
        classes=("glioma", "pituitary"),
    ),
    Sentence(
        "for the Meningioma class, InfoGAN has generated the best images with response to PSNR values",
        3,
        best_of_rivals("infogan", ["psnr"]),
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
        best_of_rivals("lsgan", ["kl"]),
        classes=("glioma", "pituitary"),
        needs=("lsgan",),
    ),
    Sentence(
        "InfoGAN has for the Meningioma class",
        3,
        best_of_rivals("infogan", ["kl"]),
        classes=("meningioma",),
        reading="InfoGAN has the lowest KL-divergence",
        needs=("infogan",),
    ),
    Sentence(
        "AGGrGAN has the best outcome for most of the cases",
        4,
        beside_the_best(METRICS, better=True),
        wanted="most",
        reading="a case is a class and a metric",
    ),
    Sentence(
        "the best results with respect to all of the metrics for T1ce, T2 and T2-FLAIR",
        4,
        best_of_rivals(SSIM_BASED, METRICS),
        classes=("t1ce", "t2", "flair"),
    ),
    Sentence(
        "Only cases where our proposed approach is outperformed by any other model are PSNR and KL-divergence for T1",
        4,
        lambda m: [
            *beside_the_best(["psnr", "kl"], better=False)(m),
            *beside_the_best(["ssim", "sd"], better=True)(m),
        ],
        classes=("t1",),
        reading="for T1 another model is better in PSNR and in KL-divergence, and none in SSIM and SD; of the other"
        " classes the sentence before speaks",
    ),
    Sentence(
        "stand-alone GANs may only fetch the localized features",
        0,
        lambda m: [Comparison("aggregate_ssim", name, "ssim", 1) for name in m.generators],
        reading="the merged image, before style transfer, against each GAN's own candidate, in SSIM",
    ),
)
