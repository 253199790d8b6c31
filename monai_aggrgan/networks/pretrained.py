"""Trained weights from a file, as far as they fit a network."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from monai.networks.utils import copy_model_state
from torch import Tensor, nn

from monai_aggrgan.exceptions import InputError, said_by
from monai_aggrgan.networks.plain_tensor import is_plain

__all__ = ["load_pretrained"]

NESTS = ("state_dict", "model", "network")
COUNTER = "num_batches_tracked"  # old files lack it, and nothing is computed from it
SHOWN = 3
REMEDY = "give a .pth or .pt file of a state dict of this network, or leave out weights to train from scratch"


def load_pretrained(network: nn.Module, path: Path | str) -> list[str]:
    """Load all tensors of a file but the head's (those of the last layer), which stays as it was where it does not fit.

    The file may hold the state dict itself or under `state_dict`, `model` or `network`, with or without DataParallel's
    prefix `module.`. MONAI's DenseNet and EfficientNet also take the files of torchvision and EfficientNet-PyTorch.

    Args:
        network: is changed.
        path: file written by torch.save.

    Returns:
        Names of the network's tensors that the file does not decide.

    Raises:
        InputError: when the file is absent, damaged or no state dict, does not decide a tensor apart from the head, or
            has more such tensors than the network, as those of its larger sibling have.
    """
    found = _read(Path(path).expanduser())
    wanted = network.state_dict()
    known = {name: _known_as(name, tensor, found) for name, tensor in wanted.items()}
    loaded = {name: found[its] for name, its in known.items() if its is not None}
    body = [name for name in wanted if not _in_head(name, wanted) and not name.endswith(COUNTER)]
    lacking = [name for name in body if name not in loaded]
    fits = f"Weights '{path}' fit {len(body) - len(lacking)} of {len(body)} tensors of {type(network).__name__}"
    if not any(its in found for name in body for its in _names(name)):
        raise InputError(f"{fits}: it has {_some(wanted)}, the file {_some(found)}; {REMEDY}.")
    if lacking:
        raise InputError(f"{fits}: {_misfits(lacking, wanted, found)}; {REMEDY}.")
    parts = {name.partition(".")[0] for name in body}
    beyond = [name for name in found if name.partition(".")[0] in parts and name not in known.values()]
    more = [name for name in beyond if not (_in_head(name, wanted) or name.endswith(COUNTER))]
    if more:  # ResNet-152's layers for a ResNet-50
        raise InputError(
            f"Weights '{path}' are of a larger network than {type(network).__name__}: {_listed(more)} have no place in"
            f" it; {REMEDY}."
        )
    copy_model_state(network, loaded)
    return [name for name in wanted if name not in loaded and not name.endswith(COUNTER)]


def _read(path: Path) -> dict[str, Tensor]:
    if not os.path.isfile(path):
        raise InputError(f"Weights not found at '{path}': {REMEDY}.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the bytes provoke
        raise InputError(f"Weights '{path}' cannot be read ({_kind(path, error)}): {REMEDY}.") from error
    for nest in NESTS:
        if isinstance(state, Mapping) and isinstance(state.get(nest), Mapping):
            state = state[nest]
    tensors = {
        _renamed(str(name)): tensor
        for name, tensor in (state.items() if isinstance(state, Mapping) else ())
        if is_plain(tensor)
    }
    if not tensors:
        raise InputError(f"Weights '{path}' hold a {type(state).__name__} without tensors by name: {REMEDY}.")
    return tensors


def _renamed(name: str) -> str:
    """Without DataParallel's prefix, and torchvision's layers of a DenseNet (`norm.1` of old, `norm1`) as MONAI's."""
    name = name.removeprefix("module.")
    return re.sub(r"^(.*denselayer\d+)\.(norm|conv)\.?([12])\.", r"\1.layers.\2\3.", name)


def _kind(path: Path, error: Exception) -> str:
    """Why torch cannot read a file, as far as its first bytes tell."""
    with path.open("rb") as file:
        start = file.read(256)
    if not start:
        return "it is empty"
    if start[:2] == b"PK" or start[:1] == b"\x80":  # a zip archive, or a pickle
        return f"it is damaged, or holds more than tensors: {said_by(error)}"
    return "it is a text, no file that torch.save wrote" if b"\0" not in start else "no file that torch.save wrote"


def _known_as(name: str, tensor: Tensor, found: Mapping[str, Tensor]) -> str | None:
    """The name in a file, the same or EfficientNet-PyTorch's (without the number of the stage), if its shape fits."""
    for known_as in _names(name):
        if known_as in found and found[known_as].shape == tensor.shape:
            return known_as
    return None


def _names(name: str) -> tuple[str, str]:
    return name, re.sub(r"(.+)\.\d+(\.\d+\..+)", r"\1\2", name)


def _in_head(name: str, wanted: Mapping[str, Tensor]) -> bool:
    """Whether a tensor is of the last layer."""
    return name.startswith([*wanted][-1].rpartition(".")[0] + ".")


def _misfits(names: Sequence[str], wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """`features.norm5.weight is (1024,) and in the file (1664,), features.x.bias is not in the file, and 88 more`."""
    told = []
    for name in names[:SHOWN]:
        theirs = next((found[its] for its in _names(name) if its in found), None)
        where = "not in the file" if theirs is None else f"{tuple(wanted[name].shape)} and in the file"
        told.append(f"{name} is {where}" + ("" if theirs is None else f" {tuple(theirs.shape)}"))
    return _listed(told, of=len(names))


def _listed(told: Sequence[str], *, of: int | None = None) -> str:
    more = (of or len(told)) - SHOWN
    return ", ".join(told[:SHOWN]) + (f", and {more} more" if more > 0 else "")


def _some(tensors: Mapping[str, Tensor]) -> str:
    told = [f"{name} {tuple(tensor.shape)}" for name, tensor in list(tensors.items())[:2]]
    return ", ".join([*told, "..."] if len(tensors) > 2 else told)
