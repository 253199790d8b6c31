"""Selection, aggregation and style transfer behind MONAI's `inferer(inputs, network)`."""

from __future__ import annotations

from monai_aggrgan.inferers.aggregate import AggregationInferer, AggregationReport, edge_weighted_mean, sobel_magnitude
from monai_aggrgan.inferers.aggrgan import AGGrGANInferer
from monai_aggrgan.inferers.select import Selection, SelectionInferer, make_pool, select_candidates
from monai_aggrgan.inferers.style_transfer import StyleTransferInferer, StyleTransferReport

__all__ = [
    "AGGrGANInferer",
    "AggregationInferer",
    "AggregationReport",
    "Selection",
    "SelectionInferer",
    "StyleTransferInferer",
    "StyleTransferReport",
    "edge_weighted_mean",
    "make_pool",
    "select_candidates",
    "sobel_magnitude",
]
