"""Augmentation through which a generator learns, safe for grey images on a plain background."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

__all__ = ["DifferentiableAugmentation"]

_MEMORY = 256  # images; ADA averages the critic's certainty over four batches of 64


class DifferentiableAugmentation(nn.Module):
    """Flip, shift, zoom and change the contrast of all that a critic sees, real and fake alike.

    On a slice six operations, each on each image on its own with probability `p`: a horizontal and a vertical flip
    (done or not by a fair coin, so that the original stays the more frequent), a shift by whole rows and one by whole
    columns, a zoom about the centre, and a change of contrast. A signal has one flip and one shift, a volume three. A
    critic that seldom sees the originals cannot learn a small data set by heart; as every operation spares some images,
    a generator gains nothing by making images that look augmented.

    Flip, shift and zoom are separable, so A_rows @ image @ A_columns^T with two matrices of linear interpolation does
    all three at once: on CUDA deterministic, and differentiable twice, where `grid_sample` is neither. Flips and shifts
    alone move pixels unchanged (on CUDA unless TF32 is allowed).

    What becomes of an image depends on `random`, on its place in the batch and on the batch's size, not on the other
    images. A call draws the same amount whatever `p` is and never waits for the device; a CUDA graph can capture it if
    `random` is registered with the graph.

    Args:
        p: probability of each operation, to begin with.
        target: certainty of the critic to which `adapt` steers `p`; None keeps `p` as it is.
        speed: number of images in which `p` can go from 0 to 1. ADA has 500,000 in a training of 25 million; this is
            for trainings of 0.1 to 1.5 million.
        max_p: the most that `p` can become. From 0.82 on, shifts cancel some frequencies of the mean image, and what
            the originals look like is no longer certain.
        horizontal_flip: whether left and right, the ends of the last axis, are exchanged.
        vertical_flip: whether top and bottom are exchanged; heads have an up. In a volume the ends of either axis but
            the last, in a signal nothing.
        translation: longest shift as a share of the side; 0 for none.
        zoom: sizes go from 1 / (1 + zoom) to 1 + zoom, uniform in their logarithm; 0 for none.
        contrast: x / (1 - x) is multiplied by a gain from 1 / (1 + contrast) to 1 + contrast, uniform in its logarithm;
            0 for none. The curve keeps black, white and the order of greys, and is nowhere flat.
        background: grey of what comes into the frame, on which contrast works as on the image (0 and 1 stay).

    Attributes:
        p: the probability now, a scalar buffer.
        certainty: running mean of what `adapt` was told, a scalar buffer.

    Raises:
        ValueError: when an argument is out of its range.

    Source: Karras et al. 2020 (ADA, arXiv 2006.06676); Zhao et al. 2020 (DiffAugment, arXiv 2006.10738). Differs from
    ADA in: operations that leave a slice a slice, and a running mean of the certainty.

    Example:
        >>> augment = DifferentiableAugmentation(p=0.5, target=None)
        >>> augment(torch.rand(8, 1, 32, 32), torch.Generator().manual_seed(0)).shape
        torch.Size([8, 1, 32, 32])
    """

    p: Tensor
    certainty: Tensor

    def __init__(
        self,
        *,
        p: float = 0.0,
        target: float | None = 0.6,
        speed: int = 50_000,
        max_p: float = 0.8,
        horizontal_flip: bool = True,
        vertical_flip: bool = False,
        translation: float = 0.125,
        zoom: float = 0.2,
        contrast: float = 0.5,
        background: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= p <= max_p < 1:
            raise ValueError(f"0 <= p <= max_p < 1 must hold, got p {p} and max_p {max_p}")
        if target is not None and not -1 < target < 1:
            raise ValueError(f"target must be None or in (-1, 1), got {target}")
        if speed < 1:
            raise ValueError(f"speed must be at least 1, got {speed}")
        for name, share in {"translation": translation, "background": background}.items():
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {share}")
        for name, strength in {"zoom": zoom, "contrast": contrast}.items():
            if not 0 <= strength < math.inf:
                raise ValueError(f"{name} must be finite and at least 0, got {strength}")
        self.target, self.speed, self.max_p = target, speed, max_p
        self.horizontal_flip, self.vertical_flip, self.translation = horizontal_flip, vertical_flip, translation
        self.zoom, self.contrast, self.background = zoom, contrast, background
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("certainty", torch.tensor(0.0))

    def forward(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Augment images (B, 1, H, W) in [0, 1]; shape and range stay, and autocast does not lower the precision.

        Args:
            images: on the device of this module; or signals (B, 1, W), or volumes (B, 1, D, H, W).
            random: on the same device; all chance comes from it.

        Raises:
            ValueError: when `images` is of another shape.
        """
        if not 3 <= images.ndim <= 5 or images.shape[1] != 1:
            came = tuple(images.shape)
            raise ValueError(f"images must be (B, 1, H, W), or (B, 1, W) or (B, 1, D, H, W), got shape {came}")
        images = images.to(torch.promote_types(images.dtype, torch.float32))
        sides = images.shape[2:]
        amounts = self._amounts(len(sides), len(images), random).to(images.dtype)
        flips, shifts, (zoom, contrast) = amounts.split([len(sides), len(sides), 2])  # of the last axis first
        size = _factor(zoom, self.zoom)
        flippable = [self.horizontal_flip, *[self.vertical_flip] * (len(sides) - 1)]
        matrices = [
            _interpolation(side, flip * may, shift * self.translation, size)
            for side, flip, may, shift in zip(reversed(sides), flips, flippable, shifts, strict=True)
        ][::-1]
        with torch.autocast(images.device.type, enabled=False):
            images = _transformed(images, matrices)
        images = images + self.background * (1 - _covered(matrices))
        gain = _factor(contrast, self.contrast).view(-1, *(1,) * (images.ndim - 1))
        curved = gain * images / (1 + (gain - 1) * images)
        # rounding alone leaves [0, 1]; torch versions differ in what gradient a clamp passes at 0 and 1, so it has none
        return curved + (curved.clamp(0, 1) - curved).detach()

    @torch.no_grad()
    def adapt(self, certainty: Tensor, images: int) -> None:
        """Raise `p` while the critic is too certain of real images, lower it while it is not.

        Args:
            certainty: E[sign D(real)] in [-1, 1], a scalar on the device of this module: 0 for a critic that guesses,
                1 for one that knows all real images. Its logits must be high on real and 0 when it does not know.
            images: number of real images since the last call.
        """
        if self.target is None:
            return
        self.certainty += (certainty - self.certainty) * -math.expm1(-images / _MEMORY)
        self.p += (self.certainty - self.target).sign() * (images / self.speed)
        self.p.clamp_(0, self.max_p)

    def _amounts(self, spatial_dims: int, count: int, random: torch.Generator) -> Tensor:
        """How much of each operation each image gets (operations, count), in [-1, 1): 0 where it is not drawn."""
        chance, amount = torch.rand(2, 2 * spatial_dims + 2, count, generator=random, device=random.device)
        return (2 * amount - 1) * (chance < self.p)


