"""Selection, aggregation and style transfer behind MONAI's `inferer(inputs, network)`."""

from __future__ import annotations

from monai_aggrgan.inferers.aggregate import AggregationInferer, AggregationReport
from monai_aggrgan.inferers.aggrgan import AGGrGANInferer
from monai_aggrgan.inferers.kept_answers import KeptAnswersInferer
from monai_aggrgan.inferers.matching import MATCHINGS, match
from monai_aggrgan.inferers.merge import (
    MERGINGS,
    edge_weighted_mean,
    gaussian_of_edges,
    merging_weights,
    sobel_magnitude,
    weighted_sum,
)
from monai_aggrgan.inferers.method_picture import method_picture
from monai_aggrgan.inferers.nearest import NearestInferer
from monai_aggrgan.inferers.select import (
    GeneratorUsage,
    Selection,
    SelectionInferer,
    make_pool,
    select_candidates,
)
from monai_aggrgan.inferers.style_transfer import StyleTransferInferer, StyleTransferReport

__all__ = [
    "MATCHINGS",
    "MERGINGS",
    "AGGrGANInferer",
    "AggregationInferer",
    "AggregationReport",
    "GeneratorUsage",
    "KeptAnswersInferer",
    "NearestInferer",
    "Selection",
    "SelectionInferer",
    "StyleTransferInferer",
    "StyleTransferReport",
    "edge_weighted_mean",
    "gaussian_of_edges",
    "make_pool",
    "match",
    "merging_weights",
    "method_picture",
    "select_candidates",
    "sobel_magnitude",
    "weighted_sum",
]
