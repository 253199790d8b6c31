"""Pictures as arrays: contact sheets, curves and the paper's figures. Nothing here saves anything."""

from __future__ import annotations

from monai_aggrgan.visualize.aggregation_figure import aggregation_figure
from monai_aggrgan.visualize.figures import ORIGINAL, contact_sheet, labelled_rows, method_figure
from monai_aggrgan.visualize.learning_curves import learning_curves
from monai_aggrgan.visualize.pairs import pairs_figure
from monai_aggrgan.visualize.utility_figures import cases_figure, curve_figure, minority_figure

__all__ = [
    "ORIGINAL",
    "aggregation_figure",
    "cases_figure",
    "contact_sheet",
    "curve_figure",
    "labelled_rows",
    "learning_curves",
    "method_figure",
    "minority_figure",
    "pairs_figure",
]
