"""How the report says numbers, times and lists."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from monai_aggrgan.evaluation.tables import MISSING

__all__ = [
    "duration",
    "listed",
    "number",
    "of_classes",
    "percent",
    "plain",
    "significant",
    "spread",
]


def number(text: object) -> float:
    """The number that a text says, NaN where it says none or an infinite one."""
    try:
        value = float(str(text))
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def significant(value: float) -> str:
    """Three significant digits, thousands in full; `n/a` where there is no number."""
    if not math.isfinite(value):
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(share: float) -> str:
    """A share as per cent, `14 %` or `3.4 %`: one digit below 10; the space does not break."""
    if not math.isfinite(share):
        return MISSING
    digits = 0 if share >= 0.0995 or share == 0 else 1
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def spread(texts: Iterable[str]) -> str:
    """`0.21 to 0.34` of printed numbers, the number alone where all read the same; unknown ones are left out."""
    values = {text: number(text.rstrip("%\N{NO-BREAK SPACE}").replace(",", "")) for text in texts}
    known = sorted((text for text, value in values.items() if not math.isnan(value)), key=lambda text: values[text])
    return MISSING if not known else " to ".join(dict.fromkeys((known[0], known[-1])))


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def of_classes(some: Sequence[str], every: Sequence[str]) -> str:
    """`in all 3 classes`, `in none of 3 classes`, `in glioma (1 of 3 classes)`; of a single class its name."""
    if len(every) == 1:
        return f"in {every[0]}" if some else f"not in {every[0]}"
    if not some:
        return f"in none of {len(every)} classes"
    if len(some) == len(every):
        return f"in all {len(every)} classes"
    return f"in {listed(some)} ({len(some)} of {len(every)} classes)"


def duration(seconds: float) -> str:
    """`47 s`, `9 min 12 s`, `3 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def plain(value: Any) -> str:
    """A setting as a person writes it: fractions to six digits, lists with commas, mappings as JSON."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value)
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
