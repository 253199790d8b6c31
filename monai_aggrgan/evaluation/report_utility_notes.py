"""How it was asked whether the images help, for readers of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SLICE_NOTE", "UNKNOWN_NOTE", "lead_words", "minority_words", "protocol_notes"]

SLICE_NOTE = (
    "The rows split by slice are the paper's protocol, for comparison with its values only. There slices of one patient"
    " stand in training and test, and the generators saw images that are tested on. So these numbers are higher than"
    " the same classifier would reach on new patients."
)
UNKNOWN_NOTE = (
    "The patients of some images are not known. Each of these counts as a patient of its own, so that intervals are too"
    " narrow; where there are folds, a fold stays on one side of the split."
)
CASE_1 = (
    "Trained on real training images, tested on all synthetic images of the set. These were made from images of the"
    " training patients. It shows whether they look like their class, not whether they help."
)
CASE_2 = (
    "Trained on real and synthetic images together, tested on both. Split by patient: tested on the held-out real"
    " images, and on synthetic images made from training patients of whom this classifier saw nothing. Validation is"
    " mixed as well."
)
CASE_3 = (
    "The same real training images three times: alone (3a), with{base} synthetic ones a class (3b), with as many flips,"
    " shifts and zooms of themselves (3c). Tested on real images. Oversampling, in the curve, adds the same real images"
    " once more."
)
EQUAL = (
    "As many real images of each class as the smallest has, drawn by the seed; the same ones in all conditions of a"
    " seed, so that differences are paired."
)
STEPS = (
    "Every condition has the same number of training steps, so that more images do not mean a longer training. The"
    " epoch with the lowest loss on validation images is tested: real images of about a fifth of the training patients,"
    " which train no classifier but which the generators saw."
)
UNSEEN = (
    "Tests are the images that the study held out. No generator, no selection, no style transfer and no classifier saw"
    " their patients. Flips, shifts and zooms are made of training images alone."
)
INTERVALS = (
    "Intervals (95 %) and p-values cover other trainings (the variance over seeds) and other test patients (a jackknife"
    " over groups of them). They do not cover other generators or another split. Holm: p-values are corrected for the"
    " number of comparisons of their kind (cases, numbers of images, few images), over all classifiers. Where all"
    " trainings are right on every image, or on none, the interval is Clopper and Pearson's over test patients."
)
VERDICT = (
    "“Helps” or “harms”: balanced accuracy of case 3b differs from that of 3a, split by patient, with a corrected"
    " p-value below 0.05. No verdict is given on fewer than five trainings each, nor where the intervals of both reach"
    " what guessing gives. “Cannot tell” is no evidence that there is no difference: see its interval."
)


def lead_words(utility: Mapping[str, Any]) -> str:
    """What was compared, in a few sentences."""
    base, seeds = utility.get("base"), utility.get("seeds")
    added = f"{base} synthetic ones a class" if base else "synthetic ones"
    which = f" ({utility['synthetic']})" if utility.get("synthetic") else ""
    trainings = f" Each classifier was trained {seeds} times in each condition." if seeds else ""
    return (
        f"Classifiers were trained on real images alone, and on the same with {added}{which}. They were tested on real"
        f" images that neither they nor the generators saw.{trainings} Balanced accuracy is the mean of the recalls of"
        " the classes."
    )


def minority_words(utility: Mapping[str, Any]) -> str:
    """What was taken away and what was added in the minority experiment."""
    told = utility.get("minority") or {}
    if not told:
        return ""
    return (
        f"Of {told['of']} training images of {told['class']}, {told['kept']} were kept. Generators that were trained on"
        f" these alone made synthetic images of it, and {told['fill']} were added to the training; or so many flips,"
        " shifts and zooms of the kept ones; or the kept ones again. The other classes have as many images as in case"
        " 3a, which is what all real images give."
    )


def protocol_notes(utility: Mapping[str, Any], *, slice_level: bool) -> list[tuple[str, str]]:
    """Topic and text of each note."""
    base = f" {utility['base']}" if utility.get("base") else ""
    notes = [("Case 1", CASE_1), ("Case 2", CASE_2), ("Cases 3a, 3b, 3c", CASE_3.format(base=base))]
    notes += [("Equal numbers", EQUAL), ("Equal steps", f"{STEPS}{_steps(utility)}")]
    notes += [("Split by patient", UNSEEN)]
    notes += [("Split by slice", SLICE_NOTE)] if slice_level else []
    notes += [("Few images of one class", minority_words(utility))] if utility.get("minority") else []
    return [*notes, ("Intervals and p-values", INTERVALS), ("Verdicts", VERDICT)]


def _steps(utility: Mapping[str, Any]) -> str:
    labels, parts = utility.get("classifiers") or {}, []
    for name, told in (utility.get("training") or {}).items():
        low, high = told["steps"]
        parts.append(f"{labels.get(name, name)} {low:,}" + (f" to {high:,}, by the seed" if high != low else ""))
    return f" Steps: {'; '.join(parts)}." if parts else ""
