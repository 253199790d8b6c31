"""A hash of a data set's items for MONAI's caches on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

__all__ = ["hash_by_content"]


def hash_by_content(item: Any) -> bytes:
    """SHA-256 of what an item holds, for `hash_func` of MONAI's `PersistentDataset` and `CacheDataset`.

    MONAI's default, `pickle_hashing`, tells one path from another; of a tensor it hashes the address in memory too, so
    that no run finds what an earlier one has cached. This one depends on values, types and shapes alone.

    Args:
        item: dicts, lists and tuples of tensors, also with MONAI's metadata, arrays, numbers, text, paths or None; the
            order of a dict's keys does not count.

    Returns:
        64 hexadecimal digits.

    >>> hash_by_content({"a": 1, "b": "x"}) == hash_by_content({"b": "x", "a": 1})
    True
    """
    digest = hashlib.sha256()
    _feed(digest, item)
    return digest.hexdigest().encode()


def _feed(digest: Any, item: Any) -> None:
    """Every part begins with its type and size, so that no two items are the same row of bytes."""
    kind = type(item).__name__
    if isinstance(item, Mapping):
        digest.update(f"{kind} {len(item)};".encode())
        for key in sorted(item, key=repr):
            _feed(digest, key)
            _feed(digest, item[key])
    elif isinstance(item, list | tuple):
        digest.update(f"{kind} {len(item)};".encode())
        for part in item:
            _feed(digest, part)
    elif isinstance(item, Tensor):
        digest.update(f"{kind} {item.dtype} {tuple(item.shape)};".encode())
        digest.update(item.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        if isinstance(item, MetaTensor):
            _feed(digest, [item.meta, item.applied_operations])
    elif isinstance(item, np.ndarray | np.generic):
        digest.update(f"{kind} {item.dtype.str} {item.shape};".encode() + item.tobytes())
    else:
        text = repr(item).encode()
        digest.update(f"{kind} {len(text)};".encode() + text)
