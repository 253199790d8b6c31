"""Any classifier of colour images as one of grey images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from monai.utils import look_up_option
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor, nn

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.precision import PRECISIONS, autocast_dtype

__all__ = ["GreyClassifier"]

_LAYOUTS = {3: torch.contiguous_format, 4: torch.channels_last, 5: torch.channels_last_3d}
"""In which layout of memory networks are fast, by the number of axes of a batch."""


class GreyClassifier(nn.Module):
    """A network of the usual kind, fed with grey images: normalised, repeated to its channels, brought to its size.

    Args:
        network: images (B, channels, H, W) to logits (B, C); all weights are its own.
        channels: channels that it takes; each is the grey image.
        mean: grey level in [0, 1] that becomes 0; the default is the mean over ImageNet's channels.
        std: spread of grey levels that becomes 1; the default is the mean over ImageNet's channels.
        size: height and width that it takes, for networks that need a certain one; None leaves images as they are, as
            signals and volumes have to be.
        precision: `float32`, `bfloat16` (autocast), or `auto`: bfloat16 on GPUs that have it and on CPUs with AMX.

    Raises:
        ValueError: when `channels`, `std` or `size` is not positive, or `precision` is another.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        channels: int = 3,
        mean: float = 0.449,
        std: float = 0.226,
        size: int | None = None,
        precision: str = "float32",
    ) -> None:
        super().__init__()
        if channels < 1 or std <= 0 or (size is not None and size < 1):
            raise ValueError(f"channels, std and size must be positive, got {channels}, {std} and {size}")
        self.network, self.channels, self.mean, self.std = network, channels, mean, std
        self.size, self.precision = size, look_up_option(precision, PRECISIONS)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, C) float32 of images (B, 1, H, W) in [0, 1], or of signals or volumes if the network takes them.

        Raises:
            ValueError: when `images` has another shape.
            InputError: when the network's output is not one tensor (B, C).
        """
        if images.ndim not in (_LAYOUTS if self.size is None else (4,)) or images.shape[1] != 1:
            others = ", or (B, 1, W) or (B, 1, D, H, W)" if self.size is None else ", to be resized"
            raise ValueError(f"images must be (B, 1, H, W){others}, got {tuple(images.shape)}")
        dtype = autocast_dtype(self.precision, images.device)
        with torch.autocast(images.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            logits = self.network(self._as_taken(images))
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            came = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            raise InputError(
                f"{type(self.network).__name__} gives {came} where logits (B, classes) are needed: choose options with"
                " which it has one output, such as aux_logits: false, or another network."
            )
        return logits.float()

    def _as_taken(self, images: Tensor) -> Tensor:
        grey: Tensor = convert_to_tensor(images, track_meta=False)
        if self.size is not None and grey.shape[2:] != (self.size, self.size):
            grey = F.interpolate(grey, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        normal = (grey - self.mean) / self.std
        repeated = normal.expand(-1, self.channels, *(-1,) * (grey.ndim - 2))
        return repeated.contiguous(memory_format=_LAYOUTS[grey.ndim])
