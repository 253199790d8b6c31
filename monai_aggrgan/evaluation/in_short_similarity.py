"""Two of a report's first answers, from tables of SSIM: is the level that of real images, and does merging help?"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from monai_aggrgan.evaluation.finding import Finding
from monai_aggrgan.evaluation.report_readings import SUBJECT
from monai_aggrgan.evaluation.report_words import listed, number, of_classes, spread
from monai_aggrgan.evaluation.summaries import HEADINGS, REAL_LABEL

__all__ = ["ROOM", "merging", "similarity"]

Records = Sequence[Mapping[str, str]]
Ends = tuple[float, float, str]  # low, high, value as printed
EDGES = "Edge-weighted"
ROOM = 0.1
"""Good is an SSIM whose interval and that of real images touch and leave no room for a greater difference."""


def similarity(table1: Records, pairings: Records, labels: Mapping[str, str]) -> Finding | None:
    """Is SSIM to the reference at the level of real images of other patients?

    Good where both intervals touch in every class and differ by less than `ROOM` at their outer ends; bad where the
    method's lies below in every class; else open, for above is no merit.
    """
    label, column = labels.get(SUBJECT, SUBJECT), HEADINGS["ssim"]
    pairs = _beside_real(table1, label, column)
    every = list(pairs)
    if not every:
        return None
    above = [name for name, (mine, real) in pairs.items() if mine[0] > real[1]]
    below = [name for name, (mine, real) in pairs.items() if mine[1] < real[0]]
    level = [name for name, pair in pairs.items() if name not in (*above, *below) and _room(*pair) < ROOM]
    undecided = [name for name in every if name not in (*above, *below, *level)]
    parts = []
    if above:
        shown = _shown(pairs, above)
        parts.append(
            f"{label} exceeds the level of real images {of_classes(above, every)} {shown}: no sign of quality."
        )
        parts += _causes(above, _beside_real(pairings, label, f"{column} held-out nearest"))
    if below:
        where = of_classes(below, every)
        parts.append(f"{label} is below real images of other patients {where} {_shown(pairs, below)}.")
    if level:
        where = of_classes(level, every)
        parts.append(f"{label} is at the level of real images of other patients {where} {_shown(pairs, level)}.")
    if undecided:
        parts.append(
            f"Whether {label} is at the level of real images of other patients cannot be told"
            f" {of_classes(undecided, every)} {_shown(pairs, undecided)}: intervals are missing or too wide."
        )
    mark = "good" if len(level) == len(every) else "bad" if len(below) == len(every) else "open"
    return Finding(mark, "SSIM", " ".join(parts))


def _causes(above: Sequence[str], held_out: Mapping[str, tuple[Ends, Ends]]) -> list[str]:
    """Why SSIM may exceed that of real images; nothing of a class of which held-out images tell nothing."""
    ends = {name: (held_out[name][0][0], held_out[name][1][1]) for name in above if name in held_out}
    also = [name for name, (low, high) in ends.items() if low > high]
    copied = [name for name, (low, high) in ends.items() if low <= high]
    parts = []
    if also:
        parts.append(f"{listed(also)}: it does so against held-out images as well; blur, most likely.")
    if copied:
        parts.append(f"{listed(copied)}: only against its own references, which copying or their style can do.")
    return parts


def _room(mine: Ends, real: Ends) -> float:
    """The greatest difference that two intervals leave possible; NaN where one is not known."""
    return max(mine[1] - real[0], real[1] - mine[0])


def _beside_real(records: Records, label: str, column: str) -> dict[str, tuple[Ends, Ends]]:
    """A method's interval and that of real images, of each class that has both values."""
    found: dict[tuple[str, bool], Ends] = {}
    for record in records:
        real, text = record["Method"] == REAL_LABEL, record.get(column, "")
        if (real or record["Method"] == label) and math.isfinite(number(text)):
            low, high = (number(record.get(f"{column} {end}", "")) for end in ("low", "high"))
            found.setdefault((record["Category"], real), (low, high, text))
    return {name: (found[name, False], found[name, True]) for name, real in found if real and (name, False) in found}


def _shown(pairs: Mapping[str, tuple[Ends, Ends]], names: Sequence[str]) -> str:
    mine, real = (spread(pairs[name][place][2] for name in names) for place in (0, 1))
    return f"({mine} against {real})"


def merging(ablation: Records) -> Finding | None:
    """Does merging by edges beat the best single candidate?

    Good and bad by the gain against held-out images, which selected nothing: its interval lies above 0, or below it, in
    every class; else open.
    """
    edges = [record for record in ablation if record["Method"].startswith(EDGES) and "literal" not in record["Method"]]
    if not edges or "SSIM gain" not in edges[0]:
        return None
    every = [record["Category"] for record in edges]
    signs = {column: [_sign(record.get(column, "")) for record in edges] for column in ("SSIM gain", "Held-out gain")}
    paired, held_out = ([_where(every, of, sign) for sign in (1, -1)] for of in signs.values())
    text = (
        "Merging by edges beats the best single image, by SSIM against the reference,"
        f" {_or_not(paired[0], every)}; against held-out images, which selected nothing,"
        f" {_or_not(held_out[0], every)}."
    )
    worse = [
        f"against {what} {of_classes(names, every)}"
        for what, names in (("the reference", paired[1]), ("held-out images", held_out[1]))
        if names
    ]
    text += f" It is worse {listed(worse)}." if worse else ""
    better, lost = (len(names) == len(every) for names in held_out)
    return Finding("good" if better else "bad" if lost else "open", "Merging", text)


def _or_not(some: Sequence[str], every: Sequence[str]) -> str:
    return of_classes(some, every) if some or len(every) > 1 else "not at all"


def _where(every: Sequence[str], signs: Sequence[int], sign: int) -> list[str]:
    return [name for name, found in zip(every, signs, strict=True) if found == sign]


def _sign(text: str) -> int:
    """Of `+0.011 [+0.002, +0.020]`: 1 where the interval lies above 0, -1 where below, else 0, also without one.

    The printed signs decide, for they outlive the rounding: `+0.000` may be 0.0004. An interval of nothing but zeros is
    that of equal images.
    """
    ends = re.search(r"\[([^,\]]+), *([^,\]]+)\]", text)
    if not ends or any(not math.isfinite(number(end)) for end in ends.groups()):
        return 0
    low, high = (number(end) for end in ends.groups())
    if low == high == 0:
        return 0
    return int(math.copysign(1, low) > 0) - int(math.copysign(1, high) < 0)
