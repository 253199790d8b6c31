"""Style transfer as it is commonly written in plain torch: one image, three channels, autograd, `torch.optim.LBFGS`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from monai_aggrgan.inferers import StyleTransferInferer
from monai_aggrgan.networks import VGG19Features

POSITIONS = {1: "relu1_1", 6: "relu2_1", 11: "relu3_1", 20: "relu4_1", 22: "relu4_2", 29: "relu5_1"}
CONTENT = "relu4_2"
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@dataclass(frozen=True)
class Pairs:
    """Images (N, 1, H, W) in [0, 1] to restyle, and the style of each."""

    contents: Tensor
    styles: Tensor

    def first(self, count: int) -> Pairs:
        """The first pairs only."""
        return Pairs(self.contents[:count], self.styles[:count])


@dataclass
class Run:
    """How a restyling went: images (N, 1, H, W), seconds in all, and how many iterations each image took.

    `final_losses` are those before the clamp, by the program's own objective. `losses` and `moments`
    (seconds since the start) belong to each evaluation of the reference.
    """

    images: Tensor
    seconds: float
    iterations: list[int]
    final_losses: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Image-iterations a second."""
        return sum(self.iterations) / self.seconds


class PlainObjective:
    """Eq. 16 of one grey image (1, 1, H, W) on 0..255, as implementations in plain torch have it."""

    def __init__(
        self, network: VGG19Features, trunk: nn.Sequential, pair: Pairs, inferer: StyleTransferInferer
    ) -> None:
        self.trunk, self.mean, self.std, self.scales = trunk, network.mean, network.std, network.scales
        self.weights = (inferer.content_weight, inferer.style_weight, inferer.total_variation_weight)
        with torch.no_grad():
            self.content = self.maps(255 * pair.contents)[CONTENT]
            self.grams = {layer: gram(maps) for layer, maps in self.maps(255 * pair.styles).items() if layer in STYLE}

    def maps(self, pixels: Tensor) -> dict[str, Tensor]:
        """Maps of the layers that are compared, at unit mean."""
        hidden = (pixels.expand(-1, 3, -1, -1) / 255 - self.mean) / self.std
        maps = {}
        for position, layer in enumerate(self.trunk):
            hidden = layer(hidden)
            if position in POSITIONS:
                maps[POSITIONS[position]] = hidden
        return maps

    def __call__(self, pixels: Tensor) -> Tensor:
        """The loss, a scalar; the maps' scales are in the weights, as s^2 and s^4."""
        maps = self.maps(pixels)
        content_weight, style_weight, total_variation_weight = self.weights
        loss = content_weight * self.scales[CONTENT] ** 2 * (maps[CONTENT] - self.content).pow(2).sum() / 2
        for layer in STYLE:
            filters, size = maps[layer].shape[1], maps[layer][0, 0].numel()
            distance = (gram(maps[layer]) - self.grams[layer]).pow(2).sum() / (4 * filters**2 * size**2)
            loss = loss + style_weight / len(STYLE) * self.scales[layer] ** 4 * distance
        vertical, horizontal = pixels.diff(dim=2).pow(2).sum(), pixels.diff(dim=3).pow(2).sum()
        return loss + total_variation_weight * (vertical + horizontal)


def gram(maps: Tensor) -> Tensor:
    """(1, C, H, W) -> (1, C, C)."""
    vectors = maps.flatten(2)
    return torch.bmm(vectors, vectors.transpose(1, 2))


def restyle(objective_of: Callable[[Pairs], PlainObjective], pair: Pairs, *, iterations: int) -> Run:
    """Restyle one image with torch's L-BFGS; the time that its targets take is counted."""
    device = pair.contents.device
    run = Run(pair.contents, 0.0, [])
    start = clock(device)
    objective, pixels = objective_of(pair), (255 * pair.contents).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [pixels],
        max_iter=iterations,
        max_eval=2 * iterations,
        history_size=100,
        tolerance_grad=0,
        tolerance_change=0,
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = objective(pixels)
        loss.backward()  # type: ignore[no-untyped-call]
        run.losses.append(loss.item())
        run.moments.append(clock(device) - start)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    run.seconds = clock(device) - start
    run.images = (pixels.detach() / 255).clamp(0, 1)
    run.iterations = [len(run.losses)]  # a move after each evaluation
    run.final_losses = run.losses[-1:]
    return run


def clock(device: torch.device) -> float:
    """Seconds, once the device has done what it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def gflop(trunk: nn.Sequential, size: int) -> float:
    """Of an image-iteration at least: convolutions and Gram matrices, and as much again for the gradient of the image.

    The first convolution has one channel, as the image is grey; a Gram matrix is symmetric, but no library uses that.
    """
    total, side, filters = 0, size, 0
    for position, layer in enumerate(trunk):
        if isinstance(layer, nn.AvgPool2d):
            side //= 2
        elif isinstance(layer, nn.Conv2d):
            filters = layer.out_channels
            total += 2 * 9 * (layer.in_channels if position else 1) * filters * side**2
        if POSITIONS.get(position) in STYLE:
            total += 2 * filters**2 * side**2
    return 2 * total / 1e9
