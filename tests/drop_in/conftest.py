"""Small phantoms, prepared by a study, for tests with MONAI's own parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_aggrgan import Study
from monai_aggrgan.data import PHANTOM_CLASSES, PreparedSlices, write_phantoms
from tests.conftest import OPTIONS


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """Three classes of four heads with two slices each, 32x32, as NIfTI, and `datalist.csv`."""
    folder = tmp_path_factory.mktemp("drop_in") / "phantoms"
    return write_phantoms(folder, patients_per_class=4, slices_per_patient=2, size=32)


@pytest.fixture(scope="session")
def prepared(phantoms) -> Path:
    """The same as a study prepares them: six slices of three heads a class for training, two held out."""
    options = {"config_dir": OPTIONS["config_dir"], "image_size": 32, "held_out_fraction": 0.25}
    folder = phantoms.with_name("study")
    Study(dataset_dir=phantoms, datalist=phantoms / "datalist.csv", output_dir=folder, **options).run("prepare")
    return folder / "prepare"


@pytest.fixture
def slices(prepared) -> PreparedSlices:
    return PreparedSlices(prepared, class_name=PHANTOM_CLASSES[0])
