"""How many spatial dimensions images have: 1 for signals, 2 for slices, 3 for volumes, as `spatial_dims` in MONAI."""

from __future__ import annotations

from torch import Tensor

from monai_aggrgan.exceptions import InputError

__all__ = ["check_image_shape", "check_spatial_dims", "image_shape"]


def check_spatial_dims(spatial_dims: int) -> int:
    """The number itself.

    Raises:
        ValueError: when it is not 1, 2 or 3.
    """
    if spatial_dims not in (1, 2, 3):
        raise ValueError(f"spatial_dims must be 1, 2 or 3, got {spatial_dims}")
    return spatial_dims


def image_shape(image_size: int, spatial_dims: int) -> tuple[int, ...]:
    """Shape of a grey image whose sides are equal: (1, S), (1, S, S) or (1, S, S, S)."""
    return (1, *(image_size,) * check_spatial_dims(spatial_dims))


def check_image_shape(images: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse images that are not (B, *shape), as no layer would that flattens them.

    Raises:
        InputError: when they are not.
    """
    if images.shape[1:] != shape:
        allowed = ", ".join(map(str, ("B", *shape)))
        raise InputError(
            f"images must be ({allowed}), got shape {tuple(images.shape)}: build the network with their image_size and"
            " spatial_dims."
        )
