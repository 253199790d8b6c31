"""Images as vectors in which distances mean something: the spatial means of VGG-19's maps."""

from __future__ import annotations

import torch
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor, nn

from monai_aggrgan.networks.vgg19 import VGG19Features

__all__ = ["VGG19Embedding"]

LAYERS = ("relu3_1", "relu4_1", "relu5_1")
BLOCK = 64  # images whose maps are in memory at once


class VGG19Embedding(nn.Module):
    """Features of whole images for the metrics of sets: the spatial means of relu3_1, relu4_1 and relu5_1.

    The texture of relu3_1 and relu4_1 tells blur and noise, the parts of relu5_1 tell wrong anatomy, and copies that
    are noisy, shifted or mirrored. Trained weights must come through `load_vgg19`, which brings the layers to one
    scale; with random ones the features need `monai_aggrgan.metrics.Whitening`.

    Args:
        features: the network, see `load_vgg19`.
    """

    def __init__(self, features: VGG19Features) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, 1280), float32, of images (B, 1, H, W) in [0, 1], H and W at least 16; else ValueError.

        The features of an image depend on its size: compare images of one size only.
        """
        plain: Tensor = convert_to_tensor(images, track_meta=False)
        return torch.cat([self._embed(block) for block in plain.split(BLOCK)])

    def _embed(self, images: Tensor) -> Tensor:
        maps = self.features(images)
        return torch.cat([maps[layer].float().mean(dim=(2, 3)) for layer in LAYERS], dim=1)
