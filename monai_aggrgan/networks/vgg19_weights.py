"""Weights for VGG-19, and the scale at which its maps are judged.

What loss weights mean depends on the scale of the maps, since content grows with its square and style with its fourth
power. The paper's weights (5, 100, 0.001) belong to the original Oxford network; other weights have other scales. So
the network is rescaled to maps of unit mean, which half precision can hold, and told what to multiply them by.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from monai.utils import look_up_option
from torch import Tensor, nn

from monai_aggrgan.exceptions import InputError
from monai_aggrgan.networks.plain_tensor import is_plain
from monai_aggrgan.networks.vgg19 import LAYERS, VGG19Features

__all__ = ["OXFORD_MEANS", "Scale", "load_vgg19", "probe_image"]

logger = logging.getLogger(__name__)

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

_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
_REMEDY = (
    "give the path of a .pth state dict with torchvision's names (features.0.weight, ...), or 'cache' for the copy in "
    "torch hub's folder, or 'download' to fetch it once; 'random' needs no file but serves demonstrations only"
)


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
            if name := LAYERS.get(position):
                means[name] = mean
    return means


def _cached() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(_URL).name


def _read(path: Path) -> Mapping[str, object]:
    if not os.path.isfile(path):
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
        if not is_plain(found) or found.shape != tensor.shape:
            came = f"shape {tuple(found.shape)}" if is_plain(found) else "no tensor"
            wants = f"{key} must have shape {tuple(tensor.shape)}"
            raise InputError(f"VGG-19 weights '{weights}' have {came} where {wants}: {_REMEDY}")
