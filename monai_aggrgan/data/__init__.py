"""Where images and noise come from, and how folders of them are written."""

from __future__ import annotations

from monai_aggrgan.data.brats import is_brats, list_brats
from monai_aggrgan.data.cases import Case, select_classes
from monai_aggrgan.data.class_folders import list_class_folders
from monai_aggrgan.data.csv_datalist import read_csv_datalist
from monai_aggrgan.data.decathlon import read_decathlon_datalist
from monai_aggrgan.data.dicom_series import group_dicom_series, list_dicom_series
from monai_aggrgan.data.figshare import is_figshare, list_figshare
from monai_aggrgan.data.figshare_dataset import FigshareBrainTumorDataset
from monai_aggrgan.data.grey_image import GreyImage, read_grey_image, read_segmentation
from monai_aggrgan.data.image_files import IMAGE_SUFFIXES, is_dicom, is_image
from monai_aggrgan.data.image_folder import read_image_folder, read_nifti, write_image_files, write_png
from monai_aggrgan.data.images_by_class import read_images_by_class
from monai_aggrgan.data.item_hash import hash_by_content
from monai_aggrgan.data.labelled_images import CaseImages, LabelledImages, ordered_loader, stepped_loader
from monai_aggrgan.data.latents import NormalLatents, derived_seed
from monai_aggrgan.data.manifest import (
    MANIFEST,
    map_image_array,
    read_image_array,
    read_manifest,
    sha256_of,
    whole_file,
    write_image_array,
    write_image_parts,
    write_manifest,
)
from monai_aggrgan.data.mat_reader import MatReader
from monai_aggrgan.data.phantoms import PHANTOM_CLASSES, phantom_slice, write_phantoms
from monai_aggrgan.data.prepared import IndexedBatches, PreparedSlices, ShuffledBatches, shuffled_loader
from monai_aggrgan.data.splits import HELD_OUT, TRAINING, SplitItem, split_by_fold, split_by_patient

__all__ = [
    "HELD_OUT",
    "IMAGE_SUFFIXES",
    "MANIFEST",
    "PHANTOM_CLASSES",
    "TRAINING",
    "Case",
    "CaseImages",
    "FigshareBrainTumorDataset",
    "GreyImage",
    "IndexedBatches",
    "LabelledImages",
    "MatReader",
    "NormalLatents",
    "PreparedSlices",
    "ShuffledBatches",
    "SplitItem",
    "derived_seed",
    "group_dicom_series",
    "hash_by_content",
    "is_brats",
    "is_dicom",
    "is_figshare",
    "is_image",
    "list_brats",
    "list_class_folders",
    "list_dicom_series",
    "list_figshare",
    "map_image_array",
    "ordered_loader",
    "phantom_slice",
    "read_csv_datalist",
    "read_decathlon_datalist",
    "read_grey_image",
    "read_image_array",
    "read_image_folder",
    "read_images_by_class",
    "read_manifest",
    "read_nifti",
    "read_segmentation",
    "select_classes",
    "sha256_of",
    "shuffled_loader",
    "split_by_fold",
    "split_by_patient",
    "stepped_loader",
    "whole_file",
    "write_image_array",
    "write_image_files",
    "write_image_parts",
    "write_manifest",
    "write_phantoms",
    "write_png",
]
