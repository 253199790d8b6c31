"""What methods are called: every id that the stages write has a name, and style is named behind its generator."""

from __future__ import annotations

from monai_aggrgan.evaluation.methods import AGGREGATES, AGGRGANS, PARTS, STEP_WORDS, styled, with_style
from monai_aggrgan.evaluation.steps import STEPS
from monai_aggrgan.evaluation.summaries import REAL_LABEL


def test_a_generator_stands_before_the_same_with_style() -> None:
    assert with_style({"b": "B", "a": "A"}) == {
        "b": "B",
        "b+style": "B + style transfer",
        "a": "A",
        "a+style": "A + style transfer",
    }
    assert list(with_style({"b": "B"}))[1] == styled("b") and with_style({}) == {}


def test_no_two_methods_share_a_label() -> None:
    labels = [*AGGREGATES.values(), *AGGRGANS.values(), *PARTS.values()]
    assert len(set(labels)) == len(labels) and PARTS["real"] == REAL_LABEL
    assert {name.partition("_")[2] for name in AGGREGATES} == {name.partition("_")[2] for name in AGGRGANS}


def test_each_step_has_a_word_for_its_absence_and_one_for_its_presence() -> None:
    assert [len(words) for words in STEP_WORDS] == [2] * len(next(iter(STEPS)))
