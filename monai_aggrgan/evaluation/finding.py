"""One of the answers that a report begins with."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Finding"]


class Finding(NamedTuple):
    """One answer: `mark` is "good", "bad" or "open", `topic` a word or two, `text` a sentence or two.

    "open" is what the numbers do not decide, be it that intervals are wide or missing, or that classes differ.
    """

    mark: str
    topic: str
    text: str
