"""Values of options as a config or a command line gives them: turned into what they must be, or refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

from monai_aggrgan.exceptions import InputError

__all__ = ["MOST", "misfit", "path_of", "refuse_unwritable", "shown", "text_of"]

MOST = 2**31 - 1
"""Of every whole number."""
LONGEST_NAME = 255
"""Bytes of a file's or folder's name, on nearly every system."""


def path_of(name: str, value: object) -> Path:
    """A path; a folder's name may be a number.

    Raises:
        InputError: when the option is neither, or names the home folder of somebody unknown.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | os.PathLike) or "\0" in str(value):
        raise InputError(f"--{name} must be a path, got {shown(value)}.")
    try:
        path = Path(str(value)).expanduser()
        if max(len(os.fsencode(part)) for part in (*path.parts, "")) > LONGEST_NAME:
            raise InputError(f"--{name} has a name of more than {LONGEST_NAME} bytes, got {shown(value)}.")
        return path
    except UnicodeEncodeError as error:
        raise InputError(f"--{name} has signs that no path can have, got {shown(value)}.") from error
    except RuntimeError as error:  # ~somebody who is not known here
        raise InputError(f"--{name} {value} names a home folder that is not known here: write it out.") from error


def text_of(name: str, value: object) -> str:
    """A text; a class or a fold may be a number.

    Raises:
        InputError: when the option is neither.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | os.PathLike):
        raise InputError(f"--{name} must be text, got {shown(value)}.")
    if "\0" in (text := shown(value) if isinstance(value, int) else str(value)):
        raise InputError(f"--{name} must be text without the sign NUL, got {shown(value)}.")
    return text


def refuse_unwritable(name: str, value: object) -> None:
    """Refuse what no record in JSON and no sentence could hold.

    Raises:
        InputError: when a name in it is no text, or a number has more digits than Python prints.
    """
    try:
        json.dumps(value, default=str).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"--{name} must be plain numbers, texts, lists and mappings, got {shown(value)}.") from error


def shown(value: object) -> str:
    """What was given, in a line that is not too long; Python prints no whole number of more than 4300 digits."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):
        return "one that is too large to be shown"
    return text if len(text) <= 200 else f"{text[:200]} ..."


def misfit(value: object, known: object, *, may_be_expression: bool = True) -> str:
    """What a setting must be by the value that its config has; nothing where it is so, or an expression."""
    if may_be_expression and isinstance(value, str) and value.startswith(("$", "@", "%")):
        return ""
    if isinstance(known, bool):
        return "" if isinstance(value, bool) else "True or False"
    if isinstance(known, int | float):  # a config may write 10 for 10.0
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if number and -MOST <= value <= MOST else "a number"  # type: ignore[operator]
    return ""
