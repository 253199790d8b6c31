from __future__ import annotations

import pytest
import torch

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.spatial_dims import check_image_shape, check_spatial_dims, image_shape


@pytest.mark.parametrize(("spatial_dims", "shape"), [(1, (1, 8)), (2, (1, 8, 8)), (3, (1, 8, 8, 8))])
def test_images_have_one_channel_and_equal_sides(spatial_dims, shape):
    assert image_shape(8, check_spatial_dims(spatial_dims)) == shape
    check_image_shape(torch.zeros(2, *shape), shape)


@pytest.mark.parametrize("spatial_dims", [0, 4, -1])
def test_other_numbers_are_refused(spatial_dims):
    with pytest.raises(ValueError, match=f"^spatial_dims must be 1, 2 or 3, got {spatial_dims}$"):
        image_shape(8, spatial_dims)


@pytest.mark.parametrize("shape", [(2, 64), (2, 1, 64), (2, 1, 4, 16), (2, 3, 8, 8), (2, 1, 8, 8, 1)])
def test_images_of_another_shape_are_refused_even_with_as_many_pixels(shape):
    with pytest.raises(
        InputError, match=r"^images must be \(B, 1, 8, 8\), got shape \(2, .*their image_size and spatial_dims"
    ):
        check_image_shape(torch.zeros(shape), (1, 8, 8))
