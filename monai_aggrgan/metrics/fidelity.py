"""How far generated images are from real ones as sets: distances and overlaps of their features.

Every function takes the features of an embedding, one row an image, and works in float64. Values from different
embeddings, or from sets of other sizes, do not compare.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from monai_aggrgan.metrics.features import plain_features

__all__ = [
    "KernelTerms",
    "density_coverage",
    "density_coverage_terms",
    "frechet_distance",
    "kernel_distance",
    "kernel_terms",
    "precision_recall",
    "precision_recall_terms",
]


class KernelTerms(NamedTuple):
    """Kernels of all pairs: two judged images (N, N), two references (M, M), and one of each (N, M)."""

    judged: Tensor
    reference: Tensor
    across: Tensor

    def distance(self, *, judged_clusters: Tensor | None = None, reference_clusters: Tensor | None = None) -> Tensor:
        """The squared distance of the two sets, a 0-dimensional tensor; without clusters, that of `kernel_distance`.

        See `distances` for the clusters.
        """
        ones = [self.across.new_ones(1, size) for size in self.across.shape]
        return self.distances(*ones, judged_clusters=judged_clusters, reference_clusters=reference_clusters)[0]

    def distances(
        self,
        judged_counts: Tensor,
        reference_counts: Tensor,
        *,
        judged_clusters: Tensor | None = None,
        reference_clusters: Tensor | None = None,
    ) -> Tensor:
        """The squared distances (R,) of R resamples, in which images come several times or never.

        Two images of one cluster, such as slices of one patient, are no pair within a set, nor are an image and its own
        copies: their kernels are larger than those of independent images. So sets of the same patients' population have
        distance 0 in expectation however many slices there are of each, and resamples of whole clusters lie around the
        distance.

        Args:
            judged_counts: how often each judged image comes (R, N).
            reference_counts: how often each reference comes (R, M).
            judged_clusters: number of each judged image's cluster (N,); by default every image is one.
            reference_clusters: the same of the references (M,).

        Returns:
            Squared distances; undefined (NaN) where a set has no two clusters.

        Raises:
            ValueError: when counts or clusters do not fit the matrices.
        """
        shapes = tuple(judged_counts.shape[1:]), tuple(reference_counts.shape[1:])
        if shapes != tuple((size,) for size in self.across.shape) or len(judged_counts) != len(reference_counts):
            wanted = f"(R, {self.across.shape[0]}) and (R, {self.across.shape[1]})"
            came = f"{tuple(judged_counts.shape)} and {tuple(reference_counts.shape)}"
            raise ValueError(f"counts must be {wanted}, got {came}")
        first, second = judged_counts.to(self.across), reference_counts.to(self.across)
        across = ((first @ self.across) * second).sum(dim=1) / (first.sum(dim=1) * second.sum(dim=1))
        within = _mean_of_pairs(self.judged, first, judged_clusters)
        return within + _mean_of_pairs(self.reference, second, reference_clusters) - 2 * across


@torch.no_grad()
def kernel_distance(judged: Tensor, reference: Tensor, *, degree: int = 3) -> Tensor:
    """KID: unbiased squared maximum mean discrepancy with the polynomial kernel (x.y / D + 1)^degree.

    The mean kernel of two judged images, plus that of two references, minus twice that of one of each. So the expected
    value is free of N and M, and 0 for sets of one distribution, where single values may be negative. All images count;
    subsets, for the spread, are up to the caller. The kernel sees the scale of the features.

    Args:
        judged: features (N, D), N at least 2.
        reference: features (M, D), M at least 2.
        degree: power of the kernel.

    Returns:
        Squared distance, a 0-dimensional float64 tensor.

    Raises:
        ValueError: when the features are not such matrices, or not finite.

    Source: Binkowski et al. 2018, section 4. MONAI's `MMDMetric` has the linear kernel only, which compares means and
    nothing else, and asks for N = M.

    >>> zeros, ones = torch.zeros(2, 1), torch.ones(2, 1)
    >>> kernel_distance(zeros, ones)  # 1 + 8 - 2
    tensor(7., dtype=torch.float64)
    """
    return kernel_terms(judged, reference, degree=degree).distance()


@torch.no_grad()
def kernel_terms(judged: Tensor, reference: Tensor, *, degree: int = 3) -> KernelTerms:
    """The kernels that `kernel_distance` takes means of, float64, so that resampling need not compute them again.

    Arguments and errors are those of `kernel_distance`.
    """
    x, y = plain_features(judged, reference, at_least=(2, 2))
    return KernelTerms(*(_kernel(a, b, degree) for a, b in ((x, x), (y, y), (x, y))))


@torch.no_grad()
def frechet_distance(judged: Tensor, reference: Tensor) -> Tensor:
    """Squared Frechet distance `|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))` of the Gaussians with the sets' moments.

    With C = A^T A and C' = B^T B, the trace of the root is the sum of the singular values of A B^T: no matrix is rooted
    or inverted, so there may be fewer images than features. Its bias grows as images get fewer: compare at equal N and
    M only.

    Args:
        judged: features (N, D), N at least 2.
        reference: features (M, D), M at least 2.

    Returns:
        Squared distance, a 0-dimensional float64 tensor, at least 0.

    Raises:
        ValueError: when the features are not such matrices, or not finite.

    Source: Heusel et al. 2017, eq. 6, with covariances over N - 1.

    >>> judged, reference = torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [7.0]])
    >>> round(frechet_distance(judged, reference).item(), 6)  # 4^2 + (2^0.5 - 8^0.5)^2
    18.0
    """
    judged, reference = plain_features(judged, reference, at_least=(2, 2))
    shift = (judged.mean(dim=0) - reference.mean(dim=0)).square().sum()
    a, b = _root_of_covariance(judged), _root_of_covariance(reference)
    spread = a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.T).sum()
    return shift + spread.clamp(min=0)  # rounding can leave -1e-14


@torch.no_grad()
def precision_recall(judged: Tensor, reference: Tensor, *, neighbours: int = 3) -> tuple[Tensor, Tensor]:
    """Share of judged images within the range of the references, and the reverse.

    The range of a set is all that is no farther from one of its images than this image's k-th neighbour in the set.

    Args:
        judged: features (N, D), N more than `neighbours`.
        reference: features (M, D), M more than `neighbours`.
        neighbours: k, at least 1.

    Returns:
        Precision and recall in [0, 1], 0-dimensional float64 tensors.

    Raises:
        ValueError: when the features are not such matrices, or not finite, or `neighbours` is not positive.

    Source: Kynkaanniemi et al. 2019, eq. 1-2.
    """
    precise, recalled = precision_recall_terms(judged, reference, neighbours=neighbours)
    return precise.double().mean(), recalled.double().mean()


@torch.no_grad()
def precision_recall_terms(judged: Tensor, reference: Tensor, *, neighbours: int = 3) -> tuple[Tensor, Tensor]:
    """Which judged images (N,) lie within the references' range, and which references (M,) within the judged images'.

    Booleans, whose means are `precision_recall`; arguments and errors are those of that function.
    """
    judged, reference = plain_features(judged, reference, at_least=(neighbours + 1, neighbours + 1))
    distances = torch.cdist(judged, reference)
    recalled = (distances <= _radii(judged, neighbours)[:, None]).any(dim=0)
    return (distances <= _radii(reference, neighbours)).any(dim=1), recalled


@torch.no_grad()
def density_coverage(judged: Tensor, reference: Tensor, *, neighbours: int = 5) -> tuple[Tensor, Tensor]:
    """How densely judged images lie around the references, and the share of references with one near.

    Near a reference is what is no farther than its k-th neighbour among the references. So both rest on the spread of
    the real images alone, and one odd reference cannot raise density as it raises precision.

    Args:
        judged: features (N, D), N at least 1.
        reference: features (M, D), M more than `neighbours`.
        neighbours: k, at least 1.

    Returns:
        Density, about 1 for sets of one distribution and not bounded above, and coverage in [0, 1], 0-dimensional
        float64 tensors.

    Raises:
        ValueError: when the features are not such matrices, or not finite, or `neighbours` is not positive.

    Source: Naeem et al. 2020, section 3.
    """
    densities, covered = density_coverage_terms(judged, reference, neighbours=neighbours)
    return densities.mean(), covered.double().mean()


@torch.no_grad()
def density_coverage_terms(judged: Tensor, reference: Tensor, *, neighbours: int = 5) -> tuple[Tensor, Tensor]:
    """How many references each judged image is near to, over k (N,), float64, and which references have one near (M,).

    Their means are `density_coverage`; arguments and errors are those of that function.
    """
    judged, reference = plain_features(judged, reference, at_least=(1, neighbours + 1))
    near = torch.cdist(judged, reference) <= _radii(reference, neighbours)
    return near.sum(dim=1).double() / neighbours, near.any(dim=0)


def _kernel(x: Tensor, y: Tensor, degree: int) -> Tensor:
    """Matrix (N, M) of kernels."""
    return (x @ y.T / x.shape[1] + 1) ** degree


def _mean_of_pairs(kernels: Tensor, counts: Tensor, clusters: Tensor | None) -> Tensor:
    """Means (R,) of a matrix (N, N) over pairs of different clusters in resamples (R, N)."""
    clusters = torch.arange(len(kernels)) if clusters is None else clusters
    if clusters.shape != counts.shape[1:]:
        raise ValueError(f"clusters must be ({counts.shape[1]},), got {tuple(clusters.shape)}")
    different = (clusters[:, None] != clusters).to(kernels)
    sums, pairs = (((counts @ matrix) * counts).sum(dim=1) for matrix in (kernels * different, different))
    return sums / pairs


def _root_of_covariance(features: Tensor) -> Tensor:
    """A (at most D rows, D) with A^T A the covariance of features (N, D)."""
    centred = (features - features.mean(dim=0)) / (len(features) - 1) ** 0.5
    return centred if len(centred) <= centred.shape[1] else torch.linalg.qr(centred, mode="r").R


def _radii(features: Tensor, neighbours: int) -> Tensor:
    """Distance (N,) of each row from its k-th neighbour among the others."""
    if neighbours < 1:
        raise ValueError(f"neighbours must be at least 1, got {neighbours}")
    return torch.cdist(features, features).kthvalue(neighbours + 1, dim=1).values  # the first is the row itself
