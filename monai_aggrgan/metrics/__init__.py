"""The paper's metrics that MONAI lacks, and all-pairs SSIM and PSNR."""

from __future__ import annotations

from monai_aggrgan.metrics.all_pairs_psnr import AllPairsPSNR
from monai_aggrgan.metrics.all_pairs_ssim import AllPairsSSIM
from monai_aggrgan.metrics.histogram_kl import HistogramKLMetric, histogram_kl_divergence
from monai_aggrgan.metrics.pairwise import best_matches, pairwise_psnr, pairwise_ssim
from monai_aggrgan.metrics.sharpness import SharpnessDifferenceMetric, sharpness_difference

__all__ = [
    "AllPairsPSNR",
    "AllPairsSSIM",
    "HistogramKLMetric",
    "SharpnessDifferenceMetric",
    "best_matches",
    "histogram_kl_divergence",
    "pairwise_psnr",
    "pairwise_ssim",
    "sharpness_difference",
]
