"""The paper's metrics that MONAI lacks, all-pairs SSIM and PSNR, and metrics of sets of images by their features."""

from __future__ import annotations

from monai_aggrgan.metrics.aligned_ssim import AlignedMatches, AlignedSSIM
from monai_aggrgan.metrics.all_pairs_psnr import AllPairsPSNR
from monai_aggrgan.metrics.all_pairs_ssim import AllPairsSSIM
from monai_aggrgan.metrics.chosen_pairs_ssim import ShortlistSSIM, chosen_pairs_ssim
from monai_aggrgan.metrics.crossed import Estimate, crossed_estimate, deal_groups, holm
from monai_aggrgan.metrics.diversity import distinct_images, ms_ssim_diversity, pairs_interval
from monai_aggrgan.metrics.feature_set_metrics import (
    CoverageMetric,
    DensityMetric,
    FeatureSetMetric,
    FrechetDistanceMetric,
    KernelDistanceMetric,
    PrecisionMetric,
    RecallMetric,
)
from monai_aggrgan.metrics.fidelity import (
    density_coverage,
    density_coverage_terms,
    frechet_distance,
    kernel_distance,
    kernel_terms,
    precision_recall,
    precision_recall_terms,
)
from monai_aggrgan.metrics.histogram_kl import HistogramKLMetric, histogram_kl_divergence
from monai_aggrgan.metrics.membership import DistanceRatioTest, distance_ratio_test, membership_auc
from monai_aggrgan.metrics.memorization import (
    authenticity,
    closeness,
    k_nearest,
    memorised,
    memorised_share,
    nearest_distances,
)
from monai_aggrgan.metrics.pairwise import best_matches, pairwise_psnr, pairwise_ssim
from monai_aggrgan.metrics.resampling import (
    Interval,
    cluster_counts,
    clusters_of,
    jackknife_interval,
    mean_interval,
    share_interval,
)
from monai_aggrgan.metrics.sharpness import SharpnessDifferenceMetric, sharpness_difference
from monai_aggrgan.metrics.whitening import Whitening

__all__ = [
    "AlignedMatches",
    "AlignedSSIM",
    "AllPairsPSNR",
    "AllPairsSSIM",
    "CoverageMetric",
    "DensityMetric",
    "DistanceRatioTest",
    "Estimate",
    "FeatureSetMetric",
    "FrechetDistanceMetric",
    "HistogramKLMetric",
    "Interval",
    "KernelDistanceMetric",
    "PrecisionMetric",
    "RecallMetric",
    "SharpnessDifferenceMetric",
    "ShortlistSSIM",
    "Whitening",
    "authenticity",
    "best_matches",
    "chosen_pairs_ssim",
    "closeness",
    "cluster_counts",
    "clusters_of",
    "crossed_estimate",
    "deal_groups",
    "density_coverage",
    "density_coverage_terms",
    "distance_ratio_test",
    "distinct_images",
    "frechet_distance",
    "histogram_kl_divergence",
    "holm",
    "jackknife_interval",
    "k_nearest",
    "kernel_distance",
    "kernel_terms",
    "mean_interval",
    "membership_auc",
    "memorised",
    "memorised_share",
    "ms_ssim_diversity",
    "nearest_distances",
    "pairs_interval",
    "pairwise_psnr",
    "pairwise_ssim",
    "precision_recall",
    "precision_recall_terms",
    "share_interval",
    "sharpness_difference",
]
