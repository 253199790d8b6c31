"""Trained weights from a file, as far as they fit a network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from monai.networks.utils import copy_model_state
from torch import Tensor, nn

from monai_aggrgan.exceptions import InputError, said_by

__all__ = ["load_pretrained"]

NESTS = ("state_dict", "model", "network")
COUNTER = "num_batches_tracked"  # old files lack it, and nothing is computed from it
REMEDY = "give a .pth or .pt file of a state dict of this network, or leave out weights to train from scratch"


def load_pretrained(network: nn.Module, path: Path | str) -> list[str]:
    """Load all tensors of a file whose name and shape fit; a head for another number of classes stays as it was.

    The file may hold the state dict itself or under `state_dict`, `model` or `network`, with or without DataParallel's
    prefix `module.`. MONAI's DenseNet and EfficientNet also take the files of torchvision and EfficientNet-PyTorch.

    Args:
        network: is changed.
        path: file written by torch.save.

    Returns:
        Names of the network's tensors that the file does not decide.

    Raises:
        InputError: when the file is absent, damaged or no state dict, or fits fewer than half of the network's tensors
            apart from the head (its last layer).
    """
    found = _read(Path(path).expanduser())
    wanted = network.state_dict()
    fitting = {name: _fit(name, tensor, found) for name, tensor in wanted.items()}
    loaded = {name: tensor for name, tensor in fitting.items() if tensor is not None}
    counted = [name for name in _without_head(list(wanted)) if not name.endswith(COUNTER)]
    fits = sum(name in loaded for name in counted)
    if not loaded or 2 * fits < len(counted):
        raise InputError(
            f"Weights '{path}' fit {fits} of {len(counted)} tensors of {type(network).__name__}: it has"
            f" {_some(wanted)}, the file {_some(found)}; {REMEDY}."
        )
    copy_model_state(network, loaded)
    return [name for name in wanted if name not in loaded and not name.endswith(COUNTER)]


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"Weights not found at '{path}': {REMEDY}.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the bytes provoke
        raise InputError(f"Weights '{path}' cannot be read ({said_by(error)}): {REMEDY}.") from error
    for nest in NESTS:
        if isinstance(state, Mapping) and isinstance(state.get(nest), Mapping):
            state = state[nest]
    tensors = {
        _renamed(str(name)): tensor
        for name, tensor in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(tensor, Tensor)
    }
    if not tensors:
        raise InputError(f"Weights '{path}' hold a {type(state).__name__} without tensors by name: {REMEDY}.")
    return tensors


def _renamed(name: str) -> str:
    """Without DataParallel's prefix, and torchvision's layers of a DenseNet (`norm.1` of old, `norm1`) as MONAI's."""
    name = name.removeprefix("module.")
    return re.sub(r"^(.*denselayer\d+)\.(norm|conv)\.?([12])\.", r"\1.layers.\2\3.", name)


def _fit(name: str, tensor: Tensor, found: Mapping[str, Tensor]) -> Tensor | None:
    """The tensor of a file by its name, or by EfficientNet-PyTorch's, without the number of the stage."""
    for known_as in (name, re.sub(r"(.+)\.\d+(\.\d+\..+)", r"\1\2", name)):
        if known_as in found and found[known_as].shape == tensor.shape:
            return found[known_as]
    return None


def _without_head(names: Sequence[str]) -> list[str]:
    """All names but those of the last layer."""
    head = names[-1].rpartition(".")[0] + "."
    return [name for name in names if not name.startswith(head)]


def _some(tensors: Mapping[str, Tensor]) -> str:
    told = [f"{name} {tuple(tensor.shape)}" for name, tensor in list(tensors.items())[:2]]
    return ", ".join([*told, "..."] if len(tensors) > 2 else told)
