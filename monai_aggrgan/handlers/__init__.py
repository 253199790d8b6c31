"""Handlers that MONAI and Ignite lack."""

from __future__ import annotations

from monai_aggrgan.handlers.best_generator import BestGenerator
from monai_aggrgan.handlers.best_weights import BestWeights
from monai_aggrgan.handlers.embedding_projector import EmbeddingProjectorHandler
from monai_aggrgan.handlers.image_folder_saver import ImageFolderSaver
from monai_aggrgan.handlers.picture import PictureHandler
from monai_aggrgan.handlers.report_saver import ReportSaver
from monai_aggrgan.handlers.sample_grid import SampleGridHandler
from monai_aggrgan.handlers.training_checkpoint import TrainingCheckpoint, checkpoint_epoch, latest_checkpoint
from monai_aggrgan.handlers.training_curves import TrainingCurvesHandler

__all__ = [
    "BestGenerator",
    "BestWeights",
    "EmbeddingProjectorHandler",
    "ImageFolderSaver",
    "PictureHandler",
    "ReportSaver",
    "SampleGridHandler",
    "TrainingCheckpoint",
    "TrainingCurvesHandler",
    "checkpoint_epoch",
    "latest_checkpoint",
]
