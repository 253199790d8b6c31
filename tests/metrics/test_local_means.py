"""The window of SSIM, its means, and full precision around them."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import gaussian_filter

from monai_aggrgan.metrics.local_means import (
    FILTERS,
    check_window_fits,
    fastest_filtering,
    full_precision,
    gaussian_band,
    window_means,
)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("filtering", FILTERS)
def test_means_are_those_of_a_gaussian_filter(filtering, stride):
    images = torch.rand(17, 23, 32, generator=torch.Generator().manual_seed(0))
    means = FILTERS[filtering](images.permute(2, 0, 1), stride)(images, 0.5)
    expected = gaussian_filter(images.double().numpy(), 1.5, truncate=3.4, axes=(0, 1))[5:-5:stride, 5:-5:stride] + 0.5
    assert means.shape == expected.shape
    torch.testing.assert_close(means.double(), torch.from_numpy(expected.copy()), atol=1e-6, rtol=0)


def test_a_band_row_sums_to_one_and_slides():
    band = gaussian_band(15)
    assert band.shape == (5, 15)
    torch.testing.assert_close(band.sum(dim=1), torch.ones(5))
    assert torch.equal(band[0, :11], band[4, 4:]) and not band[0, 11:].any()


def test_what_is_fast_on_a_cpu():
    assert fastest_filtering(torch.zeros(1)) == ("depthwise" if torch.backends.mkldnn.is_available() else "matrix")


def test_turns_tf32_off_and_back_on():
    matmul = torch.backends.cuda.matmul
    torch.set_float32_matmul_precision("high")
    try:
        with full_precision("cpu"):
            inside = getattr(matmul, "fp32_precision", matmul)
        assert matmul.allow_tf32
        assert inside in ("ieee", matmul)
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("shape", [(29,), (13, 17), (12, 14, 13)])
@pytest.mark.parametrize("stride", [1, 2])
def test_signals_and_volumes_are_filtered_along_every_axis(shape, stride):
    images = torch.rand(*shape, 32, generator=torch.Generator().manual_seed(0))
    axes = tuple(range(len(shape)))
    inner = (slice(5, -5, stride),) * len(shape)
    expected = gaussian_filter(images.double().numpy(), 1.5, truncate=3.4, axes=axes)[inner] + 0.5
    for filtering in FILTERS.values():
        means = filtering(images.movedim(-1, 0), stride)(images, 0.5)
        torch.testing.assert_close(means.double(), torch.from_numpy(expected.copy()), atol=1e-6, rtol=0)
    if stride == 1:
        means = window_means(images.movedim(-1, 0), [gaussian_band(side) for side in shape]).movedim(0, -1)
        torch.testing.assert_close(means.double() + 0.5, torch.from_numpy(expected.copy()), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("shape", "told"), [((10,), "11 pixels, got 10"), ((12, 11, 7), "11x11x11 pixels, got 12x11x7")]
)
def test_images_smaller_than_the_window_are_refused(shape, told):
    with pytest.raises(ValueError, match=f"^SSIM needs images of at least {told}$"):
        check_window_fits(shape)
    check_window_fits((11,) * len(shape))
