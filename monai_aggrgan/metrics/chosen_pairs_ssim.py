"""SSIM of images with some references of each, and the nearest of many references."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from monai_aggrgan.metrics.all_pairs_ssim import AllPairsSSIM
from monai_aggrgan.metrics.grey_images import plain_images
from monai_aggrgan.metrics.local_means import C1, C2, FILTERS, check_window_fits, fastest_filtering, full_precision

__all__ = ["ShortlistSSIM", "chosen_pairs_ssim"]

PAIRS = {"cpu": 32, "cuda": 512}  # at once: of 128x128 what a CPU's last cache holds
SMALLEST = 64  # pixels below which images are compared as they are


@torch.no_grad()
def chosen_pairs_ssim(judged: Tensor, references: Tensor, choices: Tensor) -> Tensor:
    """SSIM of each judged image with the references that are chosen for it, as `AllPairsSSIM` defines it.

    Args:
        judged: images (N, 1, H, W) in [0, 1], H and W at least 11; or signals (N, 1, W), or volumes (N, 1, D, H, W).
        references: images (M, 1, H, W) in [0, 1] on the same device.
        choices: which references, (N, K) int64.

    Returns:
        SSIM (N, K).

    Raises:
        ValueError: when shapes do not fit or the images are smaller than the window.
    """
    images = plain_images(judged)
    partners = plain_images(references, like=images)
    if choices.ndim != 2 or len(choices) != len(images):
        raise ValueError(f"choices must be ({len(images)}, K), got {tuple(choices.shape)}")
    check_window_fits(images.shape[1:])
    local_mean = FILTERS[fastest_filtering(images)](images, 1)
    owners = torch.arange(len(images), device=images.device).repeat_interleave(choices.shape[1])
    size = PAIRS.get(images.device.type, PAIRS["cuda"])
    scores = []
    with full_precision(images.device.type):
        for owner, choice in zip(owners.split(size), choices.to(images.device).flatten().split(size), strict=True):
            x, y = (some.movedim(0, -1).contiguous() for some in (images[owner], partners[choice]))
            mean_x, mean_y = local_mean(x, 0.0), local_mean(y, 0.0)
            product, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
            spread = local_mean(x.square().add_(y.square()), 0.0).sub_(squares).clamp_min_(0)
            covariance = local_mean(x * y, 0.0).sub_(product)
            top = product.mul_(2).add_(C1).mul_(covariance.mul_(2).add_(C2))
            scores.append(top.div_(squares.add_(C1).mul_(spread.add_(C2))).mean(dim=tuple(range(x.ndim - 1))))
    return torch.cat(scores).view(choices.shape) if scores else images.new_empty(choices.shape)


class ShortlistSSIM:
    """Finds the reference of highest SSIM of each image: a shortlist at half the resolution, then exactly.

    Images of 64 pixels a side or less are compared as they are, larger ones at half their size, but at least at 64
    pixels, there at every second place of the window. Of 96 MR slices of 128x128 against 600 of the Figshare set, the
    nearest was always among the first 8 of the shortlist, in a sixth of the time of all pairs.

    Args:
        references: images (M, 1, H, W) in [0, 1], or signals, or volumes.
        length: of the shortlist.

    Raises:
        ValueError: when the references are not such images.
    """

    def __init__(self, references: Tensor, *, length: int = 8) -> None:
        plain_images(references)  # refuses what is no image
        self._references, self._length = references, min(length, len(references))
        self._small = _small(references)
        reduced = self._small is not references
        self._all_pairs = AllPairsSSIM(self._small, stride=2 if reduced else 1)

    def shortlist(self, judged: Tensor, *, exclude: Tensor | None = None) -> Tensor:
        """References (N, K) that are worth comparing exactly, best first; -1 where there are not as many.

        Args:
            judged: images (N, 1, H, W) in [0, 1].
            exclude: bool (N, M), true where a pair is not allowed.

        Raises:
            ValueError: when `exclude` is not (N, M).
        """
        rough = self._all_pairs(_small(judged))
        if exclude is not None:
            if exclude.shape != rough.shape:
                raise ValueError(f"exclude must be {tuple(rough.shape)}, got {tuple(exclude.shape)}")
            rough = rough.masked_fill(exclude.to(rough.device), -torch.inf)
        values, indices = rough.topk(self._length, dim=1)
        return indices.masked_fill(values == -torch.inf, -1)

    def nearest(self, judged: Tensor, shortlist: Tensor) -> tuple[Tensor, Tensor]:
        """SSIM (N,) and index (N,) of the nearest reference, of equals the first; -1 where there is none, SSIM NaN.

        Args:
            judged: images (N, 1, H, W) in [0, 1].
            shortlist: of them, as the method gives it.
        """
        scores = chosen_pairs_ssim(judged, self._references, shortlist.clamp(min=0))
        scores = scores.masked_fill(shortlist < 0, -torch.inf)
        best = scores.amax(dim=1, keepdim=True)
        first = torch.where(scores == best, shortlist, len(self._references)).amin(dim=1)
        none = best[:, 0] == -torch.inf
        return best[:, 0].masked_fill(none, torch.nan), first.masked_fill(none, -1)


def _small(images: Tensor) -> Tensor:
    sides = images.shape[2:]
    if min(sides) <= SMALLEST:
        return images
    return F.interpolate(images.float(), size=[max(SMALLEST, side // 2) for side in sides], mode="area")
