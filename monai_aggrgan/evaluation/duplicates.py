"""Images that a data set holds more than once, told by the hash of their pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["ACROSS", "ACROSS_CLASSES", "ACROSS_SPLIT", "WITHIN", "Duplicates", "find_duplicates"]

WITHIN = "within one class and side"
ACROSS_CLASSES = "across classes"
ACROSS_SPLIT = "across the split"
ACROSS = "across classes and the split"


@dataclass(frozen=True)
class Duplicates:
    """Images whose prepared pixels are the same, bit by bit.

    Attributes:
        ids: of the images, two at least, in the manifest's order.
        where: `WITHIN`, `ACROSS_CLASSES`, `ACROSS_SPLIT`, or `ACROSS` for both: the same image in another class means
            that a label is wrong, on the other side of the split that a training saw what it is judged with.
    """

    ids: tuple[str, ...]
    where: str


def find_duplicates(rows: Iterable[Mapping[str, str]]) -> list[Duplicates]:
    """Groups of images with the same `sha256`, in the order in which their first images stand in the manifest.

    Args:
        rows: of a prepared data set's manifest, with `id`, `class_name`, `section` and `sha256`.
    """
    groups: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(row["sha256"], []).append(row)
    return [Duplicates(tuple(row["id"] for row in group), _where(group)) for group in groups.values() if len(group) > 1]


def _where(group: list[Mapping[str, str]]) -> str:
    classes, sides = ({row[column] for row in group} for column in ("class_name", "section"))
    if len(classes) > 1:
        return ACROSS if len(sides) > 1 else ACROSS_CLASSES
    return ACROSS_SPLIT if len(sides) > 1 else WITHIN
