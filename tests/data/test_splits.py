from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest

from monai_aggrgan.data.splits import HELD_OUT, TRAINING, SplitItem, split_by_fold, split_by_patient
from monai_aggrgan.exceptions import InputError


def _item(number: int, class_name: str = "a", patient: str | None = None, fold: str | None = None) -> SplitItem:
    return SplitItem(case=f"{class_name}/{number}.png", class_name=class_name, patient=patient, fold=fold)


def _patients(count: int, *, slices: int = 3, class_name: str = "a") -> list[SplitItem]:
    return [_item(number, class_name, f"p{number // slices}") for number in range(count * slices)]


def _sides_of_patients(items: list[SplitItem], sides: list[str]) -> dict[str, set[str]]:
    met = defaultdict(set)
    for item, side in zip(items, sides, strict=True):
        met[item["patient"]].add(side)
    return met


@pytest.mark.parametrize("seed", range(40))
def test_no_patient_stands_on_both_sides_whatever_the_assignment(seed):
    draw = random.Random(seed)
    patients = [f"p{number}" for number in range(draw.randint(20, 40))]
    items = [_item(n, draw.choice("abc"), draw.choice(patients)) for n in range(draw.randint(150, 300))]
    sides = split_by_patient(items, held_out_fraction=draw.uniform(0.1, 0.5), seed=seed)
    assert len(sides) == len(items)
    assert set(sides) == {TRAINING, HELD_OUT}
    assert {len(met) for met in _sides_of_patients(items, sides).values()} == {1}


def test_modalities_of_a_patient_fall_on_one_side_and_every_class_has_the_fraction():
    items = _patients(20, class_name="t1") + _patients(20, class_name="t2") + _patients(20, class_name="flair")
    sides = split_by_patient(items, held_out_fraction=0.25, seed=1)
    assert {len(met) for met in _sides_of_patients(items, sides).values()} == {1}
    counts = Counter((item["class_name"], side) for item, side in zip(items, sides, strict=True))
    assert {name: counts[name, HELD_OUT] for name in ("t1", "t2", "flair")} == {"t1": 15, "t2": 15, "flair": 15}


@pytest.mark.parametrize(("fraction", "expected"), [(0.2, 4), (0.5, 10), (0.01, 1), (0.95, 19)])
def test_the_fraction_counts_patients_and_at_least_one(fraction, expected):
    items = _patients(19, slices=2) + [_item(number, patient="many") for number in range(100, 150)]
    sides = split_by_patient(items, held_out_fraction=fraction)
    held_out = {item["patient"] for item, side in zip(items, sides, strict=True) if side == HELD_OUT}
    assert len(held_out) == expected


def test_a_file_of_unknown_patient_stands_for_itself():
    items = [_item(number) for number in range(10)]
    assert Counter(split_by_patient(items, held_out_fraction=0.3)) == {TRAINING: 7, HELD_OUT: 3}
    twice = split_by_patient(items + items, held_out_fraction=0.3)
    assert twice[:10] == twice[10:]


def test_a_patient_named_as_a_file_is_not_that_file():
    items = [_item(0), _item(1, patient="a/0.png"), *[_item(number) for number in range(2, 12)]]
    apart = [split_by_patient(items, held_out_fraction=0.5, seed=seed)[:2] for seed in range(20)]
    assert any(first != second for first, second in apart)


def test_the_split_is_a_function_of_the_seed():
    items = _patients(20)
    state = random.getstate()
    first = split_by_patient(items, seed=3)
    assert split_by_patient(items, seed=3) == first
    assert any(split_by_patient(items, seed=seed) != first for seed in range(4, 8))
    assert random.getstate() == state


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_a_fraction_that_leaves_a_side_empty(fraction):
    with pytest.raises(InputError, match=f"--held_out_fraction must lie between 0 and 1, got {fraction}"):
        split_by_patient(_patients(5), held_out_fraction=fraction)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([_item(0)], "Class 'a' has 0 training images and needs 2"),
        (_patients(1), "Class 'a' has 0 training images and needs 2"),
        (_patients(5, slices=1), "Class 'a' has 1 held-out images and needs 2"),
        ([*_patients(5), _item(0, "b", "p0")], "Class 'b' has . (training|held-out) images and needs 2: add images"),
    ],
)
def test_a_class_that_is_too_small_for_two_sides(items, message):
    with pytest.raises(InputError, match=message):
        split_by_patient(items)


def test_a_class_counts_the_patients_that_another_has_held_out():
    items = _patients(20, class_name="t1") + _patients(40, class_name="t2")
    for seed in range(5):
        sides = split_by_patient(items, held_out_fraction=0.25, seed=seed)
        held_out = {item["patient"] for item, side in zip(items, sides, strict=True) if side == HELD_OUT}
        assert len(held_out) == 10


def _folds(pattern: str, *, class_name: str = "a") -> list[SplitItem]:
    return [_item(number, class_name, None, fold) for number, fold in enumerate(pattern)]


def test_the_named_fold_is_held_out_and_the_others_train():
    sides = split_by_fold(_folds("11223312"), held_out_fold="2")
    assert [side == HELD_OUT for side in sides] == [fold == "2" for fold in "11223312"]
    assert set(sides) == {TRAINING, HELD_OUT}


def test_a_slice_without_fold():
    with pytest.raises(InputError, match=r"a/4\.png has no fold: fill the fold column of --datalist .*, or omit"):
        split_by_fold([*_folds("1122"), _item(4)], held_out_fold="2")


def test_a_fold_that_is_not_there():
    with pytest.raises(InputError, match="--held_out_fold 6 is not among the datalist's folds 1, 2, 3"):
        split_by_fold(_folds("112233"), held_out_fold="6")


def test_a_patient_torn_by_the_folds():
    items = [*_folds("11223"), _item(5, "a", "p", "1"), _item(6, "b", "p", "2")]
    with pytest.raises(InputError, match="1 patients have slices in fold 2 and in others: correct the folds"):
        split_by_fold(items, held_out_fold="2")


def test_a_patient_in_several_training_folds_is_not_torn():
    items = [*_folds("1122"), _item(5, "a", "p", "1"), _item(6, "a", "p", "3")]
    assert split_by_fold(items, held_out_fold="2").count(TRAINING) == 4


def test_a_class_missing_on_one_side_of_the_folds():
    with pytest.raises(InputError, match=r"Class 'b' has 0 held-out images and needs 2.*--classes"):
        split_by_fold(_folds("1122") + _folds("1133", class_name="b"), held_out_fold="2")
