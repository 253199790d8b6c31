"""Errors that a user can act on: one sentence each, shown without a traceback at the command line."""

from __future__ import annotations

__all__ = ["AggrganError", "InputError", "StorageFailed", "TrainingDiverged", "said_by"]


class AggrganError(Exception):
    """Base of all errors whose message is meant for the person who started the run."""


class InputError(AggrganError, ValueError):
    """Something that was given (file, folder, option) cannot be used; the message names it and the remedy."""


class TrainingDiverged(AggrganError, RuntimeError):
    """A training produced NaN or a constant image and was stopped; the last good checkpoint is kept."""


class StorageFailed(AggrganError, OSError):
    """A result could not be written: the disk is full, or the folder is gone; what was written before is whole."""


def said_by(error: Exception) -> str:
    """What an error of a library says, in one line that is not too long, to be told within a sentence of ours."""
    text = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
    return text if len(text) <= 160 else f"{text[:160]} ..."
