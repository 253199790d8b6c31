"""Handlers that MONAI and Ignite lack."""

from __future__ import annotations

from monai_aggrgan.handlers.image_folder_saver import ImageFolderSaver
from monai_aggrgan.handlers.sample_grid import SampleGridHandler

__all__ = ["ImageFolderSaver", "SampleGridHandler"]
