"""Do the images help a classifier: by case, by number of added images, and where one class has few images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from monai_aggrgan.visualize.panels import Look, draw_values, open_panels, render, share

__all__ = ["cases_figure", "curve_figure", "minority_figure"]

Row = Mapping[str, str]

CASES = {
    "1": "real to synthetic",
    "2": "mix",
    "3a": "real",
    "3b": "real + synthetic",
    "3c": "real + flips, shifts, zooms",
}
BALANCED = "balanced_accuracy"
BLUE, ORANGE, GREEN, INK = "#0b5394", "#c45a00", "#3d6b35", "#1c2126"
CASE_LOOKS = {
    ("patient", BALANCED): (-0.24, Look("split by patient: balanced accuracy", BLUE, "o")),
    ("patient", "accuracy"): (-0.08, Look("split by patient: accuracy", BLUE, "o", hollow=True)),
    ("slice", BALANCED): (0.08, Look("split by slice: balanced accuracy", ORANGE, "s")),
    ("slice", "accuracy"): (0.24, Look("split by slice: accuracy", ORANGE, "s", hollow=True)),
}
ARM_LOOKS = {
    "synthetic": Look("synthetic images", BLUE, "o", line="-"),
    "transforms": Look("flips, shifts, zooms", ORANGE, "s", line="--"),
    "oversampling": Look("the same images again (oversampling)", GREEN, "^", line=":"),
}
MINORITY_ARMS = {
    "real": "few real\nalone",
    "synthetic": "+ syn-\nthetic",
    "transforms": "+ flips,\nshifts,\nzooms",
    "oversampling": "+ over-\nsampling",
}
FULL = "all real"
GAP = 0.45  # between two numbers of added images, at least: so much room their labels need
DODGE = 0.07


def cases_figure(rows: Sequence[Row]) -> NDArray[np.uint8] | None:
    """Balanced accuracy, and accuracy beside it, by the paper's cases; a panel a classifier, both splits side by side.

    Args:
        rows: of utility.csv; read are those with a case, of the protocols `patient` and `slice`.

    Returns:
        The picture (height, width, 3). Bars are intervals, where known; the dashed line is what guessing gives. None
        where no row has a case and a value.
    """
    shown = _known(row for row in rows if row["case"] in CASES and (row["protocol"], row["metric"]) in CASE_LOOKS)
    if not shown:
        return None
    labels = _labels(shown)
    figure, panels = open_panels([*labels.values()])
    for axes, name in zip(panels, labels, strict=True):
        for (protocol, metric), (offset, look) in CASE_LOOKS.items():
            mine = [
                row for row in shown if (row["classifier"], row["protocol"], row["metric"]) == (name, protocol, metric)
            ]
            draw_values(axes, [[*CASES].index(row["case"]) + offset for row in mine], mine, look)
        axes.set_xticks(range(len(CASES)), [*CASES])
        axes.set_xlim(-0.5, len(CASES) - 0.5)
    below = " · ".join(f"{case}: {words}" for case, words in CASES.items())
    return render(figure, panels, shown, level=_guessing(rows), below=below, upright="correct (%)")


def curve_figure(rows: Sequence[Row]) -> NDArray[np.uint8] | None:
    """Balanced accuracy on real test images against the number of added images, split by patient; a panel a classifier.

    Args:
        rows: of utility.csv; read are those of the protocol `patient` and the test `real`.

    Returns:
        The picture (height, width, 3). At 0 are real images alone, with a dotted line at their value; numbers of added
        images stand in their order, and wider apart the more they differ. None where no row has added images.
    """
    shown = _known(
        row for row in rows if (row["protocol"], row["test"], row["metric"]) == ("patient", "real", BALANCED)
    )
    counts = sorted({_count(row) for row in shown if row["arm"] in ARM_LOOKS})
    if not counts:
        return None
    places, labels = _places(counts), _labels(shown)
    figure, panels = open_panels([*labels.values()])
    for axes, name in zip(panels, labels, strict=True):
        mine = [row for row in shown if row["classifier"] == name]
        alone = [row for row in mine if row["arm"] == "real"]
        draw_values(axes, [0.0] * len(alone), alone, Look("real images alone", INK, "D"))
        for row in alone:
            axes.axhline(share(row, "value"), color=INK, linewidth=0.8, linestyle=(0, (1, 3)))
        for number, (arm, look) in enumerate(ARM_LOOKS.items()):
            of_arm = sorted((row for row in mine if row["arm"] == arm), key=_count)
            draw_values(axes, [places[_count(row)] + (number - 1) * DODGE for row in of_arm], of_arm, look)
        axes.set_xticks([0, *places.values()], ["0", *(f"{count:,}" for count in places)])
    below = "images added a class (0: real images alone; distances not to scale)"
    return render(figure, panels, shown, level=math.nan, below=below, upright="balanced accuracy (%)")


def minority_figure(rows: Sequence[Row], *, minority: str | None) -> NDArray[np.uint8] | None:
    """Where most images of one class were taken away: its recall and the balanced accuracy, with what fills it up.

    Args:
        rows: of utility.csv; read are those of the protocol `minority` and, as the full data, of `patient` with the arm
            `real`, both on the test `real`.
        minority: name of the class; None where there was no such experiment.

    Returns:
        The picture (height, width, 3), a panel a classifier, the full data at the right; None where no row is of the
        protocol `minority`.
    """
    recall = f"recall {minority}"
    looks = {recall: (-0.1, Look(f"recall of {minority}", BLUE, "o"))}
    looks[BALANCED] = (0.1, Look("balanced accuracy", ORANGE, "s"))
    shown = _known(row for row in rows if row["test"] == "real" and row["metric"] in looks and _minority_place(row))
    if not any(row["protocol"] == "minority" for row in shown):
        return None
    names = [*MINORITY_ARMS, FULL]
    labels = _labels(row for row in shown if row["protocol"] == "minority")
    figure, panels = open_panels([*labels.values()])
    for axes, name in zip(panels, labels, strict=True):
        for metric, (offset, look) in looks.items():
            mine = [row for row in shown if (row["classifier"], row["metric"]) == (name, metric)]
            draw_values(axes, [names.index(_minority_place(row)) + offset for row in mine], mine, look)
        axes.axvline(len(MINORITY_ARMS) - 0.5, color="#a0a8b0", linewidth=0.8)
        axes.set_xticks(range(len(names)), [*MINORITY_ARMS.values(), "all real\nimages"], fontsize=6.5)
        axes.set_xlim(-0.5, len(names) - 0.5)
    below = f"training images of {minority}"
    return render(figure, panels, shown, level=_guessing(rows), below=below, upright="correct (%)")


def _minority_place(row: Row) -> str:
    if row["protocol"] == "minority":
        return row["arm"] if row["arm"] in MINORITY_ARMS else ""
    return FULL if (row["protocol"], row["arm"]) == ("patient", "real") else ""


def _known(rows: Iterator[Row]) -> list[Row]:
    return [row for row in rows if math.isfinite(share(row, "value"))]


def _labels(rows: Sequence[Row] | Iterator[Row]) -> dict[str, str]:
    """What each classifier is called, in the order in which they come."""
    return {row["classifier"]: row["label"] for row in rows}


def _count(row: Row) -> int:
    return int(row["count"] or 0)


def _places(counts: Sequence[int]) -> dict[int, float]:
    """Where numbers of added images stand along the axis: about as their logarithm, never too near to each other."""
    places: dict[int, float] = {}
    last = 0.0
    for count in counts:
        last = max(math.log2(1 + count / counts[0]), last + GAP)
        places[count] = last
    return places


def _guessing(rows: Sequence[Row]) -> float:
    """What guessing gives, in per cent: one over the number of classes; NaN where they are not known."""
    classes = len({row["metric"] for row in rows if row["metric"].startswith("recall ")})
    return 100 / classes if classes else math.nan
