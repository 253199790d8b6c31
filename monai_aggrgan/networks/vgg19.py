"""VGG-19 as a measure of style and content: its feature maps up to relu5_1, with average pooling.

What loss weights mean depends on the scale of the maps, since content grows with its square and style with its fourth
power. The paper's weights (5, 100, 0.001) belong to the original Oxford network; other weights have other scales. Here
the maps are computed at unit mean, which half precision can hold, and `scales` says what they have to be multiplied by.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from monai.utils import look_up_option
from torch import Tensor, nn

from monai_aggrgan.exceptions import InputError

__all__ = ["CONTENT_LAYER", "OXFORD_MEANS", "STYLE_LAYERS", "Scale", "VGG19Features", "load_vgg19", "probe_image"]

logger = logging.getLogger(__name__)

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"

OXFORD_MEANS = {
    "relu1_1": 26.2333,
    "relu2_1": 127.119,
    "relu3_1": 86.7155,
    "relu4_1": 244.163,
    "relu4_2": 148.365,
    "relu5_1": 16.7408,
}
"""Mean of each layer's maps of `probe_image()` with the original Oxford weights; about the same as on MR slices."""

Scale = Literal["oxford", "torchvision"] | Mapping[str, float]
"""At which scale the maps are judged: "oxford", as the original network gives them on grey levels of 0..255 whatever
the file, which the paper's weights presume; "torchvision", as the file itself gives them on ImageNet-normalised images,
which loss weights tuned with torchvision's file presume; or a factor on the file's own maps for each layer named."""

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
    from `seed` alone, with maps at their own scale; `load_vgg19` gives trained ones, at unit mean. In half precision
    (`network.to(torch.bfloat16)`) the first convolution is still computed in float32, for the sake of the grey levels.
    Weights and maps are channels last.

    Args:
        seed: seed of the initial weights.

    Attributes:
        scales: for each layer what its maps are to be multiplied by before they are judged.

    Source: Simonyan and Zisserman 2014, configuration E. Differs from it in: average pooling, as the paper asks.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self.scales = dict.fromkeys(OXFORD_MEANS, 1.0)
        self.features = _he_initialised(_trunk(), seed)
        self.features.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the convolutions after the first."""
        return self.get_parameter("features.0.weight").dtype

    @property
    def full_dtype(self) -> torch.dtype:
        """Precision of the first convolution, and of what should be computed from the maps: at least float32."""
        return torch.promote_types(self.dtype, torch.float32)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Maps of each layer; times `scales` of the layer they have the scale that was asked for.

        Args:
            images: images (B, 1, H, W) in [0, 1].

        Returns:
            relu1_1 (B, 64, H, W), relu2_1 (B, 128, H/2, W/2), relu3_1 (B, 256, H/4, W/4), relu4_1 and relu4_2
            (B, 512, H/8, W/8), relu5_1 (B, 512, H/16, W/16); non-negative. relu1_1 has `full_dtype`, others `dtype`.

        Raises:
            ValueError: when `images` is not (B, 1, H, W), or smaller than 16 pixels.
        """
        if images.ndim != 4 or images.shape[1] != 1 or min(images.shape[2:]) < _SMALLEST:
            raise ValueError(f"images must be (B, 1, H, W), H and W at least {_SMALLEST}, got {tuple(images.shape)}")
        hidden = self.grey_convolution(images).relu_()
        maps = {"relu1_1": hidden}
        hidden = hidden.to(self.dtype)
        for position, layer in list(enumerate(self.features))[2:]:
            hidden = layer(hidden)
            if name := _POSITIONS.get(position):
                maps[name] = hidden
        return maps

    def grey_convolution(self, images: Tensor) -> Tensor:
        """The first convolution of normalised grey images, folded: (B, 1, H, W) -> (B, 64, H, W), before its ReLU.

        A convolution of [image, 1]: its filters are summed over the three channels and divided by their spread; what
        the channels' means contribute is a filter on the ones. Unlike a bias, they end where the zero padding begins.
        """
        dtype = self.full_dtype
        filters = self.get_parameter("features.0.weight").to(dtype) / self.std.to(dtype)
        folded = torch.stack([filters.sum(1), -(filters * self.mean.to(dtype)).sum(1)], 1)
        folded = folded.contiguous(memory_format=torch.channels_last)
        grey = torch.cat([images.to(dtype), torch.ones_like(images, dtype=dtype)], 1)
        return F.conv2d(grey, folded, self.get_parameter("features.0.bias").to(dtype), padding=1)


