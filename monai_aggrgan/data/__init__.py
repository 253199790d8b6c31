"""Where images and noise come from, and how folders of them are written."""

from __future__ import annotations

from monai_aggrgan.data.datalists import (
    IMAGE_SUFFIXES,
    SliceItem,
    list_class_folders,
    read_csv_datalist,
    select_classes,
)
from monai_aggrgan.data.image_folder import read_image_folder, read_nifti, write_image_files, write_png
from monai_aggrgan.data.latents import NormalLatents, derived_seed
from monai_aggrgan.data.manifest import (
    MANIFEST,
    map_image_array,
    read_image_array,
    read_manifest,
    sha256_of,
    whole_file,
    write_image_array,
    write_manifest,
)
from monai_aggrgan.data.phantoms import PHANTOM_CLASSES, phantom_slice, write_phantoms
from monai_aggrgan.data.prepared import PreparedSlices, ShuffledBatches, shuffled_loader
from monai_aggrgan.data.splits import HELD_OUT, TRAINING, split_by_fold, split_by_patient

__all__ = [
    "HELD_OUT",
    "IMAGE_SUFFIXES",
    "MANIFEST",
    "PHANTOM_CLASSES",
    "TRAINING",
    "NormalLatents",
    "PreparedSlices",
    "ShuffledBatches",
    "SliceItem",
    "derived_seed",
    "list_class_folders",
    "map_image_array",
    "phantom_slice",
    "read_csv_datalist",
    "read_image_array",
    "read_image_folder",
    "read_manifest",
    "read_nifti",
    "select_classes",
    "sha256_of",
    "shuffled_loader",
    "split_by_fold",
    "split_by_patient",
    "whole_file",
    "write_image_array",
    "write_image_files",
    "write_manifest",
    "write_phantoms",
    "write_png",
]
