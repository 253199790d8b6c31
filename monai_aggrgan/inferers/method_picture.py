"""How one synthetic image came about, as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from monai_aggrgan.inferers.merge import gaussian_of_edges, sobel_magnitude, weighted_sum
from monai_aggrgan.visualize.aggregation_figure import aggregation_figure

__all__ = ["method_picture"]


def method_picture(
    candidates: Tensor,
    weights: Tensor,
    *,
    reference: Tensor,
    labels: Sequence[str],
    sigma: float = 1.0,
    gaussian: str = "filter",
    styled: Tensor | None = None,
    title: str = "",
) -> NDArray[np.uint8]:
    """Candidates, edge maps, smoothed maps, weights, result and reference of one image, as the paper's Fig. 8.

    Args:
        candidates: images (K, 1, H, W) in [0, 1].
        weights: what they were merged by (K, 1, H, W), see `merging_weights`.
        reference: the real image (1, H, W) in [0, 1].
        labels: one a candidate, see `aggregation_figure`.
        sigma: see `edge_weighted_mean`.
        gaussian: see `edge_weighted_mean`.
        styled: the result after style transfer (1, H, W) in [0, 1].
        title: a line above.

    Returns:
        The picture (height, width, 3).

    Raises:
        ValueError: when shapes do not match, or are those of signals or volumes.

    Source: Mukherjee et al. 2022, Fig. 8.
    """
    if candidates.ndim != 4:
        raise ValueError(f"candidates must be images (K, 1, H, W) to be drawn, got shape {tuple(candidates.shape)}")
    edges = sobel_magnitude(candidates)
    return aggregation_figure(
        candidates=candidates,
        edges=edges,
        smoothed=gaussian_of_edges(edges, sigma=sigma, gaussian=gaussian),
        weights=weights,
        result=weighted_sum(candidates[None], weights[None])[0],
        reference=reference,
        labels=labels,
        styled=styled,
        title=title,
    )
