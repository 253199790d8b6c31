"""Whether generated images copy training images, judged by what images of other patients do."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_aggrgan.metrics.features import plain_features

__all__ = ["authenticity", "closeness", "k_nearest", "memorised", "memorised_share", "nearest_distances"]

BLOCK = 256  # judged images whose distances are in memory at once


@torch.no_grad()
def nearest_distances(judged: Tensor, reference: Tensor, *, exclude_self: bool = False) -> Tensor:
    """Euclidean distance of each judged image to the nearest reference, exactly 0 for equal features.

    Args:
        judged: features (N, D), N at least 1.
        reference: features (M, D), M at least 1.
        exclude_self: `judged` and `reference` are the same set; an image is compared with the others only.

    Returns:
        Distances (N,), float64.

    Raises:
        ValueError: when the features are not such matrices, or not finite, or `exclude_self` meets two different sets.

    Example:
        >>> nearest_distances(torch.tensor([[0.0], [5.0]]), torch.tensor([[1.0], [4.5]]))
        tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    if exclude_self and not torch.equal(judged, reference):
        raise ValueError("exclude_self compares a set with itself, got two different sets")
    count = 2 if exclude_self else 1
    judged, reference = plain_features(judged, reference, at_least=(1, count))
    return _nearest(judged, reference, count=count)[0][:, -1]


@torch.no_grad()
def k_nearest(judged: Tensor, reference: Tensor, *, neighbours: int = 5) -> tuple[Tensor, Tensor]:
    """Distances (N, k) of judged features (N, D) to their k nearest references (M, D), ascending, and their indices.

    Raises:
        ValueError: when the features are not such matrices, or not finite, or M is below k.
    """
    judged, reference = plain_features(judged, reference, at_least=(1, neighbours))
    return _nearest(judged, reference, count=neighbours)


def authenticity(judged: Tensor, training: Tensor) -> Tensor:
    """Which judged images are authentic: farther from their nearest training image than that is from the next one.

    Among training images, about half would be called authentic with the others for training; among copies none. So
    read it beside the share of held-out images, which depends on how many slices of a patient there are.

    Args:
        judged: features (N, D), N at least 1.
        training: features (T, D), T at least 2.

    Returns:
        Booleans (N,).

    Raises:
        ValueError: when the features are not such matrices, or not finite.

    Source: Alaa et al. 2022, "How faithful is your synthetic data?", section 3.3 (the classifier A by nearest
    neighbours).

    Example:
        >>> training = torch.tensor([[0.0], [1.0], [10.0]])
        >>> authenticity(torch.tensor([[0.1], [5.0]]), training)  # near 0, whose neighbour is 1 away; far from all
        tensor([False,  True])
    """
    distances, indices = k_nearest(judged, training, neighbours=1)
    return distances[:, 0] > nearest_distances(training, training, exclude_self=True)[indices[:, 0]]


def memorised(
    judged: Tensor, training: Tensor, held_out: Tensor, *, quantile: float = 0.05, neighbours: int = 5
) -> Tensor:
    """Which judged images are too close to one training image to be new.

    Closeness is the distance to the nearest training image over that to the k-th nearest; memorised is what is closer
    than all but 5 % of the held-out images.

    It is a ratio because small distances alone accuse blurred images, which are near to every image, and acquit copies
    with some noise, which are far from every image. Both sets are compared with the same training images, so it does
    not matter how many more these are than the held-out ones. Up to k - 1 training images may show the same.

    Args:
        judged: features (N, D), N at least 1.
        training: features (T, D) of the images the generator learnt from, T at least `neighbours`.
        held_out: features (H, D) of real images of other patients, H at least 1, better 100.
        quantile: share of held-out images that may be closer, in (0, 1).
        neighbours: k, at least 2.

    Returns:
        Booleans (N,).

    Raises:
        ValueError: when the features are not such matrices, or not finite, or an option is out of its range.

    Source: ours. Distances relative to those of other neighbours are from Carlini et al. 2023, held-out images as the
    yardstick from Meehan et al. 2020.
    """
    if not 0 < quantile < 1 or neighbours < 2:
        raise ValueError(f"quantile must lie in (0, 1) and neighbours be at least 2, got {quantile} and {neighbours}")
    judged, training, held_out = plain_features(judged, training, held_out, at_least=(1, neighbours, 1))
    threshold = _closeness(held_out, training, neighbours).quantile(quantile, interpolation="lower")
    threshold = threshold.clamp(min=1e-6)  # else no copy is found when held-out images are copies, too
    return _closeness(judged, training, neighbours) < threshold


def memorised_share(
    judged: Tensor, training: Tensor, held_out: Tensor, *, quantile: float = 0.05, neighbours: int = 5
) -> Tensor:
    """Share of judged images that are `memorised`, a 0-dimensional float64 tensor.

    About `quantile` for new real images, 1 for copies, 0 for averages of several images and for noise.

    Measured on glioma slices of the Figshare set at 64x64, patients of three folds for training, VGG-19 with ImageNet
    weights (relu3_1 to relu5_1): one fold against another as held-out 0.06, in 20 pairings at most 0.14; averages of
    four training images 0; copies 1, moved by two pixels 1, at 0.9 of their contrast 1, with noise of 0.02 0.8,
    mirrored 0.8, blurred by one pixel 0.2. With random weights and `Whitening` noisy copies 1, moved or blurred ones
    0.5, mirrored ones 0.3.
    """
    return memorised(judged, training, held_out, quantile=quantile, neighbours=neighbours).double().mean()


@torch.no_grad()
def _closeness(features: Tensor, training: Tensor, neighbours: int) -> Tensor:
    return closeness(_nearest(features, training, count=neighbours)[0])


def closeness(distances: Tensor) -> Tensor:
    """Distance to the nearest training image over that to the k-th nearest, (N,) in [0, 1]; 0 for copies.

    Args:
        distances: to the k nearest training images, ascending (N, k), as `k_nearest` gives them.
    """
    return distances[:, 0] / distances[:, -1].clamp(min=torch.finfo(distances.dtype).tiny)


def _nearest(judged: Tensor, reference: Tensor, *, count: int) -> tuple[Tensor, Tensor]:
    """Distances (N, count) to the nearest references, ascending, and their indices: found by a matrix product, then
    taken exactly."""
    nearest, places = [], []
    for block in judged.split(BLOCK):
        indices = torch.cdist(block, reference).topk(count, dim=1, largest=False).indices
        exact, order = torch.linalg.vector_norm(block[:, None] - reference[indices], dim=2).sort(dim=1)
        nearest.append(exact)
        places.append(indices.gather(1, order))
    return torch.cat(nearest), torch.cat(places)
