"""Any feature extractor as one thing: a name, and images in [0, 1] to vectors."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from monai.bundle import ConfigParser
from monai.utils.type_conversion import convert_to_tensor
from torch import Tensor, nn

from monai_aggrgan.exceptions import InputError, said_by
from monai_aggrgan.networks.vgg19 import VGG19Features
from monai_aggrgan.networks.vgg19_embedding import LAYERS, VGG19Embedding

__all__ = ["FeatureSpace", "Whitened", "custom_space", "pixel_space", "vgg19_space"]

BLOCK = 64  # images whose maps are in memory at once
PREPROCESSING = ("size", "channels", "mean", "std")

Whitened = Literal["distances", "everything", "nothing"]
"""For which metrics features are to be whitened: for KID and Frechet distance only, for all, or for none."""


@dataclass(frozen=True)
class FeatureSpace:
    """A feature extractor and what it wants its images to be.

    Attributes:
        name: short, for columns.
        description: names the extractor exactly, for readers.
        network: takes images (B, channels, H, W), gives features (B, D), or maps (B, D, h, w), of which the spatial
            means are taken, or a tuple or mapping, whose last tensor counts.
        size: side in pixels to which images are brought, or the least and the most, so that only images outside are;
            None leaves them. They are shrunk by means over areas, enlarged bilinearly; they become square.
        channels: the grey image is repeated so often.
        mean: what is subtracted, one number or one a channel.
        std: by what it is then divided.
        whitening: for which metrics, see `Whitened`.

    Raises:
        InputError: when the preprocessing is impossible.
    """

    name: str
    description: str
    network: Callable[[Tensor], Any]
    size: int | tuple[int, int] | None = None
    channels: int = 1
    mean: float | Sequence[float] = 0.0
    std: float | Sequence[float] = 1.0
    whitening: Whitened = "distances"

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, tuple) else () if self.size is None else (self.size,)
        for option, number in (*(("size", side) for side in sides), ("channels", self.channels)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise InputError(f"feature space '{self.name}': {option} must be a positive integer, got {number!r}")
        mean, std = self._a_channel("mean"), self._a_channel("std")
        if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            came = f"{self.mean} and {self.std}"
            raise InputError(f"feature space '{self.name}': mean must be finite and std positive, got {came}")

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Features (B, D), float32, of images (B, 1, H, W) in [0, 1], on their device.

        The network is moved to that device and put into evaluation mode. Images pass in blocks.

        Raises:
            ValueError: when `images` is not (B, 1, H, W) with B at least 1.
            InputError: when the network fails, or its features are not a matrix, or not finite.
        """
        if images.ndim != 4 or images.shape[1] != 1 or not len(images):
            raise ValueError(f"images must be (B, 1, H, W), at least one, got {tuple(images.shape)}")
        plain: Tensor = convert_to_tensor(images, track_meta=False)
        if isinstance(self.network, nn.Module):
            self.network.to(images.device).eval()
        return torch.cat([self._embed(block) for block in plain.split(BLOCK)])

    def _embed(self, images: Tensor) -> Tensor:
        mean, std = (self._a_channel(option).to(images.device) for option in ("mean", "std"))
        prepared = (self._resized(images.float()).expand(-1, self.channels, -1, -1) - mean) / std
        try:
            output = _last_tensor(self.network(prepared))
        except Exception as error:  # whatever the user's network raises
            came = f"{type(error).__name__}: {said_by(error)}"
            wanted = f"images {tuple(prepared.shape)}"
            raise InputError(f"feature space '{self.name}' cannot take {wanted} ({came})") from error
        if output is not None and output.ndim == 4:
            output = output.float().mean(dim=(2, 3))
        if output is None or output.ndim != 2 or len(output) != len(images):
            came = "no tensor" if output is None else f"shape {tuple(output.shape)}"
            wanted = f"features ({len(images)}, D) or maps ({len(images)}, D, h, w)"
            raise InputError(f"feature space '{self.name}' must give {wanted}, got {came}")
        if not output.isfinite().all():
            raise InputError(f"feature space '{self.name}' gives features that are infinite or undefined")
        return output.float()

    def _resized(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        side = min(max(height, width, self.size[0]), self.size[1]) if isinstance(self.size, tuple) else self.size
        if side is None or height == width == side:
            return images
        if min(height, width) >= side:
            return F.interpolate(images, size=(side, side), mode="area")
        return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)

    def _a_channel(self, option: Literal["mean", "std"]) -> Tensor:
        """The option as (1, 1 or channels, 1, 1)."""
        given = getattr(self, option)
        try:
            numbers = torch.tensor(given, dtype=torch.float32).flatten()
        except (TypeError, ValueError, RuntimeError):
            numbers = torch.zeros(0)
        if len(numbers) not in (1, self.channels):
            wanted = f"one number, or one for each of {self.channels} channels"
            raise InputError(f"feature space '{self.name}': {option} must be {wanted}, got {given!r}")
        return numbers.view(1, -1, 1, 1)


