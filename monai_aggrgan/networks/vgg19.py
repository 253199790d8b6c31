"""VGG-19 as a measure of style and content: its feature maps up to relu5_1, with average pooling.

The paper's loss weights (5, 100, 0.001) belong to the original Oxford network, whose maps have means `OXFORD_MEANS`.
Content grows with the square of a map's scale and style with its fourth power, so other weights need `scales`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from monai_aggrgan.exceptions import InputError

__all__ = ["CONTENT_LAYER", "OXFORD_MEANS", "STYLE_LAYERS", "VGG19Features", "load_vgg19", "measured_scales"]

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"

OXFORD_MEANS = {"relu1_1": 24.0, "relu2_1": 108.0, "relu3_1": 71.0, "relu4_1": 229.0, "relu4_2": 137.0, "relu5_1": 11.0}
"""Mean activation of each layer on real MR slices of 128x128, with the original Oxford weights."""

_POSITIONS = {1: "relu1_1", 6: "relu2_1", 11: "relu3_1", 20: "relu4_1", 22: "relu4_2", 29: "relu5_1"}
_BLOCKS = (
    (64, 2),
    (128, 2),
    (256, 4),
    (512, 4),
    (512, 1),
)  # filters, convolutions; the last block is cut after relu5_1
_SMALLEST = 16  # pixels: four poolings leave one

_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
_REMEDY = (
    "give the path of a .pth state dict with torchvision's names (features.0.weight, ...), or 'cache' for the copy in "
    "torch hub's folder, or 'download' to fetch it once; 'random' needs no file but serves demonstrations only"
)


class VGG19Features(nn.Module):
    """The feature maps of VGG-19 that style transfer compares; frozen, but differentiable in the images.

    Parameters carry torchvision's names, `features.N.weight` and `features.N.bias`. They start He-initialised, drawn
    from `seed` alone; `load_vgg19` gives trained ones.

    Args:
        scales: positive factor on the maps of a layer; 1 for a layer that is not named.
        seed: seed of the initial weights.

    Raises:
        ValueError: when `scales` names an unknown layer, or a factor is not positive and finite.

    Source: Simonyan and Zisserman 2014, configuration E. Differs from it in: average pooling, as the paper asks.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, scales: Mapping[str, float] | None = None, seed: int = 0) -> None:
        super().__init__()
        self.scales = _complete(scales or {})
        self.features = _he_initialised(_trunk(), seed)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Maps of each layer, times its scale.

        Args:
            images: images (B, 1, H, W) in [0, 1].

        Returns:
            relu1_1 (B, 64, H, W), relu2_1 (B, 128, H/2, W/2), relu3_1 (B, 256, H/4, W/4), relu4_1 and relu4_2
            (B, 512, H/8, W/8), relu5_1 (B, 512, H/16, W/16); non-negative.

        Raises:
            ValueError: when `images` is not (B, 1, H, W), or smaller than 16 pixels.
        """
        if images.ndim != 4 or images.shape[1] != 1 or min(images.shape[2:]) < _SMALLEST:
            raise ValueError(f"images must be (B, 1, H, W), H and W at least {_SMALLEST}, got {tuple(images.shape)}")
        hidden = (images - self.mean) / self.std  # one grey channel broadcasts to three
        maps = {}
        for position, layer in enumerate(self.features):
            hidden = layer(hidden)
            if name := _POSITIONS.get(position):
                maps[name] = hidden * self.scales[name]
        return maps


def load_vgg19(weights: str | Path, *, scales: Mapping[str, float] | None = None, seed: int = 0) -> VGG19Features:
    """VGG-19 with weights from a file, torch hub's cache, the network, or a seed.

    Args:
        weights: path of a state dict with torchvision's names (further keys, as the classifier's, are ignored), or
            "cache" (`vgg19-dcbb9e9d.pth` in torch hub's folder, never the network), "download" (fetched into that
            folder unless it is there), "random" (He initialisation from `seed`).
        scales: positive factor on the maps of each layer, see `measured_scales`.
        seed: seed of "random"; the other choices do not depend on it.

    Raises:
        InputError: when the weights are missing, unreadable or not VGG-19's, or the download fails.
    """
    network = VGG19Features(scales=scales, seed=seed)
    if weights == "random":
        return network
    state = _downloaded() if weights == "download" else _read(_cached() if weights == "cache" else Path(weights))
    wanted = network.state_dict()
    _check(state, wanted, weights)
    network.load_state_dict({key: state[key] for key in wanted})
    return network


@torch.no_grad()
def measured_scales(network: VGG19Features, images: Tensor) -> dict[str, float]:
    """The factor of each layer that brings the mean of its maps on `images` to `OXFORD_MEANS`; to be given as `scales`.

    With it, the paper's loss weights mean the same for any weights file: a positive factor commutes with ReLU, so the
    rescaled network is one with other weights that sees the same features.

    Args:
        network: the network to rescale; it is left as it is.
        images: images (B, 1, H, W) in [0, 1] like those to be restyled, the same ones throughout a study.

    Raises:
        InputError: when a layer's mean is zero or not finite.
    """
    each = [{name: float(maps.mean()) for name, maps in network(image[None]).items()} for image in images]
    means = {name: sum(one[name] for one in each) / len(each) for name in OXFORD_MEANS}
    for name, mean in means.items():
        if not 0 < mean < math.inf:
            raise InputError(f"VGG-19 weights give {name} a mean of {mean}, which no factor can mend: {_REMEDY}")
    return {name: network.scales[name] * OXFORD_MEANS[name] / mean for name, mean in means.items()}


def _complete(scales: Mapping[str, float]) -> dict[str, float]:
    for name, scale in scales.items():
        if name not in OXFORD_MEANS or not 0 < scale < math.inf:
            raise ValueError(f"scales must be positive factors of {', '.join(OXFORD_MEANS)}, got {name!r}: {scale}")
    return {name: float(scales.get(name, 1)) for name in OXFORD_MEANS}


def _trunk() -> nn.Sequential:
    """Convolutions, ReLUs and poolings at torchvision's positions, without memory: no default weights are drawn."""
    layers: list[nn.Module] = []
    channels = 3
    for filters, convolutions in _BLOCKS:
        if layers:
            layers.append(nn.AvgPool2d(2))
        for _ in range(convolutions):
            layers += [nn.Conv2d(channels, filters, 3, padding=1, device="meta"), nn.ReLU(inplace=True)]
            channels = filters
    return nn.Sequential(*layers)


