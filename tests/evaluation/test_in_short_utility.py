"""What a report says first of use."""

from __future__ import annotations

import pytest

from monai_aggrgan.evaluation.in_short_utility import NOT_MEASURED, usefulness


def verdict(label: str, word: str) -> dict[str, str]:
    return {"classifier": label.lower(), "label": label, "verdict": word, "sentence": f"{label} {word}."}


def test_what_was_not_measured_is_said_only_where_it_was_asked() -> None:
    assert usefulness(None) is None
    found = usefulness([])
    assert found is not None and (found.mark, found.text) == ("open", NOT_MEASURED) and "run utility" in found.text


@pytest.mark.parametrize(("word", "mark"), [("helps", "good"), ("harms", "bad"), ("cannot tell", "open")])
def test_of_one_classifier_its_sentence_is_told(word: str, mark: str) -> None:
    found = usefulness([verdict("VGG-19", word)])
    assert found is not None and (found.mark, found.text) == (mark, f"VGG-19 {word}.")


@pytest.mark.parametrize(
    ("words", "mark", "counts"),
    [
        (("helps", "helps"), "good", "Of 2 classifiers, the images help all and harm none."),
        (("harms", "harms"), "bad", "Of 2 classifiers, the images help none and harm all."),
        (
            ("helps", "cannot tell", "cannot tell"),
            "open",
            "Of 3 classifiers, the images help 1 (A), harm none and for 2 (B and C) it cannot be told.",
        ),
        (("helps", "harms"), "open", "Of 2 classifiers, the images help 1 (A) and harm 1 (B)."),
        (
            ("cannot tell", "cannot tell"),
            "open",
            "Of 2 classifiers, the images help none, harm none and for all it cannot be told.",
        ),
    ],
)
def test_several_classifiers_are_counted_before_their_sentences(words: tuple[str, ...], mark: str, counts: str) -> None:
    verdicts = [verdict(label, word) for label, word in zip("ABC", words, strict=False)]
    found = usefulness(verdicts)
    assert found is not None and found.mark == mark
    assert found.text == " ".join([counts, *(row["sentence"] for row in verdicts)])
