"""The prepared images as classifiers meet them."""

from __future__ import annotations

import torch

from monai_aggrgan.data import PreparedSlices
from monai_aggrgan.stages.real_images import facts_of, read_real, real_rows


def test_images_rows_and_facts_are_in_one_order(study_of, finished):
    settings = study_of(finished).settings
    rows, facts, images = real_rows(settings), facts_of(settings), read_real(settings)
    assert len(rows) == len(facts.ids) == len(images) == 24 and images.dtype == torch.float16
    assert [row["id"] for row in rows] == [*facts.ids]
    assert [("disc", "square")[label] for label in facts.labels] == [row["class_name"] for row in rows]
    training = PreparedSlices(finished / "prepare", class_name="square")
    place = facts.ids.index(training.rows[0]["id"])
    assert torch.equal(images[place].float(), training.images[0].float())


def test_classes_that_are_left_out_are_not_among_them(study_of, finished):
    facts = facts_of(study_of(finished, classes=["square"]).settings)
    assert len(facts.ids) == 12 and {*facts.labels.tolist()} == {0}
