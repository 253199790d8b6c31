"""Why files were left out of a data set, told without their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["left_out_reasons"]

FILE, OTHER = "the file", "…"
WITHIN = r"(?!\w)(?:[/\\][^\s'\",;:)]*)?"  # the name ends there, or a path goes on
PATHS = re.compile(r"[^\s'\"(]*[/\\][^\s'\",;:)]*|[^\s'\"(/\\]+\.[A-Za-z]\w{1,5}(?:\.gz)?(?!\w)")
"""A word with a slash in it, or one that ends as the name of a file does."""


def left_out_reasons(skipped: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows `{class_name, count, reason}` of what was left out, equal reasons together.

    Files and folders often bear the names of patients, and a report is passed on. So whatever is part of a row's
    source, or looks like a path or a file, is taken out of its reason; left_out.csv keeps it.

    Args:
        skipped: `{class_name, source, reason}` of each case; or rows that this function gave.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for row in skipped:
        counts[row["class_name"], _nameless(row["reason"], row.get("source", ""))] += int(row.get("count", 1))
    return [{"class_name": name, "count": count, "reason": reason} for (name, reason), count in counts.items()]


def _nameless(reason: str, source: str) -> str:
    """The reason without names; it begins with a capital letter, for a name may have stood there."""
    parts = [part for part in re.split(r"[/\\]", source) if part]
    for name in (source, *parts[-1:]):
        if name:
            reason = re.sub(rf"(?:[^\s'\"(]*[/\\])?(?<!\w){re.escape(name)}{WITHIN}", FILE, reason)
    for name in parts[:-1]:
        reason = re.sub(rf"(?<!\w){re.escape(name)}{WITHIN}", OTHER, reason)
    reason = PATHS.sub(OTHER, reason)
    return reason[:1].upper() + reason[1:]
