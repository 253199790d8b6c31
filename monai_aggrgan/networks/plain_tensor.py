"""What of a file of weights a network's parameter can take."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor

__all__ = ["is_plain"]


def is_plain(value: object) -> TypeGuard[Tensor]:
    """Whether something is a tensor of real numbers, all of them there: not sparse, quantised, complex or without data.

    >>> is_plain(torch.zeros(2)), is_plain(torch.zeros(2).to_sparse()), is_plain("weights")
    (True, False, False)
    """
    if not isinstance(value, Tensor) or value.layout is not torch.strided:
        return False
    return not (value.is_quantized or value.is_complex() or value.is_nested or value.is_meta)
