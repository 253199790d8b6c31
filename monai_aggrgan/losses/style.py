"""The losses of style transfer (Mukherjee et al. 2022, eq. 12-15), each for every image of a batch.

In the equations A is the number of filters C of a layer and B the size of a map, H * W pixels. All take maps of one and
three spatial dimensions as well, (B, C, W) and (B, C, D, H, W).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["content_loss", "gram_matrix", "style_loss", "total_variation"]


def gram_matrix(maps: Tensor) -> Tensor:
    """Inner products of a layer's maps, eq. 13: (B, C, H, W) -> (B, C, C). Not normalised: it grows with H * W.

    Example:
        >>> gram_matrix(torch.tensor([[[[1.0, 2.0]], [[0.0, 1.0]]]]))
        tensor([[[5., 2.],
                 [2., 1.]]])
    """
    vectors = maps.flatten(2)
    return vectors @ vectors.mT


def content_loss(maps: Tensor, content_maps: Tensor) -> Tensor:
    """1/2 sum (F - P)^2 over filters and positions, eq. 12: two (B, C, H, W) -> (B,)."""
    return (maps - content_maps).square().sum(tuple(range(1, maps.ndim))) / 2


def style_loss(maps: Tensor, style_gram: Tensor, *, style_map_size: int) -> Tensor:
    """1 / (4 A^2) sum (G / B_G - H / B_H)^2 over pairs of filters: maps (B, C, H, W) with Gram matrices G -> (B,).

    Where both map sizes agree this is eq. 14 of one layer, 1 / (4 A^2 B^2) sum (G - H)^2, without the layer's weight.
    Differs from it in: each Gram is divided by the size of its own maps, so that a style image may have any size.
    It is differentiable once.

    Args:
        maps: maps (B, C, H, W) of the judged images.
        style_gram: Gram matrices (B, C, C) of the style images, same layer; no gradient goes there.
        style_map_size: H * W of the maps behind `style_gram`.
    """
    loss: Tensor = _StyleDistance.apply(maps.flatten(2), style_gram, style_map_size)
    return loss


def total_variation(images: Tensor) -> Tensor:
    """Sum of squared differences between neighbouring pixels, eq. 15: images (B, 1, H, W) on 0..255 -> (B,).

    Example:
        >>> total_variation(torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]]]))  # 1 and 9 across, 0 and 4 down
        tensor([14.])
    """
    every = tuple(range(1, images.ndim))
    return torch.stack([images.diff(dim=axis).square().sum(every) for axis in every[1:]]).sum(0)


class _StyleDistance(torch.autograd.Function):
    """`style_loss` of vectors V (B, C, N), its gradient being (G / B_G - H / B_H) V / (A^2 B_G).

    One batched product there and one back, where autograd makes two and passes over the (B, C, C) matrices many times.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, style_gram: Tensor, style_map_size: int) -> Tensor:
        filters, size = vectors.shape[1:]
        difference = torch.baddbmm(style_gram, vectors, vectors.mT, beta=-1 / style_map_size, alpha=1 / size)
        ctx.save_for_backward(vectors, difference)
        return torch.linalg.vector_norm(difference, dim=(1, 2)).square() / (4 * filters**2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        vectors, difference = ctx.saved_tensors
        filters, size = vectors.shape[1:]
        channels_last = vectors.stride(1) == 1  # the gradient has the layout of the maps
        product = (vectors.mT @ difference).mT if channels_last else difference @ vectors
        return product * (gradient / (filters**2 * size)).view(-1, 1, 1), None, None
