"""What `run utility` does not do as it was asked, and why: said when it begins, at its end, and in the report."""

from __future__ import annotations

from monai_aggrgan.evaluation.conditions import PATIENT
from monai_aggrgan.evaluation.utility_verdicts import FEWEST
from monai_aggrgan.stages.filter import FILTERED
from monai_aggrgan.stages.minority import fill_of
from monai_aggrgan.stages.settings import StudySettings
from monai_aggrgan.stages.utility_data import base_count, left_out

__all__ = ["notes_of"]

FILTERED_NOTE = (
    "The audit that filtered the set compares with held-out images, too: a threshold of it rests on the test patients."
)
WORDS = {"auto": "the class with the fewest images is the minority", "none": "there is no minority experiment"}


def notes_of(settings: StudySettings) -> list[str]:
    """Sentences on what is left out, and on what options mean where that could be mistaken."""
    return [*_few_seeds(settings), *_mixtures(settings), *_counts(settings), *_minority(settings)]


def _few_seeds(settings: StudySettings) -> list[str]:
    seeds = settings.classifier_seeds
    if seeds >= FEWEST:
        return []
    return [f"With --classifier_seeds {seeds} there are numbers but no verdicts: these need {FEWEST} trainings each."]


def _mixtures(settings: StudySettings) -> list[str]:
    return [
        f"Case 2, split by {'patient' if condition.protocol == PATIENT else 'slice'}, is left out: {reason}."
        for condition, reason in left_out(settings).items()
    ]


def _counts(settings: StudySettings) -> list[str]:
    base = base_count(settings)
    more = [str(count) for count in settings.synthetic_counts if count > base]
    if settings.synthetic_dir is None or not more:
        return []
    return [f"The set of --synthetic_dir has {base} images a class, so that {', '.join(more)} could not be tried."]


def _minority(settings: StudySettings) -> list[str]:
    wanted = settings.minority_class
    notes = [FILTERED_NOTE] if settings.synthetic_dir and settings.synthetic_dir.name == FILTERED else []
    if settings.synthetic_dir is not None and wanted != "none":
        named = "" if wanted == "auto" else f" (--minority_class {wanted})"
        notes.append(f"The minority experiment{named} needs the study's own generators and is left out.")
    elif wanted != "none" and fill_of(settings) is None:
        notes.append("No class has so many more images than the minority would keep that there were any to fill up.")
    if wanted in WORDS and wanted in settings.prepared_classes():
        notes.append(f"--minority_class {wanted} does not mean the class '{wanted}': {WORDS[wanted]}.")
    return notes
