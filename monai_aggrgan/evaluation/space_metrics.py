"""The metrics of sets of images in one feature space, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from monai_aggrgan.metrics.fidelity import (
    density_coverage_terms,
    frechet_distance,
    kernel_terms,
    precision_recall_terms,
)
from monai_aggrgan.metrics.resampling import (
    Interval,
    cluster_counts,
    clusters_of,
    jackknife_interval,
    mean_interval,
    share_interval,
)
from monai_aggrgan.metrics.whitening import Whitening
from monai_aggrgan.networks.feature_space import FeatureSpace

__all__ = ["FeatureSet", "SpaceMetrics"]

RESAMPLES = 1000
RECALL_NEIGHBOURS, COVERAGE_NEIGHBOURS = 3, 5
ENDS = torch.tensor([0.025, 0.975], dtype=torch.float64)
NOTHING = Interval(math.nan, math.nan, math.nan)


class FeatureSet(NamedTuple):
    """Features (N, D) of some images in one space, and the images' patients ("": unknown)."""

    features: Tensor
    patients: Sequence[str]


class SpaceMetrics:
    """KID, Frechet distance and ratio, precision, recall, density, coverage of sets against the same held-out images.

    KID and Frechet distance are taken on whitened features (`Whitening`, 64 components at most, fitted on all training
    images), the four others on the features as they are; with random weights all on whitened ones, of pixels none. So
    it was measured on glioma slices of the Figshare set, 200 of one fold against 200 of another (other patients), with
    trained VGG-19, images at 64 pixels. By how many standard deviations (of 20 pairings of folds) a damage makes the
    metric worse, raw / whitened:

        damage                   KID       Frechet    precision   coverage
        blur of one pixel        6 / 31    4 / 7      3 / 3       4 / 5
        noise of 0.02            2 / 6     1.5 / 1.8  1.1 / 0.9   1.4 / 1.6
        averages of two slices   15 / 91   10 / 13    10 / 6      12 / 8
        20 slices repeated       3 / 15    9 / 17     0 / 0       12 / 9
        brightness + 0.05        15 / 41   4 / 7      3 / 3       4 / 5

    Pure noise has precision and recall 0 and a KID of hundreds of deviations, raw or whitened. Pixels at 32x32 tell
    brightness (KID 45 / 11) and repetition (7 / 22), but not blur; averages have more precision there than real slices.

    Of KID, two images of one patient are no pair: they are alike, so that real slices of new patients would seem far
    (`KernelTerms.distances`).

    Intervals are of 95 %, by patient where known. KID: percentiles of resamples of the judged and of the held-out
    images. Precision, density: resamples of the judged images; recall, coverage: of the held-out ones; all with the
    neighbourhoods as they are. Frechet ratio: grouped jackknife of its logarithm, all three sets at once.

    Args:
        space: its name, description and need of whitening.
        training: features (T, D) of all training images.
        real: as many of the training images as are judged; their Frechet distance is the unit of the ratio.
        held_out: the references.
        seed: of the resamples.
    """

    def __init__(
        self, space: FeatureSpace, *, training: Tensor, real: FeatureSet, held_out: FeatureSet, seed: int = 0
    ) -> None:
        self._space, self._seed = space, seed
        self._whiten, self._whitened = _whitening(space, training.cpu())
        self._near, self._far = self._views(held_out.features)
        self._real_far = self._views(real.features)[1]
        self._patients, self._real_patients = held_out.patients, real.patients
        self._counts = _counts(held_out.patients, seed=seed + 1)
        self._real_distance = _distance(self._real_far, self._far)

    def __call__(self, judged: FeatureSet) -> list[tuple[str, Interval, str]]:
        """Metric, value with its interval, and what exactly it was taken on; NaN where there are too few images."""
        near, far = self._views(judged.features)
        distance = _distance(far, self._far)
        found = {
            "kid": self._kid(far, judged.patients),
            "frechet": Interval(distance, math.nan, math.nan),
            "frechet_ratio": self._ratio(far, judged.patients),
            **self._overlaps(near, judged.patients),
        }
        plain, whitened = (f"{self._space.description}{words}" for words in ("", self._whitened))
        taken_on = {"distances": (whitened, plain), "everything": (whitened,) * 2, "nothing": (plain,) * 2}
        far_on, near_on = taken_on[self._space.whitening]
        return [
            (metric, interval, far_on if metric in ("kid", "frechet", "frechet_ratio") else near_on)
            for metric, interval in found.items()
        ]

    def _views(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features for the metrics of neighbours, and for those of distances."""
        plain = features.cpu().double()
        if self._space.whitening == "nothing" or not len(features):
            return plain, plain
        whitened = self._whiten(plain)
        return whitened if self._space.whitening == "everything" else plain, whitened

    def _kid(self, judged: Tensor, patients: Sequence[str]) -> Interval:
        if min(len(judged), len(self._far)) < 2 or not judged.shape[1]:
            return NOTHING
        terms = kernel_terms(judged, self._far)
        ours, others = (torch.from_numpy(clusters_of(names)) for names in (patients, self._patients))
        if min(len(ours.unique()), len(others.unique())) < 2:
            return Interval(float(terms.distance()), math.nan, math.nan)
        clusters = {"judged_clusters": ours, "reference_clusters": others}
        value = float(terms.distance(**clusters))
        resampled = terms.distances(_counts(patients, seed=self._seed), self._counts, **clusters)
        low, high = resampled.nanquantile(ENDS).tolist()  # undefined where one patient alone was drawn
        return Interval(value, low, high)

    def _ratio(self, judged: Tensor, patients: Sequence[str]) -> Interval:
        """Of the judged images' distance to the real ones'; a patient who is in two sets leaves both at once."""
        sets = judged, self._real_far, self._far
        if not self._real_distance > 0 or torch.equal(judged, self._real_far):
            return Interval(_distance(judged, self._far) / (self._real_distance or math.nan), math.nan, math.nan)
        clusters = clusters_of([*patients, *self._real_patients, *self._patients])

        def ratio(keep: Tensor) -> float:
            kept = keep.split([len(rows) for rows in sets])
            ours, real, references = (rows[rows_kept] for rows, rows_kept in zip(sets, kept, strict=True))
            real_distance = _distance(real, references)
            return _distance(ours, references) / real_distance if real_distance > 0 else math.nan

        return jackknife_interval(ratio, clusters, seed=self._seed, logarithmic=True)

    def _overlaps(self, judged: Tensor, patients: Sequence[str]) -> dict[str, Interval]:
        of_judged, of_references = (
            partial(share_interval, clusters=clusters_of(names), resamples=RESAMPLES, seed=seed)
            for names, seed in ((patients, self._seed), (self._patients, self._seed + 1))
        )
        found = dict.fromkeys(("precision", "recall", "density", "coverage"), NOTHING)
        if not judged.shape[1]:
            return found
        if min(len(judged), len(self._near)) > RECALL_NEIGHBOURS:
            precise, recalled = precision_recall_terms(judged, self._near, neighbours=RECALL_NEIGHBOURS)
            found |= {"precision": of_judged(precise), "recall": of_references(recalled)}
        if len(judged) and len(self._near) > COVERAGE_NEIGHBOURS:
            densities, covered = density_coverage_terms(judged, self._near, neighbours=COVERAGE_NEIGHBOURS)
            density = mean_interval(densities, clusters_of(patients), resamples=RESAMPLES, seed=self._seed)
            found |= {"density": density, "coverage": of_references(covered)}
        return found


def _whitening(space: FeatureSpace, training: Tensor) -> tuple[Callable[[Tensor], Tensor], str]:
    """Whitening by the training images, and words for it; no components where they do not differ."""
    if space.whitening == "nothing":
        return Tensor.double, ""
    try:
        whiten = Whitening(training)
    except ValueError:  # fewer than two images, or equal ones
        return (lambda features: features[:, :0].double()), ", whitened without components"
    count = whiten(training[:1]).shape[1]
    return whiten, f", whitened to {count} component{'s' * (count > 1)} of {len(training)} training images"


def _distance(first: Tensor, second: Tensor) -> float:
    enough = min(len(first), len(second)) > 1 and first.shape[1]
    return float(frechet_distance(first, second)) if enough else math.nan


def _counts(patients: Sequence[str], *, seed: int) -> Tensor:
    """How often each image comes in each resample (R, N)."""
    return cluster_counts(clusters_of(patients), resamples=RESAMPLES, seed=seed) if patients else torch.ones(0, 0)
