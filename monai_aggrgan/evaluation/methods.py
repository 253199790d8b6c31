"""What tables and claims call the methods whose images were judged."""

from __future__ import annotations

from collections.abc import Mapping

from monai_aggrgan.evaluation.summaries import REAL_LABEL

__all__ = ["AGGREGATES", "AGGRGANS", "PARTS", "STEP_WORDS", "styled", "with_style"]

AGGREGATES = {"aggregate_ssim": "Aggregate only (SSIM)", "aggregate_psnr": "Aggregate only (PSNR)"}
"""Merged images before style transfer."""

AGGRGANS = {"aggrgan_ssim": "AGGrGAN (SSIM)", "aggrgan_psnr": "AGGrGAN (PSNR)"}
"""The same with style transfer: the method's own."""

PARTS = {
    "ablation_best_single": "Best single candidate",
    "ablation_mean": "Mean",
    "ablation_metric_weighted": "Metric-weighted",
    "ablation_edge_weighted": "Edge-weighted (Algorithm 1)",
    "ablation_edge_function": "Edge-weighted, literal reading",
    "real": REAL_LABEL,
}
"""Ways to merge the same candidates, and real slices, as the ablation's table calls them."""

STEP_WORDS = (("drawn", "selected"), ("one GAN", "merged"), ("unstyled", "styled"))
"""Without and with selection, merging and style transfer."""


def styled(generator: str) -> str:
    """Id of a generator's images with style transfer."""
    return f"{generator}+style"


def with_style(generators: Mapping[str, str]) -> dict[str, str]:
    """Id -> label of each generator (given in that form), and of the same with style transfer behind it."""
    labels: dict[str, str] = {}
    for generator, label in generators.items():
        labels |= {generator: label, styled(generator): f"{label} + style transfer"}
    return labels
