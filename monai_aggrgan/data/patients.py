"""Who is one patient: what layouts, lists and headers say, joined, so that nobody stands on both sides of a split."""

from __future__ import annotations

import logging
from collections.abc import Sequence

__all__ = ["join_patients"]

logger = logging.getLogger(__name__)


def join_patients(listed: Sequence[str], told: Sequence[str]) -> list[str]:
    """One name for the patient of each image: images that share a listed or a told name are of one patient.

    Names that all files tell alike are those of an anonymiser, and are not believed where the list tells several.

    Args:
        listed: of each image the patient that the layout or a list names, empty where none does.
        told: of each image the patient that its file names, empty where it does not.

    Returns:
        For each image the first listed name of its group, else the first told one; empty where nothing is known.
    """
    if len(set(told)) == 1 and told[0] and len(set(listed)) > 1:
        logger.warning("all files tell the same patient, which is not believed: folders or a list tell patients apart")
        told = [""] * len(told)
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    pairs = zip(listed, told, strict=True)
    keys = [[(kind, name) for kind, name in zip(("listed", "told"), pair, strict=True) if name] for pair in pairs]
    for known in keys:
        for key in known[1:]:
            first, other = sorted((root(known[0]), root(key)))
            parent[other] = first
    return [root(known[0])[1] if known else "" for known in keys]
