"""One of several processes that works as if it were the only one, and says which it is."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any, TextIO, cast

import ignite.distributed as idist
import torch.distributed as dist
from ignite.distributed import utils as ignite_state

__all__ = ["alone", "environment"]


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Inside, torch, Ignite and MONAI take this process for the only one: it saves, logs and seeds as one that is.

    A process group is out of sight, not closed, and so are the variables by which `torchrun` tells of one.

    Args:
        name: with which everything that is logged, and every progress bar, begins.
    """
    group, model = dist.GroupMember.WORLD, ignite_state._model
    with environment(RANK=None, LOCAL_RANK=None, WORLD_SIZE=None), _named(f"{name}: "):
        dist.GroupMember.WORLD = None
        idist.sync()
        try:
            yield
        finally:
            dist.GroupMember.WORLD = group
            ignite_state._set_model(model, temporary=True)  # `sync` would wait for all ranks, the dead ones too


@contextmanager
def environment(**changed: str | None) -> Iterator[None]:
    """Other environment variables for a while; None takes one out."""
    before = dict(os.environ)
    for name, value in changed.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Begin with a name whatever is logged, and every progress bar."""
    make_record = logging.getLogRecordFactory()

    def make_named(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make_record(*args, **kwargs)
        record.msg = f"{name}{record.msg}"
        return record

    logging.setLogRecordFactory(make_named)
    try:
        with redirect_stderr(cast(TextIO, _NamedBars(sys.stderr, name))):
            yield
    finally:
        logging.setLogRecordFactory(make_record)


class _NamedBars:
    """Standard error in which what begins a line over, as progress bars do, begins with a name."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name

    def write(self, text: str) -> int:
        return self._stream.write(re.sub(r"\r(?=\S)", f"\r{self._name}", text))

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._stream, attribute)