def _factor(amount: Tensor, strength: float) -> Tensor:
    """(1 + strength)^amount: exactly 1 where the amount is 0."""
    return (amount * math.log1p(strength)).exp()


def _interpolation(side: int, flip: Tensor, shift: Tensor, size: Tensor) -> Tensor:
    """Matrices (B, side, side) that flip where `flip` < 0, enlarge by `size`, then move by a share of the side.

    Row i holds the weights of the old pixels in the new pixel i: none where that comes from outside.
    """
    centre = (side - 1) / 2
    index = torch.arange(side, device=shift.device, dtype=shift.dtype)
    offset = (index - centre - (shift * side).round()[:, None]) / size[:, None]
    source = centre + torch.where(flip < 0, -1, 1)[:, None] * offset
    return (1 - (source[:, :, None] - index).abs()).relu()


def _transformed(images: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Images (B, 1, H, W) times the matrices (B, H, H) and (B, W, W) of their axes."""
    *others, last = matrices
    for axis, matrix in enumerate(others, start=2):
        behind = images.shape[axis + 1 :]
        images = (_with_ones(matrix, axis - 1) @ images.flatten(axis + 1)).unflatten(-1, behind)
    return images @ _with_ones(last, images.ndim - 3).mT


def _covered(matrices: Sequence[Tensor]) -> Tensor:
    """How much of each new pixel comes from old ones (B, 1, H, W)."""
    shares = [matrix.sum(-1) for matrix in matrices]
    places = range(2, 2 + len(shares))
    spread = [
        share.view(len(share), *(-1 if axis == place else 1 for place in range(1, 2 + len(shares))))
        for axis, share in zip(places, shares, strict=True)
    ]
    return reduce(torch.mul, spread)


def _with_ones(matrices: Tensor, count: int) -> Tensor:
    """Matrices (B, S, S) as (B, 1, ..., S, S) with so many ones."""
    return matrices.view(len(matrices), *(1,) * count, *matrices.shape[1:])
