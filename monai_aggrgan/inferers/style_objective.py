"""The objective of style transfer for a batch of images, each with a content and a style of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_aggrgan.losses.style import content_loss, gram_matrix, style_loss, total_variation
from monai_aggrgan.networks.vgg19 import CONTENT_LAYER, STYLE_LAYERS, VGG19Features

__all__ = ["StyleObjective"]


class StyleObjective:
    """Eq. 16 and its gradient as a function of the change in grey levels, for some of N images: `Problems` of `Slots`.

    Image b is `contents[b] + changes[b] / 255`: where the change is 0, it is the content to the last bit. What does not
    depend on the change, the content's maps and the style's Gram matrices, is computed once, when the image gets a row.

    The trunk runs in the network's precision; losses and the maps' gradients in float32, or float64 if that is float64.
    A float16 trunk gets the gradients divided by a power of two, image by image, so that none overflows.

    Args:
        network: the trunk; its `scales` enter the losses as s^2 (content) and s^4 (style).
        contents: all images (N, 1, h, w) in [0, 1].
        styles: the style of each, (N, 1, H, W) in [0, 1].
        rows: B, how many images are in work at once; at first images 0 to B - 1.
        content_weight: weight of eq. 12.
        style_weight: weight of eq. 14; each of the five layers counts a fifth.
        total_variation_weight: weight of eq. 15.
    """

    def __init__(
        self,
        network: VGG19Features,
        contents: Tensor,
        styles: Tensor,
        *,
        rows: int,
        content_weight: float,
        style_weight: float,
        total_variation_weight: float,
    ) -> None:
        scales = network.scales
        self.network, self.contents, self.styles = network, contents, styles
        self.content_weight = content_weight * scales[CONTENT_LAYER] ** 2
        self.style_weights = {layer: style_weight / len(STYLE_LAYERS) * scales[layer] ** 4 for layer in STYLE_LAYERS}
        self.total_variation_weight = total_variation_weight
        self.targets = self._measured(contents[:rows], styles[:rows])

    @torch.no_grad()
    def _measured(self, contents: Tensor, styles: Tensor) -> dict[str, Tensor]:
        """What the images are compared with."""
        full = self.network.full_dtype
        with torch.autocast(contents.device.type, enabled=False):  # sums of eq. 12-15 overflow float16
            content_maps = self.network(contents)[CONTENT_LAYER]
            style_maps = self.network(styles)
            grams = {layer: gram_matrix(style_maps[layer].to(full)) for layer in STYLE_LAYERS}
        self.style_sizes = {layer: style_maps[layer][0, 0].numel() for layer in STYLE_LAYERS}
        return {"image": contents.to(full, copy=True), "content": content_maps, **grams}

    def replace(self, rows: Tensor, problems: Tensor) -> Tensor:
        """Images of these numbers (b,) in the place of these rows (b,); where they start: no change (b, 1, h, w)."""
        contents = self.contents[problems]
        for name, target in self._measured(contents, self.styles[problems]).items():
            self.targets[name].index_copy_(0, rows, target)
        return torch.zeros_like(contents)

    def keep(self, rows: Tensor) -> None:
        """Leave only these rows (b,), in this order."""
        self.targets = {name: target[rows] for name, target in self.targets.items()}

    def __call__(self, changes: Tensor) -> tuple[Tensor, Tensor]:
        """Losses (B,) and gradients (B, 1, h, w) at the changes (B, 1, h, w) in grey levels of 0..255."""
        with torch.enable_grad(), torch.autocast(changes.device.type, enabled=False):
            images = (self.targets["image"] + changes.detach() / 255).requires_grad_()
            maps = self.network(images)
            leaves = {name: layer.detach().to(images.dtype).requires_grad_() for name, layer in maps.items()}
            losses = self._losses(images, leaves)
            gradients, *to_maps = torch.autograd.grad(losses.sum(), [images, *leaves.values()])
            through_maps = _pulled_back(to_maps, list(maps.values()), images)
        return losses.detach(), (gradients + through_maps) / 255

    def _losses(self, images: Tensor, maps: dict[str, Tensor]) -> Tensor:
        """Eq. 16, (B,)."""
        content = content_loss(maps[CONTENT_LAYER], self.targets["content"])
        total = self.content_weight * content + self.total_variation_weight * total_variation(255 * images)
        for layer, weight in self.style_weights.items():
            size = self.style_sizes[layer]
            total = total + weight * style_loss(maps[layer], self.targets[layer], style_map_size=size)
        return total


def _pulled_back(gradients: list[Tensor], maps: list[Tensor], images: Tensor) -> Tensor:
    """The maps' gradients carried back to the images (B, 1, h, w).

    In float16 they are divided, image by image, by the power of two that makes the greatest at most 1.
    """
    if torch.float16 not in {layer.dtype for layer in maps}:
        matching = [gradient.to(layer.dtype) for gradient, layer in zip(gradients, maps, strict=True)]
        return torch.autograd.grad(maps, images, matching)[0]
    greatest = torch.stack([gradient.abs().amax((1, 2, 3)) for gradient in gradients]).amax(0)
    factors = torch.where(greatest > 0, torch.exp2(-greatest.log2().ceil()), 1.0).view(-1, 1, 1, 1)
    matching = [(gradient * factors).to(layer.dtype) for gradient, layer in zip(gradients, maps, strict=True)]
    return torch.autograd.grad(maps, images, matching)[0] / factors
