from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_aggrgan.data import read_images_by_class
from monai_aggrgan.data.image_folder import write_image_files
from monai_aggrgan.data.manifest import write_manifest
from monai_aggrgan.exceptions import InputError


@pytest.fixture
def folder(tmp_path) -> Path:
    """As a study's `filtered/`: a folder a class; the classes come mixed in the manifest."""
    rows = []
    for index, name in enumerate(["ring", "blob", "ring"]):
        (tmp_path / name).mkdir(exist_ok=True)
        written = write_image_files(tmp_path / name, f"{index}", torch.full((1, 4, 6), index / 4))
        rows.append({**written, "file": f"{name}/{written['file']}", "class_name": name})
    write_manifest(tmp_path, rows)
    return tmp_path


def test_images_are_those_of_their_class_in_the_manifests_order(folder):
    images = read_images_by_class(folder)
    assert list(images) == ["ring", "blob"]
    assert [tuple(of.shape) for of in images.values()] == [(2, 1, 4, 6), (1, 1, 4, 6)]
    assert images["ring"][:, 0, 0, 0].tolist() == [0, 0.5]
    assert images["blob"].unique().tolist() == [0.25]


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no manifest\.csv"):
        read_images_by_class(tmp_path)