def load_vgg19(weights: str | Path, *, scale: Scale = "oxford", seed: int = 0) -> VGG19Features:
    """VGG-19 with weights from a file, torch hub's cache, the network, or a seed.

    The weights are rescaled so that the maps of `probe_image()` have unit mean, layer by layer: a positive factor
    commutes with ReLU, so it is the same network. `scales` takes that back, and applies `scale`.

    Args:
        weights: path of a state dict with torchvision's names (further keys, as the classifier's, are ignored), or
            "cache" (`vgg19-dcbb9e9d.pth` in torch hub's folder, never the network), "download" (fetched into that
            folder unless it is there), "random" (He initialisation from `seed`). It must presume RGB in [0, 1],
            normalised by ImageNet's means and spreads, as torchvision's do.
        scale: the scale at which the maps are judged, see `Scale`.
        seed: seed of "random"; the other choices do not depend on it.

    Raises:
        InputError: when the weights are missing, unreadable or not VGG-19's, or the download fails.
        ValueError: when `scale` is none of those, names an unknown layer, or has a factor that is not positive.
    """
    factors = _checked_scale(scale)
    network = VGG19Features(seed=seed)
    if weights != "random":
        state = _downloaded() if weights == "download" else _read(_cached() if weights == "cache" else Path(weights))
        wanted = network.state_dict()
        _check(state, wanted, weights)
        network.load_state_dict({key: state[key] for key in wanted})
    means = _to_unit_means(network)
    network.scales = dict(OXFORD_MEANS) if factors is None else {name: means[name] * factors[name] for name in means}
    told = ", ".join(f"{name} x{network.scales[name] / mean:.3g}" for name, mean in means.items())
    logger.info("VGG-19 maps are judged at these multiples of the weights' own scale: %s", told)
    return network


def probe_image() -> Tensor:
    """The fixed image (1, 1, 128, 128) in [0, 1] on which the scale of weights is measured: a drawn axial slice.

    A bright rim, a textured inside, two dark spots and a bright one: Oxford's maps of it have about the means that they
    have of MR slices.
    """
    axis = torch.linspace(-1, 1, 128, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius = torch.hypot(x / 0.72, y / 0.9)
    waves = 0.25 * torch.sin(9 * x + 5 * torch.sin(7 * y)) * torch.cos(11 * y - 4 * torch.cos(6 * x))
    texture = 0.5 + waves + 0.1 * torch.sin(31 * x) * torch.sin(27 * y)
    spots = _disc(torch.hypot((x.abs() - 0.1) / 0.6, y - 0.1), 0.1)
    inside = 0.7 * _disc(radius, 0.86) * texture * (1 - 0.8 * spots)
    rim = 0.8 * torch.exp(-(((radius - 0.97) / 0.03) ** 2))
    bright = 0.5 * _disc(torch.hypot(x - 0.25, y + 0.2), 0.15)
    return (inside + rim + bright).clamp(0, 1).float()[None, None]


def _disc(distance: Tensor, radius: float) -> Tensor:
    """1 inside the radius, 0 outside, with a soft edge."""
    return torch.sigmoid(60 * (radius - distance))


def _checked_scale(scale: Scale) -> dict[str, float] | None:
    """Factors on the file's own maps; None for Oxford's scale, which depends on the file."""
    if isinstance(scale, str):
        return None if look_up_option(scale, ("oxford", "torchvision")) == "oxford" else dict.fromkeys(OXFORD_MEANS, 1)
    for name, factor in scale.items():
        if name not in OXFORD_MEANS or not 0 < factor < math.inf:
            raise ValueError(f"scale must be positive factors of {', '.join(OXFORD_MEANS)}, got {name!r}: {factor}")
    return {name: float(scale.get(name, 1)) for name in OXFORD_MEANS}


@torch.no_grad()
def _to_unit_means(network: VGG19Features) -> dict[str, float]:
    """Rescale each convolution to maps of unit mean on the probe; return what the named layers' means were."""
    hidden, mean, means = probe_image(), 1.0, {}
    for position, layer in enumerate(network.features):
        if isinstance(layer, nn.Conv2d):
            layer.weight.mul_(mean)  # its inputs were divided by it
            convolution = layer
        hidden = network.grey_convolution(hidden) if position == 0 else layer(hidden)
        if isinstance(layer, nn.ReLU):
            mean = float(hidden.mean())
            if not 0 < mean < math.inf:
                raise InputError(f"VGG-19 weights give maps of mean {mean}, which no factor can mend: {_REMEDY}")
            hidden, _, _ = (tensor.div_(mean) for tensor in (hidden, *convolution.parameters()))
            if name := _POSITIONS.get(position):
                means[name] = mean
    return means


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
