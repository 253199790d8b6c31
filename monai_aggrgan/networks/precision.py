"""What the setting `precision` means on a device."""

from __future__ import annotations

import torch
from monai.utils import look_up_option

__all__ = ["PRECISIONS", "autocast_dtype"]

PRECISIONS = ("float32", "bfloat16", "auto")


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """What `float32`, `bfloat16` or `auto` (bfloat16 where the device computes in it) mean on a device.

    Returns:
        The precision of autocast; None is none.
    """
    look_up_option(precision, PRECISIONS)
    if precision == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if native else None
    return torch.bfloat16 if precision == "bfloat16" else None
