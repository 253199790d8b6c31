"""What is said of how it was asked whether images help."""

from __future__ import annotations

from monai_aggrgan.evaluation.report_utility_notes import SLICE_NOTE, lead_words, minority_words, protocol_notes

UTILITY = {
    "base": 300,
    "seeds": 5,
    "synthetic": "the study's own",
    "classifiers": {"vgg19": "VGG-19"},
    "minority": {"class": "b", "kept": 9, "of": 90, "fill": 81},
    "training": {"vgg19": {"steps": [980, 1020], "seconds": 1.0}, "mine": {"steps": [7, 7], "seconds": 1.0}},
}


def test_the_lead_tells_numbers_where_they_are_known() -> None:
    text = lead_words(UTILITY)
    assert "300 synthetic ones a class (the study's own)" in text and "trained 5 times in each condition" in text
    bare = lead_words({})
    assert "None" not in bare and "times" not in bare and "with synthetic ones. They" in bare


def test_the_minority_is_told_where_there_was_one() -> None:
    text = minority_words(UTILITY)
    assert "Of 90 training images of b, 9 were kept." in text and "81 were added" in text
    assert minority_words({"minority": None}) == minority_words({}) == ""


def test_notes_speak_of_what_was_done_only() -> None:
    whole, bare = (dict(protocol_notes(told, slice_level=more)) for told, more in ((UTILITY, True), ({}, False)))
    assert set(whole) - set(bare) == {"Split by slice", "Few images of one class"}
    assert whole["Split by slice"] == SLICE_NOTE
    assert whole["Equal steps"].endswith("Steps: VGG-19 980 to 1,020, by the seed; mine 7.")
    assert "Steps:" not in bare["Equal steps"]
    assert "with 300 synthetic ones" in whole["Cases 3a, 3b, 3c"] and "with synthetic" in bare["Cases 3a, 3b, 3c"]
    assert all(text.endswith(".") and "{" not in text for text in [*whole.values(), *bare.values()])