def vgg19_space(features: VGG19Features, *, weights_name: str, size: int = 64) -> FeatureSpace:
    """VGG-19's layers (`VGG19Embedding`), 1280 numbers; images larger than `size` are shrunk, for speed.

    Args:
        features: the network, see `load_vgg19`.
        weights_name: what readers are told of its weights; of "random" ones all metrics need whitened features.
        size: at most so many pixels a side; at least 16.
    """
    layers = f"spatial means of {', '.join(LAYERS)}"
    return FeatureSpace(
        name="vgg19",
        description=f"VGG-19 with {weights_name} weights, {layers}, images at {size} pixels at most",
        network=VGG19Embedding(features),
        size=(min(16, size), size),
        whitening="everything" if weights_name == "random" else "distances",
    )


def pixel_space(size: int = 32) -> FeatureSpace:
    """The grey levels themselves at `size` x `size`, as a comparison without any network."""
    described = f"grey levels at {size}x{size} pixels"
    return FeatureSpace("pixels", described, nn.Flatten(), size=size, whitening="nothing")


def custom_space(name: str, spec: Mapping[str, Any]) -> FeatureSpace:
    """A feature space that the user describes: a TorchScript file, or a module that Python can import.

    Args:
        name: for columns and messages.
        spec: either "path", a file that `torch.jit.save` wrote, or "target", the dotted path of a module, with its
            arguments; and with either "size", "channels", "mean", "std", see `FeatureSpace` (these four are never
            arguments of the module). Both run code: name only what you trust. "_target_" is taken for "target", but
            in a config MONAI would make the module itself.

    Raises:
        InputError: when the file is absent or not TorchScript, the module cannot be made, or a key is unknown.

    >>> custom_space("radimagenet", {"path": "resnet50.ts", "size": 224, "channels": 3, "mean": 0.5, "std": 0.5})
    ... # doctest: +SKIP
    """
    preprocessing = {key: spec[key] for key in PREPROCESSING if key in spec}
    given = {"_target_" if key == "target" else key: spec[key] for key in spec if key not in PREPROCESSING}
    if wrong := [key for key in ("path", "_target_") if not isinstance(given.get(key, ""), str | Path)]:
        raise InputError(f"feature space '{name}': {wrong[0].strip('_')} must be text, got {given[wrong[0]]!r}")
    if "path" in given and "_target_" not in given:
        if unknown := sorted(map(str, given.keys() - {"path"})):
            known = ", ".join(PREPROCESSING)
            raise InputError(f"feature space '{name}' has unknown keys {unknown}: beside path it may have {known}")
        network, description = _scripted(name, Path(given["path"]))
    elif "_target_" in given:
        network, description = _instantiated(name, given)
    else:
        raise InputError(f"feature space '{name}' must name a path or a target, got {sorted(map(str, spec))}")
    size = preprocessing.get("size")
    described = f"{description}, images at {size} pixels" if size else description
    for parameter in network.parameters():  # requires_grad_ of a whole module is not there for TorchScript
        parameter.requires_grad_(False)
    return FeatureSpace(name, described, network.eval(), **preprocessing)


def _scripted(name: str, path: Path) -> tuple[nn.Module, str]:
    if not os.path.isfile(path):
        raise InputError(f"feature space '{name}': there is no file '{path}'")
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*torch.jit")  # of a kind that differs by version
            network = torch.jit.load(str(path), map_location="cpu")
    except Exception as error:  # torch raises whatever the bytes provoke
        came = f"{type(error).__name__}: {said_by(error)}"
        wanted = "a TorchScript module, as torch.jit.save writes it"
        raise InputError(f"feature space '{name}': '{path}' cannot be read as {wanted} ({came})") from error
    return cast(nn.Module, network), f"{path.name} (SHA-256 {digest[:8]})"


def _instantiated(name: str, given: Mapping[str, Any]) -> tuple[nn.Module, str]:
    target = given["_target_"]
    try:
        network = ConfigParser({"network": dict(given)}).get_parsed_content("network")
    except Exception as error:  # whatever importing and calling it raises
        raise InputError(f"feature space '{name}': cannot make {target} ({said_by(error)})") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"feature space '{name}': {target} must be a torch module, got {type(network).__name__}")
    return network, str(target)


def _last_tensor(output: Any) -> Tensor | None:
    """The tensor of a network's output, or the last of several."""
    if isinstance(output, Tensor):
        return output
    parts = list(output.values()) if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    return next((part for part in reversed(parts) if isinstance(part, Tensor)), None)
