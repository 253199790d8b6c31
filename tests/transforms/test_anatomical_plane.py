from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from monai_aggrgan.transforms.anatomical_plane import PLANES, stack_of_slices

RAS = np.random.default_rng(0).integers(0, 999, (5, 6, 7))
"""A volume whose axes run to the patient's right, anterior and superior."""
SPACING = (0.5, 1.5, 4.0)
AFFINE = np.diag([*SPACING, 1.0])
CODES = ["".join(ends) for order in permutations(("RL", "AP", "SI")) for ends in product(*order)]


def stored_as(codes: str) -> tuple[np.ndarray, np.ndarray]:
    """The volume stored along other axes, and the affine that says so."""
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    stored = nibabel.apply_orientation(RAS, turn)
    affine = AFFINE @ inv_ornt_aff(turn, RAS.shape)
    assert "".join(nibabel.aff2axcodes(affine)) == codes
    return stored, affine


EXPECTED = {  # first slice, first row, first column of each plane, by the words of its definition
    "axial": RAS.transpose(2, 1, 0)[:, ::-1, ::-1],  # from inferior; rows from anterior, columns from the right
    "coronal": RAS.transpose(1, 2, 0)[::-1, ::-1, ::-1],  # from anterior; rows from superior, columns from the right
    "sagittal": RAS.transpose(0, 2, 1)[::-1, ::-1, ::-1],  # from the right; rows from superior, columns from anterior
}
MILLIMETRES = {"axial": (1.5, 0.5), "coronal": (4.0, 0.5), "sagittal": (4.0, 1.5)}


@pytest.mark.parametrize("plane", EXPECTED)
@pytest.mark.parametrize("codes", CODES)
def test_slices_stand_upright_however_the_volume_is_stored(codes, plane):
    stack, spacing = stack_of_slices(*stored_as(codes), plane=plane)
    np.testing.assert_array_equal(stack, EXPECTED[plane])
    assert spacing == pytest.approx(MILLIMETRES[plane])


def test_nibabel_and_the_definition_agree_on_where_the_patient_lies():
    """A spot at the patient's left front top is at the right and at the top of an image."""
    volume = np.zeros((8, 8, 8))
    affine = np.diag([-1.0, -1, 1, 1])
    voxel = np.linalg.inv(affine) @ [-6, 0, 6, 1]  # x = -6 mm: left; y = 0 mm: the volume's front; z = 6 mm
    volume[tuple(voxel[:3].round().astype(int))] = 1
    ((depth, row, column),) = np.argwhere(stack_of_slices(volume, affine, plane="axial")[0])
    assert (depth, row, column) == (6, 0, 6)


@pytest.mark.parametrize("plane", PLANES)
def test_a_slightly_oblique_volume_is_turned_by_its_nearest_axes(plane):
    stored, affine = stored_as("LPS")
    angle = np.deg2rad(20)
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    straight, oblique = (stack_of_slices(stored, placed, plane=plane) for placed in (affine, tilt @ affine))
    np.testing.assert_array_equal(oblique[0], straight[0])
    assert oblique[1] == pytest.approx(straight[1])


def test_as_stored_slices_run_along_the_last_axis_and_rows_along_the_second():
    stored, affine = stored_as("PIR")
    stack, spacing = stack_of_slices(stored, affine, plane="stored")
    np.testing.assert_array_equal(stack, stored.T)
    assert spacing == pytest.approx((4.0, 1.5))


@pytest.mark.parametrize(
    ("codes", "plane"), [("LPS", "axial"), ("LSP", "coronal"), ("PSL", "sagittal"), ("ASR", "sagittal")]
)
def test_a_single_slice_is_shown_in_its_own_plane(codes, plane):
    stored, affine = stored_as(codes)
    for single in (stored[:, :, 2:3], stored[:, :, 2]):
        own, spacing = stack_of_slices(single, affine, plane="axial")
        wanted = stack_of_slices(stored[:, :, 2:3], affine, plane=plane)[0]
        assert own.shape[0] == 1
        np.testing.assert_array_equal(own, wanted)
        assert spacing == pytest.approx(MILLIMETRES[plane])


def test_a_picture_stays_as_it_is():
    picture = RAS[:, :, 0]
    stack, spacing = stack_of_slices(picture, None, plane="coronal")
    np.testing.assert_array_equal(stack, picture[None])
    assert spacing is None


def test_an_affine_without_extent_tells_nothing():
    stack, spacing = stack_of_slices(RAS, np.diag([0.0, 0, 0, 1]))
    np.testing.assert_array_equal(stack, RAS.T)
    assert spacing is None


def test_no_pixels_are_copied():
    stored, affine = stored_as("RPI")
    assert np.shares_memory(stack_of_slices(stored, affine)[0], stored)


def test_an_unknown_plane():
    with pytest.raises(ValueError, match="oblique"):
        stack_of_slices(RAS, AFFINE, plane="oblique")
