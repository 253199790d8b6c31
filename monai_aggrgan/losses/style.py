"""The losses of style transfer (Mukherjee et al. 2022, eq. 12-15), each for every image of a batch.

In the equations A is the number of filters C of a layer and B the size of a map, H * W pixels.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["content_loss", "gram_matrix", "style_loss", "total_variation"]


def gram_matrix(maps: Tensor) -> Tensor:
    """Inner products of a layer's maps, eq. 13: (B, C, H, W) -> (B, C, C). Not normalised: it grows with H * W."""
    vectors = maps.flatten(2)
    return vectors @ vectors.mT


def content_loss(maps: Tensor, content_maps: Tensor) -> Tensor:
    """1/2 sum (F - P)^2 over filters and positions, eq. 12: two (B, C, H, W) -> (B,)."""
    return (maps - content_maps).square().sum((1, 2, 3)) / 2


def style_loss(gram: Tensor, style_gram: Tensor, *, map_size: int, style_map_size: int) -> Tensor:
    """1 / (4 A^2) sum (G / B_G - H / B_H)^2 over pairs of filters: two (B, C, C) -> (B,).

    Where both map sizes agree this is eq. 14 of one layer, 1 / (4 A^2 B^2) sum (G - H)^2, without the layer's weight.
    Differs from it in: each Gram is divided by the size of its own maps, so that a style image may have any size.

    Args:
        gram: Gram matrices of the judged images.
        style_gram: Gram matrices of the style images, same layer.
        map_size: H * W of the maps behind `gram`.
        style_map_size: H * W of the maps behind `style_gram`.
    """
    difference = gram / map_size - style_gram / style_map_size
    return difference.square().sum((1, 2)) / (4 * gram.shape[1] ** 2)


def total_variation(images: Tensor) -> Tensor:
    """Sum of squared differences between neighbouring pixels, eq. 15: images (B, 1, H, W) on 0..255 -> (B,)."""
    vertical = images.diff(dim=2).square().sum((1, 2, 3))
    horizontal = images.diff(dim=3).square().sum((1, 2, 3))
    return vertical + horizontal
