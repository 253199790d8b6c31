"""Which image of a pool answers which reference: the best for each, or each image at most once."""

from __future__ import annotations

import numpy as np
import torch
from monai.utils import look_up_option
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from torch import Tensor

from monai_aggrgan.metrics.pairwise import PairwiseMetric, best_matches

__all__ = ["MATCHINGS", "match"]

MATCHINGS = ("best", "unique")


def match(
    pool: Tensor,
    references: Tensor,
    *,
    metric: str | PairwiseMetric = "ssim",
    matching: str = "best",
    progress: str | None = None,
) -> tuple[Tensor, Tensor]:
    """The pool image that answers each reference, and its metric.

    `best` takes the image of highest metric, so that one image may answer several references; `unique` uses no image
    twice and makes the sum of the metric over all references the highest that is possible. Ties go to the lower index:
    with `unique`, to the lower index that is free.

    Args:
        pool: images (N, 1, H, W) in [0, 1].
        references: images (B, 1, H, W) in [0, 1].
        metric: `ssim`, `psnr` or a function, see `monai_aggrgan.metrics.best_matches`.
        matching: `best` or `unique`.
        progress: label of a progress bar; no bar by default.

    Returns:
        Pool indices (B,) and metric (B,), on the references' device.

    Raises:
        ValueError: when an option is unknown, or a unique matching is asked of a pool smaller than the references.

    Example:
        >>> pool = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> match(pool, pool[[4, 2]], matching="unique")[0]
        tensor([4, 2])
    """
    look_up_option(matching, MATCHINGS)
    if matching == "best":
        indices, scores = best_matches(pool, references, metric=metric, progress=progress)
        return indices[:, 0], scores[:, 0]
    if len(pool) < len(references):
        raise ValueError(
            f"a unique matching needs a pool of at least as many images as references, got {len(pool)} for "
            f"{len(references)}: enlarge the pool, answer fewer references, or use matching='best'"
        )
    # If a reference's image were not among its best B, one of those would be free and better: nothing more is needed
    shortlist, scores = best_matches(pool, references, metric=metric, count=len(references), progress=progress)
    places = torch.from_numpy(_assign(shortlist.cpu().numpy(), scores.cpu().numpy(), pool_size=len(pool)))
    chosen = places.to(references.device)[:, None]
    return shortlist.gather(1, chosen)[:, 0], scores.gather(1, chosen)[:, 0]


def _assign(shortlist: NDArray[np.int64], scores: NDArray[np.float32], *, pool_size: int) -> NDArray[np.int64]:
    """Place in its shortlist (B, B) of each reference's image, such that the sum of scores is highest."""
    costs = _costs(scores)
    starts = np.arange(0, shortlist.size + 1, shortlist.shape[1])
    graph = csr_matrix((costs.ravel(), shortlist.ravel(), starts), shape=(len(shortlist), pool_size))
    rows, images = min_weight_full_bipartite_matching(graph)
    assigned = images[np.argsort(rows)]
    places: NDArray[np.int64] = np.argmax(shortlist == assigned[:, None], axis=1)
    return _prefer_lower_indices(places, shortlist, scores)


def _costs(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Positive costs that fall as scores rise; what is infinite becomes worse, or better, than all else together."""
    finite = scores[np.isfinite(scores)].astype(np.float64)
    lowest, highest = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    beyond = (highest - lowest + 1) * (len(scores) + 1)
    bounded = np.nan_to_num(scores.astype(np.float64), posinf=highest + beyond, neginf=lowest - beyond)
    costs: NDArray[np.float64] = bounded.max() - bounded + 1  # an entry of 0 would be no edge of the graph
    return costs


def _prefer_lower_indices(
    places: NDArray[np.int64], shortlist: NDArray[np.int64], scores: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The same total with lower indices: of a reference's equal images, which stand by index, the first free one."""
    taken = set(shortlist[np.arange(len(places)), places].tolist())
    for row, place in enumerate(places):
        first = int(np.argmax(scores[row] == scores[row, place]))
        free = [other for other in range(first, place) if shortlist[row, other] not in taken]
        if free:
            taken.remove(int(shortlist[row, place]))
            taken.add(int(shortlist[row, free[0]]))
            places[row] = free[0]
    return places
