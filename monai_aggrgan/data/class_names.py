"""Names of classes: they name folders, stand in configs and in tables, and may come from somebody else's files."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from monai_aggrgan.exceptions import InputError

__all__ = ["refuse_class_names"]

LONGEST = 100
"""Bytes of UTF-8. Folders take 255, pictures and tables less."""
NO_FOLDER = frozenset('/\\:*?"<>|')
EVALUATED = ("$", "@", "%")
"""With which MONAI's configs begin an expression, a reference and a macro; behind @ and %, # is a relative one."""
RELATIVE = ("@#", "%#")
FORMULA = ("=", "+", "-")
"""With which, beside @, spreadsheets begin a formula, where what follows is no number."""
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
"""What Windows takes for devices, also before a dot."""
FILES = (".csv", ".json", ".txt", ".png", ".npy", ".aside")
"""A class's folder stands beside files that end so."""


def refuse_class_names(names: Iterable[str], *, source: object = None) -> None:
    """Refuse names that cannot be those of folders on every system, or that a config or a spreadsheet would evaluate.

    Args:
        names: of classes.
        source: the file that has them, for the message.

    Raises:
        InputError: when a name is empty or longer than 100 bytes; leads elsewhere or begins or ends with a dot or a
            space; has signs that no folder can have or nobody can see; begins as expressions of configs or formulas do;
            is a device of Windows or like a file of the study; or differs from another one only in upper and lower
            case.
    """
    met: dict[str, str] = {}
    for name in names:
        if not _is_usable(name):
            where = "" if source is None else f" ({source})"
            shown = name if len(name) <= LONGEST else f"{name[:LONGEST]}..."
            raise InputError(
                f"{_visible(shown)} cannot be the name of a class{where}, for it names folders and stands in configs"
                " and tables: rename it."
            )
        known = met.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if known != name:
            raise InputError(
                f"'{known}' and '{name}' cannot both be names of classes, for many systems would give them one folder:"
                " rename one of them."
            )


def _is_usable(name: str) -> bool:
    lower = name.casefold()
    return (
        bool(name)
        and name.isprintable()  # no control signs, no halves of characters, nothing that turns the direction of text
        and len(name.encode()) <= LONGEST
        and not (set(name) & NO_FOLDER)
        and name.strip(" ") == name
        and not name.startswith((".", *EVALUATED))
        and not lower.endswith((".", *FILES))
        and not any(part in name for part in RELATIVE)
        and not (name.startswith(FORMULA) and not _is_number(name))
        and lower.partition(".")[0] not in RESERVED
    )


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _visible(name: str) -> str:
    """In quotes, with what cannot be printed as its code."""
    return f"'{name}'" if name.isprintable() else repr(name)
