"""Whether images know the training set better than real images of other patients: a distance ratio and an attack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from monai_aggrgan.metrics.resampling import Interval, cluster_counts, clusters_of

__all__ = ["DistanceRatioTest", "distance_ratio_test", "membership_auc"]

FIRST = 32  # nearest real images that are looked at first: the nearest of each side is nearly always among them
NEGLIGIBLE = 1e-3  # of the median distance: nearer is as good as equal, and its logarithm must not rule the mean
RESAMPLES_AT_ONCE = 50


class DistanceRatioTest(NamedTuple):
    """Mean log ratio of distances, and how likely one so low is if training and held-out images were exchangeable.

    Attributes:
        mean: mean over the judged images of log(distance to the nearest training image / to the nearest held-out one);
            0 when the judged images are as near to both, negative when training images are nearer.
        p: one-sided p-value.
        size: real images on each side.
        log_ratios: of each judged image (N,), float64.
    """

    mean: float
    p: float
    size: int
    log_ratios: Tensor


@torch.no_grad()
def distance_ratio_test(
    to_training: Tensor,
    to_held_out: Tensor,
    *,
    training_patients: Sequence[str],
    held_out_patients: Sequence[str],
    permutations: int = 999,
    seed: int = 0,
) -> DistanceRatioTest:
    """Tests whether judged images lie nearer to the training images than to as many real images of other patients.

    The nearest of many is nearer than the nearest of few, so the larger side is cut to the size of the other, whole
    patients by lot. Patients are then exchanged between the two sides: p = (k + 1) / (R + 1) with k of R permutations
    whose mean log ratio is as low as the observed one or lower. The sides have equal numbers of images, so the patient
    at the border may be cut. p holds if slices of one patient share a name; where
    patients are not known, each image counts as one, and p is too small or too large by what slices have in common.

    Args:
        to_training: distances (N, T) of the judged images to the training images.
        to_held_out: distances (N, H) to the held-out images.
        training_patients: of the training images (T,), "" where unknown.
        held_out_patients: of the held-out images (H,), others than the training images'.
        permutations: R.
        seed: of the lots.

    Raises:
        ValueError: when the distances are not such matrices or there is not a patient for each column.

    Source: ours, after the nearest-neighbour distance ratio of Yale et al. 2019 ("nearest neighbour adversarial
    accuracy", privacy loss) with a permutation of patients.
    """
    sides = (to_training, to_held_out)
    if any(d.ndim != 2 or not d.numel() or len(d) != len(to_training) for d in sides):
        raise ValueError(f"distances must be (N, T) and (N, H), got {[tuple(d.shape) for d in sides]}")
    if (len(training_patients), len(held_out_patients)) != (to_training.shape[1], to_held_out.shape[1]):
        raise ValueError(
            f"there must be a patient for each column, got {len(training_patients)} and {len(held_out_patients)} for "
            f"distances {[tuple(d.shape) for d in sides]}"
        )
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, got {permutations}")
    generator = torch.Generator().manual_seed(seed)
    count = min(d.shape[1] for d in sides)
    clusters = [torch.from_numpy(clusters_of(names)) for names in (training_patients, held_out_patients)]
    kept = [_by_lot(numbers, generator, times=1)[0, :count] for numbers in clusters]
    distances = torch.cat([d.double().cpu()[:, k] for d, k in zip(sides, kept, strict=True)], dim=1)
    pooled = torch.cat([clusters[0][kept[0]], clusters[1][kept[1]] + clusters[0].max() + 1])
    on_first = torch.zeros(permutations + 1, 2 * count, dtype=torch.bool)
    on_first[0, :count] = True
    on_first[1:].scatter_(1, _by_lot(pooled, generator, times=permutations)[:, :count], 1)

    distances = distances.clamp(min=max(NEGLIGIBLE * distances.median().item(), torch.finfo(torch.float64).tiny))
    ascending, order = distances.log().sort(dim=1)
    means = torch.cat([_log_ratios(ascending, order, some).mean(dim=1) for some in on_first.split(RESAMPLES_AT_ONCE)])
    as_low = (means[1:] <= means[0] + 1e-12).sum().item()
    observed = _log_ratios(ascending, order, on_first[:1])[0]
    return DistanceRatioTest(means[0].item(), (as_low + 1) / (permutations + 1), count, observed)


@torch.no_grad()
def membership_auc(
    training: Tensor,
    held_out: Tensor,
    *,
    training_patients: Sequence[str],
    held_out_patients: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """How well an attacker tells training from held-out images by which lie nearer to the judged images.

    The area under the ROC curve of the score minus the distance to the nearest judged image: 0.5 when it tells
    nothing, 1 when every training image is nearer. Its interval is a bootstrap of the patients of each side.

    Args:
        training: distance of each training image to its nearest judged image (T,).
        held_out: the same of held-out images (H,).
        training_patients: of the training images (T,), "" where unknown: then each image is one.
        held_out_patients: of the held-out images (H,).
        resamples: of the bootstrap.
        seed: of the bootstrap.
        level: of the interval.

    Raises:
        ValueError: when there is no image on a side or not a patient for each.

    Source: the attack of Hilprecht et al. 2019 (Monte Carlo attack) and Chen et al. 2020 (GAN-Leaks, full black box).
    """
    sizes = [tuple(training.shape), tuple(held_out.shape)]
    if sizes != [(len(training_patients),), (len(held_out_patients),)] or not all(size[0] for size in sizes):
        raise ValueError(
            f"there must be one distance for each patient entry on each side, at least one, got {sizes} for "
            f"{len(training_patients)} and {len(held_out_patients)}"
        )
    _, place = torch.cat([training, held_out]).double().cpu().unique(return_inverse=True)
    sides = place.split([len(training), len(held_out)])
    clusters = [clusters_of(names) for names in (training_patients, held_out_patients)]
    whole = [torch.ones(1, len(numbers), dtype=torch.float64) for numbers in clusters]
    area = _area(*whole, *sides).item()
    if min(len(set(numbers.tolist())) for numbers in clusters) < 2:
        return Interval(area, torch.nan, torch.nan)
    drawn = [cluster_counts(numbers, resamples=resamples, seed=seed + side) for side, numbers in enumerate(clusters)]
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = _area(*drawn, *sides).quantile(tails).tolist()
    return Interval(area, low, high)


def _by_lot(clusters: Tensor, generator: torch.Generator, *, times: int) -> Tensor:
    """Indices of all rows (R, N), cluster after cluster in an order by lot, and by lot within a cluster."""
    ranks = torch.rand(times, int(clusters.max()) + 1, generator=generator).argsort(dim=1).float()
    return (ranks[:, clusters] + torch.rand(times, len(clusters), generator=generator)).argsort(dim=1)


def _log_ratios(ascending: Tensor, order: Tensor, on_first: Tensor) -> Tensor:
    """Log distance to the nearest of the first side minus that of the second, (R, N).

    Args:
        ascending: log distances (N, M), sorted.
        order: the real images (N, M) that they belong to.
        on_first: whether a real image stands on the first side (R, M), in each of R permutations.
    """
    nearest_is_first = on_first[:, order[:, 0]]
    other = (on_first[:, order[:, :FIRST]] != nearest_is_first[..., None]).byte().argmax(dim=2)
    missing = other == 0  # the nearest itself never differs
    if missing.any():
        permutation, judged = missing.nonzero(as_tuple=True)
        sides = on_first[permutation[:, None], order[judged]]
        other[missing] = (sides != sides[:, :1]).byte().argmax(dim=1)
    gaps = ascending[:, 0] - ascending.expand(len(on_first), -1, -1).gather(2, other[..., None])[..., 0]
    return torch.where(nearest_is_first, gaps, -gaps)


def _area(training: Tensor, held_out: Tensor, training_place: Tensor, held_out_place: Tensor) -> Tensor:
    """Area under the ROC curve with weights (R, T) and (R, H) of images at places in the order of distances, (R,)."""
    count = int(torch.maximum(training_place.max(), held_out_place.max())) + 1
    at = training.new_zeros(len(training), count).index_add_(1, held_out_place, held_out)
    farther = at.flip(1).cumsum(dim=1).flip(1) - at / 2  # held-out images that are farther; ties count half
    won = (training * farther[:, training_place]).sum(dim=1)
    return won / (training.sum(dim=1) * held_out.sum(dim=1))
