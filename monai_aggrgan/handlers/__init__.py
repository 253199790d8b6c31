"""Handlers that MONAI and Ignite lack."""

from __future__ import annotations

from monai_aggrgan.handlers.image_folder_saver import ImageFolderSaver
from monai_aggrgan.handlers.picture import PictureHandler
from monai_aggrgan.handlers.report_saver import ReportSaver
from monai_aggrgan.handlers.sample_grid import SampleGridHandler

__all__ = ["ImageFolderSaver", "PictureHandler", "ReportSaver", "SampleGridHandler"]
