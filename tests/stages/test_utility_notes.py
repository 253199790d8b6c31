"""What is not done as it was asked is said."""

from __future__ import annotations

import pytest

from monai_aggrgan.data import read_manifest, write_manifest
from monai_aggrgan.evaluation.conditions import PATIENT, Condition
from monai_aggrgan.stages import utility_notes
from monai_aggrgan.stages.utility_data import base_count, conditions_of, left_out
from monai_aggrgan.stages.utility_notes import FILTERED_NOTE, notes_of

PLAIN = {"synthetic_counts": [3], "slice_level": False, "minority_class": "none"}


def test_nothing_is_said_where_all_is_done(study_of, finished):
    settings = study_of(finished, **PLAIN).settings
    assert notes_of(settings) == [] == [*left_out(settings)]
    assert Condition(PATIENT, "mix") in conditions_of(settings) and base_count(settings) == 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"classifier_seeds": 2}, "With --classifier_seeds 2 there are numbers but no verdicts: these need 5"),
        ({"set": "synthetic", "synthetic_counts": [3, 8, 9]}, "has 3 images a class, so that 8, 9 could not be tried"),
        ({"set": "synthetic", "minority_class": "disc"}, "The minority experiment (--minority_class disc) needs"),
        ({"set": "synthetic", "minority_class": "auto"}, "The minority experiment needs the study's own generators"),
        ({"set": "filtered"}, FILTERED_NOTE),
    ],
)
def test_what_is_left_out_is_said(study_of, copied, given, told):
    if folder := given.pop("set", None):
        given["synthetic_dir"] = copied / folder
    if folder == "filtered":  # as the audit might have left it
        write_manifest(copied / folder, read_manifest(copied / "synthetic"))
    (note,) = notes_of(study_of(copied, **{**PLAIN, **given}).settings)
    assert told in note


def test_a_mixture_without_images_is_left_out_with_its_reason_and_nothing_else(study_of, copied):
    rows = read_manifest(copied / "synthetic")
    few = [next(row for row in rows if row["class_name"] == name) for name in ("disc", "square")]
    write_manifest(copied / "synthetic", few)
    settings = study_of(copied, **{**PLAIN, "synthetic_counts": [1]}, synthetic_dir=copied / "synthetic").settings
    arms = [(condition.arm, condition.count) for condition in conditions_of(settings)]
    assert arms == [("real", 0), ("synthetic", 1), ("transforms", 1), ("oversampling", 1)]
    (note,) = notes_of(settings)
    assert note.startswith("Case 2, split by patient, is left out: Class '") and note.endswith(".")
    assert "1 synthetic it has none left for" in note and "advice" not in note and ";" not in note


@pytest.mark.parametrize(("word", "told"), [("auto", "the class with the fewest images is"), ("none", "there is no")])
def test_a_class_that_is_called_like_a_word_of_the_option(study_of, finished, monkeypatch, word, told):
    monkeypatch.setattr(utility_notes, "fill_of", lambda settings: 1)
    settings = study_of(finished, **{**PLAIN, "minority_class": word}).settings
    monkeypatch.setattr(type(settings), "prepared_classes", lambda self: ["disc", word])
    monkeypatch.setattr(utility_notes, "left_out", lambda settings: {})
    monkeypatch.setattr(utility_notes, "base_count", lambda settings: 3)
    (note,) = notes_of(settings)
    assert note.startswith(f"--minority_class {word} does not mean the class '{word}': {told}")