@torch.no_grad()
def _he_initialised(trunk: nn.Sequential, seed: int) -> nn.Sequential:
    """Weights N(0, 2 / fan-in) and zero biases, He et al. 2015."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in trunk.to_empty(device="cpu").parameters():
        if parameter.ndim == 1:
            parameter.zero_()
        else:
            parameter.normal_(0, math.sqrt(2 / parameter[0].numel()), generator=generator)
    return trunk


def _cached() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(_URL).name


def _read(path: Path) -> Mapping[str, object]:
    if not path.is_file():
        raise InputError(f"VGG-19 weights not found at '{path}': {_REMEDY}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the bytes provoke
        raise InputError(f"VGG-19 weights '{path}' cannot be read ({type(error).__name__}): {_REMEDY}") from error
    return state if isinstance(state, Mapping) else {}


def _downloaded() -> Mapping[str, object]:
    try:
        return torch.hub.load_state_dict_from_url(_URL, map_location="cpu", check_hash=True, weights_only=True)
    except Exception as error:  # no network, no disk, a wrong hash, a broken file in the cache
        raise InputError(f"VGG-19 weights cannot be downloaded from {_URL} ({error}): {_REMEDY}") from error


def _check(state: Mapping[str, object], wanted: Mapping[str, Tensor], weights: str | Path) -> None:
    """Refuse a state that lacks a tensor, or has it in another shape; the message names the first."""
    for key, tensor in wanted.items():
        found = state.get(key)
        if not isinstance(found, Tensor) or found.shape != tensor.shape:
            came = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else "no tensor"
            wants = f"{key} must have shape {tuple(tensor.shape)}"
            raise InputError(f"VGG-19 weights '{weights}' have {came} where {wants}: {_REMEDY}")
