"""What classifiers are trained and tested on when it is asked whether synthetic images help: Table 5, and beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ARMS", "CASES", "MINORITY", "PATIENT", "SLICE", "Condition", "conditions"]

PATIENT, SLICE, MINORITY = "patient", "slice", "minority"
"""Split by patient; by slice, as the paper; by patient, with most training images of one class taken away."""
ARMS = ("synthetic", "transforms", "oversampling")
"""What is added to real training images: synthetic ones; flips, shifts and zooms of them; the same once more."""
CASES = {
    "1": "real to synthetic",
    "2": "mix",
    "3a": "real",
    "3b": "real + synthetic",
    "3c": "real + flips, shifts, zooms",
}
"""The paper's cases."""


@dataclass(frozen=True)
class Condition:
    """What one training is given.

    Attributes:
        protocol: `PATIENT`, `SLICE` or `MINORITY`.
        arm: `real`, `mix`, `all` (real images, none kept for a test) or one of `ARMS`.
        count: images that an arm of `ARMS` adds, to each class, or to the minority class alone; else 0.
    """

    protocol: str
    arm: str
    count: int = 0

    @property
    def tests(self) -> tuple[str, ...]:
        """On what its classifier is tested: `real`, `synthetic`, `mix`."""
        if self.arm == "mix":
            return ("mix",)
        if self.arm == "all":
            return ("synthetic",)
        return ("real", "synthetic") if self == Condition(PATIENT, "real") else ("real",)

    def case(self, test: str, *, base: int) -> str:
        """Which of the paper's cases it is on this test, "" if none; `base` is the number of all synthetic images a
        class, of which `3b` has all."""
        if self.protocol == MINORITY:
            return ""
        if test == "synthetic":
            return "1"
        cases = {("mix", 0): "2", ("real", 0): "3a", ("synthetic", base): "3b", ("transforms", base): "3c"}
        return cases.get((self.arm, self.count), "")


def conditions(
    *, base: int, counts: Sequence[int] = (), slice_level: bool = True, minority: int | None = None
) -> list[Condition]:
    """All conditions of a comparison, each once.

    Args:
        base: synthetic images a class in the cases of Table 5.
        counts: further numbers of added images a class, for the curve.
        slice_level: whether the cases are also run on the paper's split by slice.
        minority: images that bring the minority class back to the number of the others; None: no such experiment.
    """
    wanted = [Condition(PATIENT, "real"), Condition(PATIENT, "mix")]
    wanted += [Condition(PATIENT, arm, count) for count in sorted({base, *counts} - {0}) for arm in ARMS]
    if slice_level:
        wanted += [Condition(SLICE, "all"), Condition(SLICE, "mix"), Condition(SLICE, "real")]
        wanted += [Condition(SLICE, arm, base) for arm in ("synthetic", "transforms")]
    if minority is not None:
        wanted += [Condition(MINORITY, "real"), *(Condition(MINORITY, arm, minority) for arm in ARMS)]
    return wanted
