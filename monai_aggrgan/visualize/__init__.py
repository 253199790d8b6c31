"""Pictures as arrays: contact sheets and the paper's figures. Nothing here saves anything."""

from __future__ import annotations

from monai_aggrgan.visualize.aggregation_figure import aggregation_figure
from monai_aggrgan.visualize.figures import ORIGINAL, contact_sheet, method_figure

__all__ = ["ORIGINAL", "aggregation_figure", "contact_sheet", "method_figure"]
