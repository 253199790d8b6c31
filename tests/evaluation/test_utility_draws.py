"""Groups and lots."""

from __future__ import annotations

import numpy as np
import pytest

from monai_aggrgan.evaluation.utility_draws import chosen_groups, equal_numbers, groups_of, oversampled, transformed
from monai_aggrgan.evaluation.utility_facts import Entry, ImageFacts
from tests.evaluation.utility_images import real_facts


def facts(patients: str, folds: str, sections: str) -> ImageFacts:
    """Of one letter an image; - is unknown, sections are t and h."""
    known = [tuple("" if letter == "-" else letter for letter in column) for column in (patients, folds)]
    sides = tuple({"t": "training", "h": "held_out"}[letter] for letter in sections)
    count = len(patients)
    return ImageFacts(
        tuple(map(str, range(count))), np.zeros(count, dtype=np.int64), known[0], known[1], sides, ("",) * count
    )


def partition(groups: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(groups == name).tolist()) for name in dict.fromkeys(groups.tolist())]


@pytest.mark.parametrize(
    ("patients", "folds", "sections", "expected"),
    [
        ("aab-", "----", "tttt", [{0, 1}, {2}, {3}]),
        ("----", "1122", "tttt", [{0, 1}, {2, 3}]),
        ("aabb", "1212", "tttt", [{0, 1}, {2, 3}]),  # patients are known: folds tell nothing more
        ("ab-c", "1112", "tttt", [{0, 1, 2}, {3}]),  # the unknown one may be a or b
        ("ab-bc", "11122", "ttttt", [{0, 1, 2, 3}, {4}]),  # and b is in fold 2 as well
        ("----", "1112", "ttth", [{0}, {1}, {2}, {3}]),  # one fold of training images: no help
        ("12--", "2112", "tttt", [{0, 3}, {1, 2}]),  # patient 1 is not fold 1
    ],
)
def test_a_group_is_the_patient_else_the_fold_else_the_image(patients, folds, sections, expected):
    assert partition(groups_of(facts(patients, folds, sections))) == expected


def test_chosen_groups_have_about_the_share_of_every_class():
    real = real_facts(sizes=(400, 300, 200))
    groups = groups_of(real)
    for seed in range(20):
        chosen = chosen_groups(groups, real.labels, share=0.2, seed=seed)
        shares = [np.isin(groups[real.labels == label], list(chosen)).mean() for label in range(3)]
        assert np.allclose(shares, 0.2, atol=0.011)  # half of the largest group
    often = np.mean(
        [np.isin(groups, list(chosen_groups(groups, real.labels, share=0.2, seed=s))) for s in range(200)], 0
    )
    assert often.min() > 0.08 and often.max() < 0.35  # everyone's turn comes


def test_groups_of_a_class_do_not_depend_on_other_classes_or_the_order():
    real = real_facts()
    groups = groups_of(real)
    whole = chosen_groups(groups, real.labels, share=0.2, seed=1)
    order = np.random.default_rng(0).permutation(len(groups))
    assert chosen_groups(groups[order], real.labels[order], share=0.2, seed=1) == whole
    mine = real.labels == 1
    assert chosen_groups(groups[mine], real.labels[mine], share=0.2, seed=1) == whole & set(groups[mine].tolist())


def test_a_group_with_most_of_a_class_stays_where_there_is_another():
    groups, labels = np.array(["big"] * 9 + ["small"]), np.zeros(10, dtype=np.int64)
    assert all(chosen_groups(groups, labels, share=0.2, seed=seed) == {"small"} for seed in range(8))
    assert chosen_groups(groups[:9], labels[:9], share=0.2, seed=0) == {"big"}
    shared = np.array(["a", "b", "c", "a", "b"])  # c is of the first class alone
    labels = np.array([0, 0, 0, 1, 1])
    for seed in range(8):
        assert len(chosen_groups(shared, labels, share=0.2, seed=seed) & {"a", "b"}) == 1


def test_equal_numbers_are_the_smallest_class_by_lot():
    labels = np.array([0] * 5 + [1] * 3 + [2] * 9)
    taken = equal_numbers(np.arange(17), labels, which=range(3), seed=0)
    assert labels[taken].tolist() == [0] * 3 + [1] * 3 + [2] * 3 and len(set(taken.tolist())) == 9
    assert set(taken.tolist()) != set(equal_numbers(np.arange(17), labels, which=range(3), seed=1).tolist())
    assert labels[equal_numbers(np.arange(17), labels, which=[0, 2], seed=0, most=4)].tolist() == [0] * 4 + [2] * 4
    assert len(equal_numbers(np.arange(5), labels, which=range(3), seed=0)) == 0


def test_repetition_is_spread_evenly_and_counted():
    indices = np.array([4, 7, 9])
    added = oversampled(indices, count=7, label=0, seed=0)
    assert sorted(entry.seed for entry in added) == [1, 1, 1, 2, 2, 2, 3]
    assert {entry.index for entry in added[:3]} == {entry.index for entry in added[3:6]} == {4, 7, 9}
    changed = transformed(indices, count=9, label=0, seed=0)
    assert len({(entry.kind, entry.index) for entry in changed}) == 9
    assert [entry.kind for entry in transformed(indices, count=2, label=0, seed=0)] == ["flip", "shift"]
    assert transformed(indices, count=3, label=0, seed=0) != transformed(indices, count=3, label=0, seed=1)


def test_an_entry_tells_its_source():
    entries = [Entry("real", 1), Entry("real", 1, 2), Entry("synthetic", 1), Entry("zoom", 1, 5)]
    assert [entry.source for entry in entries] == ["real", "oversampling", "synthetic", "transforms"]
