"""Errors that a user can act on: one sentence each, shown without a traceback at the command line."""

from __future__ import annotations

__all__ = ["AggrganError", "InputError", "TrainingDiverged"]


class AggrganError(Exception):
    """Base of all errors whose message is meant for the person who started the run."""


class InputError(AggrganError, ValueError):
    """Something that was given (file, folder, option) cannot be used; the message names it and the remedy."""


class TrainingDiverged(AggrganError, RuntimeError):
    """A training produced NaN or a constant image and was stopped; the last good checkpoint is kept."""
