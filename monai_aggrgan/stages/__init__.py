"""The stages of a study; each reads folders and writes folders."""

from __future__ import annotations

from monai_aggrgan.stages.inference_set import SyntheticSetSaver, repeated_references
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.task import RECORD, Task, digest_of, read_record
from monai_aggrgan.stages.train import load_ensemble

__all__ = [
    "RECORD",
    "StudySettings",
    "SyntheticSetSaver",
    "Task",
    "digest_of",
    "load_ensemble",
    "read_record",
    "repeated_references",
]
