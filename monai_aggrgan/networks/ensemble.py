"""Several generators as one network, so that one inferer call makes every generator's candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["GeneratorEnsemble"]


class GeneratorEnsemble(nn.Module):
    """Generators side by side: latents (B, latent_size) to images (B, G, 1, H, W) in [0, 1], in the order of `names`.

    Generators with shorter latents take the first columns, so a latent is one row whatever the generator. Generators of
    signals give (B, G, 1, W), those of volumes (B, G, 1, D, H, W).

    Args:
        generators: name of each generator and the network, all of the same `image_size` and `spatial_dims` (2 where a
            network does not tell).

    Attributes:
        names: names of the G generators, in the order of the images.
        latent_size: the longest latent among the generators.
        image_size: side of the images in pixels.
        spatial_dims: dimensions of the images.

    Raises:
        ValueError: when there is no generator or their image sizes or spatial dimensions differ.

    Source: Mukherjee et al. 2022, three generators; ours: any number of them.

    Example:
        >>> from monai_aggrgan.networks import DCGAN2Generator, WGANDivGenerator
        >>> a, b = DCGAN2Generator(image_size=16, base_width=4), WGANDivGenerator(image_size=16)
        >>> ensemble = GeneratorEnsemble({"a": a, "b": b})
        >>> ensemble(torch.zeros(3, ensemble.latent_size)).shape
        torch.Size([3, 2, 1, 16, 16])
    """

    def __init__(self, generators: Mapping[str, nn.Module]) -> None:
        super().__init__()
        members: dict[str, Any] = dict(generators)
        image_sizes = {name: generator.image_size for name, generator in members.items()}
        if len(set(image_sizes.values())) != 1:
            raise ValueError(f"generators must be one or more, all of the same image_size, got {image_sizes or 'none'}")
        spatial_dims = {name: getattr(generator, "spatial_dims", 2) for name, generator in members.items()}
        if len(set(spatial_dims.values())) != 1:
            raise ValueError(f"generators must be all of the same spatial_dims, got {spatial_dims}")
        self.generators = nn.ModuleDict(members)
        self.names = tuple(members)
        self.latent_size = max(generator.latent_size for generator in members.values())
        self.image_size, self.spatial_dims = next(iter(image_sizes.values())), next(iter(spatial_dims.values()))

    def forward(self, latent: Tensor) -> Tensor:
        """Images (B, G, 1, H, W) in [0, 1] from latents (B, latent_size); other shapes raise ValueError."""
        if latent.ndim != 2 or latent.shape[1] != self.latent_size:
            raise ValueError(f"latent must be (B, {self.latent_size}), got shape {list(latent.shape)}")
        return torch.stack([member(latent[:, : member.latent_size]) for member in self.generators.values()], dim=1)
