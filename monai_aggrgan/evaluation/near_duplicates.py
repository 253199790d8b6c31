"""Held-out images that show nearly what a training image shows: copies, or a patient on both sides of the split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from monai_aggrgan.data.manifest import map_image_array, read_manifest
from monai_aggrgan.data.splits import HELD_OUT, TRAINING

__all__ = ["SMALLEST", "THRESHOLD", "NearDuplicate", "find_near_duplicates", "structure"]

GRID = SMALLEST = 64
"""Cells along a side in which images are compared, and the smallest side of an image that can be."""
FINE, COARSE = 0.5, 1.0  # standard deviations of the Gaussian windows, in cells
CONTRAST = 0.01  # what is much fainter is taken for noise
STRUCTURE = 200  # cells: an image that shows as little counts half
THRESHOLD = 0.6
BLOCK, CHUNK = 4096, 1024  # held-out images whose structures, and images whose pixels, are in memory at once
PATIENCE = 5  # seconds until a progress bar is shown


@dataclass(frozen=True)
class NearDuplicate:
    """A held-out image and the training image of its class that is most like it.

    Attributes:
        class_name: of both.
        held_out: id of the held-out image.
        training: id of the training image.
        similarity: product of their structures, above `THRESHOLD`; of identical images 0.8 to 0.95 as a rule.
        mirrored: whether one is like the other's mirror image, left and right exchanged.
    """

    class_name: str
    held_out: str
    training: str
    similarity: float
    mirrored: bool


@torch.no_grad()
def structure(images: Tensor) -> Tensor:
    """What is particular to an image, as a vector; the product of two vectors tells copies from look-alikes.

    An image is band-passed on a grid of 64 by 64 cells (difference of two Gaussian means, sigma 0.5 and 1 cell) and
    divided by its local contrast c there, sqrt(c^2 + 0.01^2): brightness, contrast and slow shading go, small vessels
    count as much as the skull. The vector x of zero mean becomes x / sqrt(|x|^2 + 200). So the product is a correlation
    that is smaller for images that show little: two nearly black slices are alike without being copies.

    Args:
        images: (N, 1, H, W) in [0, 1], H and W at least 64.

    Returns:
        Vectors (N, 4096), no longer than 1.
    """
    pixels = images[:, 0].float()
    height, width = pixels.shape[1:]
    fine, coarse = (_means(height, sigma) @ pixels @ _means(width, sigma).T for sigma in (FINE, COARSE))
    band = fine - coarse
    variance = _means(GRID, COARSE) @ band.square() @ _means(GRID, COARSE).T
    cells = (band / (variance + CONTRAST**2).sqrt()).flatten(1)
    cells = cells - cells.mean(dim=1, keepdim=True)
    return cells / (cells.square().sum(dim=1, keepdim=True) + STRUCTURE).sqrt()


def find_near_duplicates(folder: Path | str) -> list[NearDuplicate]:
    """Held-out images whose nearest training image of the same class is too near to be of another patient.

    Near is a product of `structure` above 0.6, also with the mirror image. Images of the same pixels are left out, see
    `find_duplicates`; so are images smaller than 64 pixels.

    Measured on the 3064 slices of the Figshare set at 128x128, each against all of its class in other folds: different
    patients reach 0.49, also mirrored. Six pairs lie between 0.495 and 0.65, and all show one patient examined twice
    (three such patients are in two of the official folds); one of the six is above 0.6. Copies of 300 slices: JPEG of
    quality 75 at 512 or at 128 pixels 0.79 and more, quality 50, or halved and enlarged, 0.77, reduced without
    antialiasing 0.79, contrast 10 % up or down 0.80, gamma 0.7 0.78, mirrored 0.80, noise of 0.03 0.66; shifted by one
    pixel or turned by two degrees, 99 % are found, by two pixels or five degrees few. With slices instead of patients
    split at random, 133 of 640 held-out slices are found, all rightly: their partners are neighbours in the list (at
    most 4 apart) or, twice, of another examination of the patient. Most neighbours, about 6 mm apart, are not so near.

    In 8 cases of BraTS (slices 15 to 139, four modalities, 128x128) different patients reach 0.49, neighbouring slices,
    1 mm apart, 0.79 (median); JPEG copies are found where a tenth of the image shows something. At 64x64 the Figshare
    patients reach 0.53 and JPEG of quality 75 keeps 0.68. Not measured: other organs, and thousands of patients, whose
    nearest pairs must be nearer. 3064 images take a second on two cores, 40,000 of one class half a minute.

    Args:
        folder: a finished prepared data set.

    Returns:
        Pairs, most alike first.

    Raises:
        InputError: when a manifest or an array is absent or damaged.
    """
    found: list[NearDuplicate] = []
    for name in dict.fromkeys(row["class_name"] for row in read_manifest(folder)):
        images, rows = map_image_array(Path(folder) / name)
        sides = [[i for i, row in enumerate(rows) if row["section"] == side] for side in (HELD_OUT, TRAINING)]
        if min(images.shape[2:]) < SMALLEST or not all(sides):
            continue
        nearest = _nearest(images, *map(torch.tensor, sides), label=name)
        for index, similarity, partner, mirrored in zip(
            sides[0], *(column.tolist() for column in nearest), strict=True
        ):
            if similarity > THRESHOLD and rows[index]["sha256"] != rows[partner]["sha256"]:
                found.append(NearDuplicate(name, rows[index]["id"], rows[partner]["id"], similarity, mirrored))
    return sorted(found, key=lambda pair: -pair.similarity)


def _nearest(images: Tensor, held_out: Tensor, training: Tensor, *, label: str) -> tuple[Tensor, Tensor, Tensor]:
    """For each held-out image: the highest similarity, the index of that training image, whether it is mirrored."""
    blocks = held_out.split(BLOCK)
    total = len(blocks) * len(training)
    with tqdm(total=total, desc=f"near-duplicates of {label}", unit="image", delay=PATIENCE) as bar:
        found = [_nearest_of_block(block, images, training, bar=bar) for block in blocks]
    similarity, partner, mirrored = (torch.cat(column) for column in zip(*found, strict=True))
    return similarity, partner, mirrored


def _nearest_of_block(
    held_out: Tensor, images: Tensor, training: Tensor, *, bar: tqdm[None]
) -> tuple[Tensor, Tensor, Tensor]:
    count = len(held_out)
    structures = torch.cat([structure(images[indices]) for indices in held_out.split(CHUNK)])
    both = torch.cat([structures, structures.view(count, GRID, GRID).flip(-1).flatten(1)])
    best, partner = torch.full((2 * count,), -torch.inf), torch.zeros(2 * count, dtype=torch.long)
    for indices in training.split(CHUNK):
        similarity, place = (both @ structure(images[indices]).T).max(dim=1)
        partner = torch.where(similarity > best, indices[place], partner)
        best = best.maximum(similarity)
        bar.update(len(indices))
    best, side = best.view(2, count).max(dim=0)
    return best, partner.view(2, count).gather(0, side[None])[0], side.bool()


def _means(length: int, sigma: float) -> Tensor:
    """Matrix (64, length) of Gaussian means around the centres of 64 cells; `sigma` in cells, rows sum to 1."""
    cell = length / GRID
    centres = (torch.arange(GRID) + 0.5) * cell - 0.5
    weights = torch.exp(-((torch.arange(length) - centres[:, None]) / (sigma * cell)).square() / 2)
    return weights / weights.sum(dim=1, keepdim=True)
