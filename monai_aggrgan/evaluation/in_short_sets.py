"""Two of a report's first answers, from distribution.csv: are the images like real ones, and as varied?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monai_aggrgan.evaluation.finding import Finding
from monai_aggrgan.evaluation.report_readings import intervals_of, subject_of, unstyled
from monai_aggrgan.evaluation.report_words import number, of_classes, spread

__all__ = ["MARGIN", "likeness", "variety"]

Records = Sequence[Mapping[str, str]]
MARGIN = 1.5
"""Good is what the intervals keep within this factor of the real row: a Fréchet ratio below it, and recall and coverage
of which the real row has less than so many times."""


def likeness(distribution: Records, labels: Mapping[str, str]) -> Finding | None:
    """Is the set as near to held-out patients as real training images are?

    Bad where the Fréchet ratio's interval lies above 1 in every class; good where it reaches 1 and ends below `MARGIN`
    in every class, and KID nowhere lies above the real row's interval; else open.
    """
    subject, space = subject_of(distribution), _first_space(distribution, "frechet_ratio")
    ratios = intervals_of(distribution, method=subject, metric="frechet_ratio", space=space)
    if not ratios:
        return None
    kids, floors = (intervals_of(distribution, method=m, metric="kid", space=space) for m in (subject, "real"))
    every = list(ratios)
    far = [name for name, (_, low, _) in ratios.items() if low > 1]
    near = [name for name, (_, low, high) in ratios.items() if low <= 1 and high < MARGIN]
    undecided = [name for name in every if name not in (*far, *near)]
    far_kid = [name for name in kids if name in floors and kids[name][1] > floors[name][2]]
    label, place = labels.get(subject, subject), f"in the feature space {space}"
    parts = []
    if far:
        parts.append(
            f"{label} is farther from held-out patients than real training images are {of_classes(far, every)}:"
            f" {_shown(ratios, far)} times as far {place} (Fréchet ratio; 1 is real against real)."
        )
    if near:
        parts.append(
            f"{label} is about as near to held-out patients as real training images are {of_classes(near, every)}"
            f" (Fréchet ratio {_shown(ratios, near)} {place}, intervals below {MARGIN}; 1 is real against real)."
        )
    if undecided:
        parts.append(
            f"Whether {label} is farther from held-out patients than real training images are cannot be told"
            f" {of_classes(undecided, every)}: the Fréchet ratio is {_shown(ratios, undecided)} {place} (1 is real"
            f" against real), with intervals that are missing or reach beyond {MARGIN}."
        )
    if kids and floors:
        alone = len(kids) == 1 and not far_kid
        where = "" if alone else f" {of_classes(far_kid, list(kids))}"
        parts.append(f"Its KID {'does not lie' if alone else 'lies'} above the real row's interval{where}.")
    favoured = space == "vgg19" and bool(unstyled(subject))
    if favoured:
        parts.append("Style transfer works in the same kind of network, which favours its images here.")
    good = len(near) == len(every) and not far_kid
    return Finding("bad" if len(far) == len(every) else "good" if good else "open", "Likeness", " ".join(parts))


def variety(distribution: Records, labels: Mapping[str, str]) -> Finding | None:
    """Does the set reach as much of the real variety as real training images do?

    Bad where recall or coverage lies below the real row's interval in some class; good where both stay within `MARGIN`
    of it in every class, and no images repeat, not before style transfer either; else open.
    """
    subject, space = subject_of(distribution), _first_space(distribution, "recall")
    sentences, less, doubtful = [], False, False
    for metric in ("recall", "coverage"):
        mine, floors = (intervals_of(distribution, method=m, metric=metric, space=space) for m in (subject, "real"))
        shared = [name for name in mine if name in floors]
        if not shared:
            continue
        below = [name for name in shared if mine[name][2] < floors[name][1]]
        enough = [name for name in shared if floors[name][2] < MARGIN * mine[name][1]]
        undecided = [name for name in shared if name not in (*below, *enough)]
        less, doubtful = less or bool(below), doubtful or bool(undecided)
        told = f", lower than real {of_classes(below, shared)}"
        if undecided:
            told += f", undecided {of_classes(undecided, shared)}"
        sentences.append(
            f"{metric} is {spread(f'{mine[name][0]:.2f}' for name in shared)}"
            f" (real against real: {spread(f'{floors[name][0]:.2f}' for name in shared)}){told}"
        )
    reached = bool(sentences)
    different, before = (
        [row for row in distribution if (row["method"], row["metric"]) == (method, "distinct")]
        for method in (subject, unstyled(subject))
    )
    if different:
        sentences.append(_counted(different, before))
    if not sentences:
        return None
    repeats = any(number(row["value"]) < number(row["n"]) for row in (*different, *before))
    mark = "bad" if less else "good" if reached and not doubtful and not repeats else "open"
    return Finding(mark, "Variety", f"{labels.get(subject, subject)}: {'; '.join(sentences)}.")


def _counted(different: Records, before: Records) -> str:
    counts, unstyled_counts = (spread(f"{number(row['value']):.0f}" for row in rows) for rows in (different, before))
    told = f"of {spread(row['n'] for row in different)} images a class, {counts} are different"
    return f"{told} ({unstyled_counts} before style transfer, which makes repeats differ)" if before else told


def _first_space(distribution: Records, metric: str) -> str:
    return next((row["space"] for row in distribution if row["metric"] == metric), "")


def _shown(ratios: Mapping[str, tuple[float, float, float]], names: Sequence[str]) -> str:
    values = [ratios[name][0] for name in names]
    return spread(f"{value:.1f}" if value < 100 else f"{value:,.0f}" for value in values)
