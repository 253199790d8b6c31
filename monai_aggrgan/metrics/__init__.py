"""The paper's metrics that MONAI lacks, all-pairs SSIM and PSNR, and metrics of sets of images by their features."""

from __future__ import annotations

from monai_aggrgan.metrics.all_pairs_psnr import AllPairsPSNR
from monai_aggrgan.metrics.all_pairs_ssim import AllPairsSSIM
from monai_aggrgan.metrics.fidelity import density_coverage, frechet_distance, kernel_distance, precision_recall
from monai_aggrgan.metrics.histogram_kl import HistogramKLMetric, histogram_kl_divergence
from monai_aggrgan.metrics.memorization import memorised, memorised_share, nearest_distances
from monai_aggrgan.metrics.pairwise import best_matches, pairwise_psnr, pairwise_ssim
from monai_aggrgan.metrics.sharpness import SharpnessDifferenceMetric, sharpness_difference
from monai_aggrgan.metrics.whitening import Whitening

__all__ = [
    "AllPairsPSNR",
    "AllPairsSSIM",
    "HistogramKLMetric",
    "SharpnessDifferenceMetric",
    "Whitening",
    "best_matches",
    "density_coverage",
    "frechet_distance",
    "histogram_kl_divergence",
    "kernel_distance",
    "memorised",
    "memorised_share",
    "nearest_distances",
    "pairwise_psnr",
    "pairwise_ssim",
    "precision_recall",
    "sharpness_difference",
]
