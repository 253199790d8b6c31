from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_aggrgan.transforms.intensity import scale_to_unit, unit_range


def scale(pixels: np.ndarray, **percentiles: float) -> torch.Tensor:
    """Pixels between their own two intensities."""
    low, high = unit_range(pixels, **percentiles)
    return scale_to_unit(pixels, low=low, high=high)


def _noise(dtype: str = "float64", *, size: int = 100) -> np.ndarray:
    return np.random.default_rng(0).normal(1000, 100, (size, size)).astype(dtype)


def test_8_bit_pixels_are_divided_by_255():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    scaled = scale(pixels)
    assert scaled.dtype == torch.float32
    np.testing.assert_array_equal(scaled.numpy(), pixels.astype(np.float32) / 255)


def test_a_dark_8_bit_image_stays_dark():
    assert scale(np.full((4, 4), 51, np.uint8)).unique().tolist() == pytest.approx([0.2])


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "float32", "float64", ">u2", ">f4"])
def test_other_pixels_run_from_percentile_to_percentile(dtype):
    pixels = _noise(dtype)
    scaled = scale(pixels)
    bottom, top = np.percentile(pixels, (0.5, 99.5))
    expected = ((pixels.astype(np.float64) - bottom) / (top - bottom)).clip(0, 1)
    assert scaled.dtype == torch.float32
    np.testing.assert_allclose(scaled.numpy(), expected, atol=1e-5)
    assert ((scaled == 0).float().mean() - 0.005).abs() < 0.003
    assert ((scaled == 1).float().mean() - 0.005).abs() < 0.003


def test_the_percentiles_are_arguments():
    scaled = scale(np.arange(101.0), lower=10, upper=60)
    np.testing.assert_allclose(scaled.numpy(), ((np.arange(101) - 10) / 50).clip(0, 1), atol=1e-6)


def test_a_linear_change_of_units_makes_no_difference():
    pixels = _noise()
    assert torch.allclose(scale(pixels), scale(pixels * 7 - 3000), atol=1e-5)


def test_a_few_outliers_do_not_darken_the_slice():
    pixels = _noise()
    spoiled = pixels.copy()
    spoiled[0, :20] = 1e6
    assert (scale(spoiled) - scale(pixels)).abs()[1:].mean() < 0.03


@pytest.mark.parametrize("dtype", ["int16", "float32", "bool"])
def test_a_constant_slice_is_black(dtype):
    scaled = scale(np.ones((4, 4), dtype))
    assert scaled.dtype == torch.float32
    assert scaled.abs().max() == 0


@pytest.mark.filterwarnings("error")
def test_a_slice_with_fewer_bright_pixels_than_the_percentiles_leave_out():
    pixels = np.full((64, 64), 10, np.uint16)
    pixels[0, :4] = (4010, 2010, 1010, 10)
    scaled = scale(pixels)
    assert scaled[0, :4].tolist() == [1, 0.5, 0.25, 0]
    assert scaled[1:].abs().max() == 0


def test_the_result_is_a_plain_tensor():
    assert not isinstance(scale(_noise()), MetaTensor)
    assert not isinstance(scale(np.zeros((2, 2), np.uint8)), MetaTensor)


@pytest.mark.parametrize("scale_of", [1e-30, 1e37, 1e200])
def test_any_unit_is_possible(scale_of):
    pixels = _noise() * scale_of
    assert torch.allclose(scale(pixels), scale(_noise()), atol=1e-5)


def test_a_large_offset_loses_nothing():
    pixels = 10**9 + np.random.default_rng(0).integers(0, 100, (50, 50), dtype=np.int32)
    assert torch.allclose(scale(pixels), scale(pixels - 10**9), atol=1e-6)


def test_the_range_is_in_the_files_units():
    assert unit_range(np.zeros((4, 4), np.uint8)) == (0, 255)
    assert unit_range(np.arange(-50.0, 51), lower=10, upper=90) == (-40, 40)
    assert unit_range(np.asfortranarray(_noise())) == unit_range(_noise())


def test_a_given_range_clips_what_lies_beyond():
    pixels = np.array([-1000, -160, 40, 240, 3000], np.int16)
    assert scale_to_unit(pixels, low=-160, high=240).tolist() == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", ">i2", ">u2", "bool"])
@pytest.mark.parametrize("size", [2, 7, 10, 33])
def test_counting_gives_numpys_percentiles(dtype, size):
    random = np.random.default_rng(size)
    limits = (0, 2) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max + 1)
    pixels = random.integers(*limits, (size, size)).astype(dtype)
    for shares in ((0.5, 99.5), (0, 100), (25, 75), (10, 33.3)):
        expected = np.percentile(pixels.astype(np.float64), shares)
        if expected[0] < expected[1] and dtype != "uint8":
            assert unit_range(pixels, lower=shares[0], upper=shares[1]) == pytest.approx(tuple(expected), abs=1e-9)
