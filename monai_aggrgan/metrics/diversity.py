"""How much the images of one set differ among themselves: MS-SSIM of pairs, and the number of different images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.stats import t as student_t
from torch import Tensor

from monai_aggrgan.metrics.grey_images import plain_images
from monai_aggrgan.metrics.local_means import C1, C2, WINDOW, full_precision, gaussian_band, window_means
from monai_aggrgan.metrics.resampling import Interval

__all__ = [
    "SAME",
    "SCALE_WEIGHTS",
    "PairSimilarities",
    "distinct_images",
    "ms_ssim_diversity",
    "pairs_interval",
    "scales_of",
]

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, finest first, Wang et al. 2003, section 3.2."""

SAME = 0.1
"""Difference, in standard deviations of the images' own pixels, up to which two images count as one."""

BLOCK = 64  # pairs in work at once
COLUMNS = 4096  # pixels in work at once
ROUNDING = 1e-12  # of a mean square in float64
FLOOR = 1e-3  # standard deviation that an image without contrast is given: differences below 1e-4 are none


_HALVE: dict[int, Callable[[Tensor, int], Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


class PairSimilarities(NamedTuple):
    """MS-SSIM (P,) of some pairs of a set, and the indices (P, 2) of their images."""

    values: Tensor
    pairs: Tensor


def scales_of(*sides: int) -> int:
    """How many scales MS-SSIM has: the smallest must hold the 11x11 window (128 pixels: 4, 64: 3, 32: 2, 16: 1).

    Raises:
        ValueError: when the image itself is smaller than the window.
    """
    side = min(sides)
    if side < WINDOW:
        window, came = ("x".join(map(str, of)) for of in ((WINDOW,) * len(sides), sides))
        raise ValueError(f"MS-SSIM needs images of at least {window} pixels, got {came}")
    return max(count for count in range(1, len(SCALE_WEIGHTS) + 1) if side >> (count - 1) >= WINDOW)


@torch.no_grad()
def ms_ssim_diversity(images: Tensor, *, pairs: int = 300, seed: int = 0) -> PairSimilarities:
    """MS-SSIM of random pairs of different images of a set: the lower their mean, the more the images differ.

    The product over scales of (mean contrast-and-structure)^w, at the coarsest scale of (mean SSIM)^w. Images are
    halved by 2x2 means from scale to scale. There are as many scales as fit, see `scales_of`, and their weights are
    made to sum to 1; so images of one size compare with each other only. A negative mean counts as 0.

    Args:
        images: (N, 1, H, W) in [0, 1], N at least 2, H and W at least 11; or signals (N, 1, W), or volumes
            (N, 1, D, H, W), which are halved by means of 2 or 2x2x2.
        pairs: how many to draw; all N (N - 1) / 2 are taken where there are no more.
        seed: draws the pairs, which depend on N and on it alone; no pair comes twice.

    Returns:
        Values (P,), float64 in [0, 1], and the pairs (P, 2), for an interval: pairs with an image in common are not
        independent.

    Raises:
        ValueError: when the images are fewer than two, too small, or not such images, or `pairs` is not positive.

    Source: Wang, Simoncelli and Bovik 2003, eq. 7; as a measure of diversity Odena et al. 2017, section 4.2. Differs
    from MONAI's `MultiScaleSSIMMetric`, which gives the same values, in: an image's moments are computed once, not once
    a pair, and windows are separable (7 times as fast); and MONAI asks for images (scales - 1)^2 times the window,
    instead of 2^(scales - 1) times, so that it refuses 4 scales at 96 pixels.
    """
    plain = plain_images(images)
    scales = scales_of(*plain.shape[1:])
    if len(plain) < 2 or pairs < 1:
        raise ValueError(f"diversity needs two images and one pair at least, got {len(plain)} and {pairs}")
    chosen = _draw(len(plain), pairs, seed=seed)
    weights = torch.tensor(SCALE_WEIGHTS[:scales], dtype=torch.float64)
    values = torch.ones(len(chosen), dtype=torch.float64)
    for scale, weight in enumerate((weights / weights.sum()).tolist()):
        similarity = _similarity(plain, chosen.to(plain.device), with_luminance=scale == scales - 1)
        values *= similarity.cpu().clamp(min=0) ** weight
        plain = _HALVE[plain.ndim - 1](plain[:, None], 2)[:, 0]
    return PairSimilarities(values, chosen)


def pairs_interval(found: PairSimilarities, clusters: NDArray[np.int64], *, level: float = 0.95) -> Interval:
    """Mean of the pairs' values and its interval when pairs that share an image, or a cluster of images, are alike.

    se^2 = sum of (v_p - mean) (v_q - mean) over all pairs p and q with a cluster in common, p = q among them, over P^2;
    the interval is mean +- t se with Student's t of (number of clusters - 1) degrees of freedom. A bootstrap of images
    would count the products of both images' draws, and find sqrt(3) times the spread where pairs are independent, as
    few random pairs of many images nearly are.

    Args:
        found: what `ms_ssim_diversity` returns.
        clusters: cluster number of each image (N,), such as `clusters_of` gives.
        level: of confidence, between 0 and 1.

    Returns:
        Mean and interval; ends NaN with fewer than three clusters.

    Raises:
        ValueError: when `clusters` has no row for an image of a pair.

    Source: Fafchamps and Gubert 2007, "The formation of risk sharing networks", eq. 2.5 (dyadic standard errors).
    """
    if int(found.pairs.max()) >= len(clusters):
        raise ValueError(f"clusters must be given for {int(found.pairs.max()) + 1} images, got {len(clusters)}")
    mean = float(found.values.mean())
    count = len(np.unique(clusters))
    if count < 3:
        return Interval(mean, math.nan, math.nan)
    of_pairs = torch.from_numpy(np.asarray(clusters))[found.pairs]
    related = (of_pairs[:, None, :, None] == of_pairs[None, :, None, :]).flatten(2).any(dim=2).double()
    apart = found.values - mean
    variance = max(float(apart @ related @ apart), float(apart @ apart)) / len(apart) ** 2
    reach = float(student_t.ppf((1 + level) / 2, count - 1)) * math.sqrt(variance)
    return Interval(mean, mean - reach, mean + reach)


def distinct_images(images: Tensor, *, threshold: float = SAME) -> int:
    """How many different images a set has; images that are linked by nearly the same ones count as one.

    Two images are nearly the same when the root mean square of their difference, over that of their standard
    deviations, is at most `threshold`.

    Measured at 128x128: the nearest two of 3064 Figshare slices of one class are 0.25 apart, as a rule neighbours in
    one patient. A slice and itself rounded to 8 bits are 0.01 apart, with noise of 0.005 in both 0.05 (0.09 in the
    darkest slices), with noise of 0.02 in one 0.13, shifted by one pixel 0.4, restyled after two other slices (64x64)
    0.2 to 0.5. In 8 volumes of BraTS (T1ce) slices 5 mm apart differ by 0.33 (1 % by less than 0.14), 3 mm apart by
    0.24 (1 % by less than 0.1), but 1 mm apart by 0.1: half of these count as one. So this finds repeated images, not
    images that are merely much alike.

    Args:
        images: (N, 1, H, W) in [0, 1], or signals, or volumes.
        threshold: up to which difference images are the same, not negative.

    Raises:
        ValueError: when the images are not such images, or the threshold is negative.
    """
    if not threshold >= 0:
        raise ValueError(f"threshold must not be negative, got {threshold}")
    pixels = plain_images(images).flatten(1)
    products = torch.zeros(len(pixels), len(pixels), dtype=torch.float64, device=pixels.device)
    for part in pixels.split(COLUMNS, dim=1):
        products += part.double() @ part.double().T
    squares = products.diagonal()
    distances = (squares[:, None] + squares - 2 * products).clamp_(min=0) / pixels.shape[1]
    variances = pixels.double().var(dim=1, unbiased=False) + FLOOR**2
    allowed = threshold**2 * (variances[:, None] + variances) / 2 + ROUNDING
    count, _ = connected_components((distances <= allowed).cpu().numpy(), directed=False)
    return int(count)


def _draw(count: int, pairs: int, *, seed: int) -> Tensor:
    """Different pairs (P, 2) of different indices below `count`, the lower first."""
    numbers = torch.randperm(count * (count - 1) // 2, generator=torch.Generator().manual_seed(seed))[:pairs]
    return torch.triu_indices(count, count, offset=1)[:, numbers].T


def _similarity(images: Tensor, pairs: Tensor, *, with_luminance: bool) -> Tensor:
    """Mean contrast and structure, or mean SSIM, (P,) float64 of pairs of images (N, H, W) at one scale."""
    bands = [gaussian_band(size).to(images) for size in images.shape[1:]]
    with full_precision(images.device.type):
        means = window_means(images, bands)
        variances = (window_means(images.square(), bands) - means.square()).clamp_(min=0)
        found = []
        for first, second in (block.T for block in pairs.split(BLOCK)):
            product = means[first] * means[second]
            covariance = window_means(images[first] * images[second], bands) - product
            values = (2 * covariance + C2) / (variances[first] + variances[second] + C2)
            if with_luminance:
                values *= (2 * product + C1) / (means[first].square() + means[second].square() + C1)
            found.append(values.flatten(1).mean(dim=1))
    return torch.cat(found).double()
