"""Who trains on what: nothing that is tested on is trained on, and arms can be compared in pairs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from monai_aggrgan.evaluation.conditions import ARMS, MINORITY, PATIENT, SLICE, Condition, conditions
from monai_aggrgan.evaluation.utility_draws import groups_of
from monai_aggrgan.evaluation.utility_plan import Entry, ImageFacts, Minority, Plan, minority_kept, plan
from monai_aggrgan.exceptions import InputError
from tests.evaluation.utility_images import BASE, CLASSES, MADE, real_facts, synthetic_facts

REAL = real_facts()
SYNTHETIC = synthetic_facts(REAL)
KEPT = minority_kept(REAL, label=1, share=0.1, seed=0)


def minority_of(real: ImageFacts, kept: np.ndarray, *, count: int = 60) -> Minority:
    references = tuple(real.ids[kept[number % len(kept)]] for number in range(count))
    ids = tuple(f"m{number}" for number in range(count))
    return Minority(1, kept, ImageFacts.of_synthetic(ids, np.ones(count, dtype=np.int64), references))


def planned(condition: Condition, *, seed: int = 0, real: ImageFacts = REAL, **changes: object) -> Plan:
    given = {"synthetic": SYNTHETIC, "minority": minority_of(REAL, KEPT), "classes": CLASSES, "base": BASE}
    return plan(condition, real=real, seed=seed, **{**given, **changes})


def label_of(entry: Entry, condition: Condition) -> int:
    made = minority_of(REAL, KEPT).synthetic if condition.protocol == MINORITY else SYNTHETIC
    return int((made if entry.kind == "synthetic" else REAL).labels[entry.index])


def counted(entries: tuple[Entry, ...], condition: Condition) -> dict[str, list[int]]:
    """Source -> images of each class."""
    found = Counter((entry.source, label_of(entry, condition)) for entry in entries)
    return {source: [found[source, label] for label in range(3)] for source in dict.fromkeys(s for s, _ in found)}


def indices(entries: tuple[Entry, ...], *kinds: str) -> set[int]:
    return {entry.index for entry in entries if entry.kind in kinds}


def touched(entries: tuple[Entry, ...]) -> set[int]:
    """Real images that stand in some entries, as they are or changed."""
    return indices(entries, "real", "flip", "shift", "zoom")


EVERY = conditions(base=BASE, counts=(10, 50), minority=40)
SEEDS = (0, 1, 7)


def test_the_list_of_conditions_has_every_protocol_and_arm():
    assert {condition.protocol for condition in EVERY} == {PATIENT, SLICE, MINORITY}
    assert {condition.arm for condition in EVERY} == {"real", "mix", "all", *ARMS}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("condition", EVERY, ids=str)
def test_no_test_image_trains_or_validates_nor_does_a_transform_or_copy_of_it(condition, seed):
    made = planned(condition, seed=seed)
    assert set(made.tests) == set(condition.tests)
    training, validation = touched(made.training), touched(made.validation)
    assert not training & validation
    for name, entries in made.tests.items():
        assert not touched(entries) & (training | validation)
        if name == "mix":
            tested = indices(entries, "synthetic")
            assert tested and not tested & indices((*made.training, *made.validation), "synthetic")
    assert not indices(made.training, "synthetic") & indices(made.validation, "synthetic")
    assert {entry.source for entry in made.validation} <= (
        {"real", "synthetic"} if condition.arm == "mix" else {"real"}
    )


@pytest.mark.parametrize("real", [real_facts(), real_facts(shared_patients=True)], ids=["own", "shared"])
@pytest.mark.parametrize("condition", [c for c in EVERY if c.protocol != SLICE], ids=str)
def test_no_group_stands_on_two_sides(condition, real):
    kept = minority_kept(real, label=1, share=0.1, seed=0)
    changes = {"synthetic": synthetic_facts(real), "minority": minority_of(real, kept)}
    made = planned(condition, seed=3, real=real, **changes)
    groups = groups_of(real)
    place = {name: index for index, name in enumerate(real.ids)}
    facts = changes["minority"].synthetic if condition.protocol == MINORITY else changes["synthetic"]

    def standing(entries: tuple[Entry, ...], *, references: bool) -> set[str]:
        answered = {place[facts.references[index]] for index in indices(entries, "synthetic")} if references else set()
        return {str(groups[index]) for index in touched(entries) | answered}

    mix = condition.arm == "mix"
    sides = [standing(made.training, references=mix), standing(made.validation, references=mix)]
    sides += [standing(entries, references=mix) for entries in made.tests.values()]
    for number, one in enumerate(sides):
        assert one or not mix
        assert all(not one & other for other in sides[:number])


@pytest.mark.parametrize("condition", EVERY, ids=str)
def test_the_same_seed_gives_the_same_and_another_another(condition):
    once, again, other = (planned(condition, seed=seed) for seed in (4, 4, 5))
    assert once == again
    assert set(once.training) != set(other.training) and set(once.validation) != set(other.validation)


@pytest.mark.parametrize("protocol", [PATIENT, SLICE, MINORITY])
def test_all_arms_share_their_real_images_and_validation(protocol):
    arms = [c for c in EVERY if c.protocol == protocol and c.arm in ("real", *ARMS)]
    assert len(arms) >= 3
    for seed in SEEDS:
        plans = [planned(condition, seed=seed) for condition in arms]
        for made in plans:
            real = [entry for entry in made.training if entry.source == "real"]
            assert real == [entry for entry in plans[0].training if entry.source == "real"]
            assert made.training[: len(real)] == tuple(real)
            assert made.validation == plans[0].validation and made.tests["real"] == plans[0].tests["real"]


@pytest.mark.parametrize("condition", [c for c in EVERY if c.protocol != MINORITY], ids=str)
def test_every_class_trains_with_the_same_numbers(condition):
    made = planned(condition, seed=2)
    numbers = counted(made.training, condition)
    if (condition.protocol, condition.arm) == (SLICE, "mix"):  # one bag: the sum is equal
        assert len(set(np.sum(list(numbers.values()), axis=0))) == 1 and set(numbers) == {"real", "synthetic"}
        return
    assert all(len(set(of_class)) == 1 for of_class in numbers.values())
    if condition.arm in ARMS:
        assert numbers[condition.arm] == [condition.count] * 3


def test_by_patient_the_held_out_images_test_and_about_a_fifth_validates():
    condition = Condition(PATIENT, "real")
    inside = np.bincount(REAL.labels[REAL.of_section("training")])
    for seed in SEEDS:
        made = planned(condition, seed=seed)
        assert indices(made.tests["real"], "real") == set(REAL.of_section("held_out").tolist())
        assert len(made.tests["real"]) == len(REAL.of_section("held_out"))
        validation = np.array(counted(made.validation, condition)["real"])
        assert (np.abs(validation - 0.2 * inside) <= 2).all()  # patients have up to four images
        assert counted(made.training, condition)["real"] == [int((inside - validation).min())] * 3
        base = {index for label in range(3) for index in SYNTHETIC.of_label(label)[:BASE].tolist()}
        assert indices(made.tests["synthetic"], "synthetic") == base


def test_smaller_numbers_of_synthetic_images_are_part_of_larger_ones_and_base_comes_first():
    some, base, more = (indices(planned(Condition(PATIENT, "synthetic", n)).training, "synthetic") for n in (9, 30, 50))
    assert some < base < more and (len(some), len(base), len(more)) == (27, 90, 150)
    assert base == indices(planned(Condition(PATIENT, "real")).tests["synthetic"], "synthetic")
    other = indices(planned(Condition(PATIENT, "synthetic", 9), seed=1).training, "synthetic")
    assert other != some


def test_mix_tests_on_about_a_fifth_of_the_synthetic_images_and_on_all_held_out_ones():
    condition = Condition(PATIENT, "mix")
    made = planned(condition, seed=1)
    numbers = counted(made.tests["mix"], condition)
    assert indices(made.tests["mix"], "real") == set(REAL.of_section("held_out").tolist())
    assert all(4 <= count <= 8 for count in numbers["synthetic"])  # of 30
    assert all(count >= 1 for of_class in counted(made.validation, condition).values() for count in of_class)
    assert all(index % MADE < BASE for index in indices((*made.training, *made.tests["mix"]), "synthetic"))


def test_by_slice_each_image_is_drawn_on_its_own_from_both_sections():
    made = planned(Condition(SLICE, "real"), seed=0)
    condition = Condition(SLICE, "real")
    assert counted(made.tests["real"], condition)["real"] == [16] * 3  # a fifth of 80
    assert counted(made.validation, condition)["real"] == [13] * 3  # a fifth of 64
    assert counted(made.training, condition)["real"] == [51] * 3
    everything = touched(made.training) | touched(made.validation) | touched(made.tests["real"])
    assert len(everything) == 240 and everything & set(REAL.of_section("held_out").tolist())
    groups = groups_of(REAL)
    trained, tested = ({groups[index] for index in touched(part)} for part in (made.training, made.tests["real"]))
    assert len(trained & tested) > 10  # the paper's leak, which the split by patient has not


def test_by_slice_all_real_images_may_train_where_synthetic_ones_test():
    made = planned(Condition(SLICE, "all"))
    numbers = counted(made.training, Condition(SLICE, "all"))["real"], len(made.validation)
    assert numbers == ([64] * 3, 48) and len(made.tests["synthetic"]) == 3 * BASE
    mixed = planned(Condition(SLICE, "mix"))
    assert (len(mixed.tests["mix"]), len(mixed.validation), len(mixed.training)) == (66, 54, 210)  # of 80 + 30 a class


def test_transforms_are_thirds_of_training_images_each_with_its_own_seed():
    for count in (50, 10):
        made = planned(Condition(PATIENT, "transforms", count), seed=1)
        added = [entry for entry in made.training if entry.source == "transforms"]
        kinds = Counter(entry.kind for entry in added)
        third = {50: (17, 17, 16), 10: (4, 3, 3)}[count]
        assert [kinds[kind] for kind in ("flip", "shift", "zoom")] == [3 * number for number in third]
        assert {entry.index for entry in added} <= indices(made.training, "real")
        assert len({entry.seed for entry in added}) == len(added)
        assert len({(entry.kind, entry.index) for entry in added}) == len(added)


def test_oversampling_takes_none_twice_before_all_had_their_turn():
    few = planned(Condition(PATIENT, "oversampling", 10))
    added = [entry.index for entry in few.training if entry.source == "oversampling"]
    assert len(set(added)) == len(added) == 30 and set(added) <= {e.index for e in few.training if e.source == "real"}
    many = planned(Condition(PATIENT, "oversampling", 500))
    turns = Counter(entry.index for entry in many.training if entry.source == "oversampling")
    for label in range(3):
        mine = [
            turns[entry.index]
            for entry in many.training
            if entry.source == "real" and label_of(entry, EVERY[0]) == label
        ]
        assert max(mine) - min(mine) == 1 and sum(mine) == 500


def test_in_the_minority_experiment_one_class_has_only_what_is_kept():
    usual = counted(planned(Condition(PATIENT, "real"), seed=1).training, EVERY[0])["real"][0]
    condition = Condition(MINORITY, "synthetic", 40)
    made = planned(condition, seed=1)
    real, validation = counted(made.training, condition)["real"], counted(made.validation, condition)["real"]
    assert real[0] == real[2] == usual
    assert real[1] + validation[1] == len(KEPT) and real[1] >= 1 and validation[1] >= 1
    minority = {index for index in touched((*made.training, *made.validation)) if REAL.labels[index] == 1}
    assert minority == set(KEPT.tolist())
    for arm in ARMS:
        added = counted(planned(Condition(MINORITY, arm, 40), seed=1).training, condition)[arm]
        assert added == [0, 40, 0]


def test_other_classes_have_the_same_images_in_the_minority_experiment():
    for seed in SEEDS:
        usual, made = (planned(Condition(protocol, "real"), seed=seed) for protocol in (PATIENT, MINORITY))
        for mine, theirs in ((made.training, usual.training), (made.validation, usual.validation)):
            mine, theirs = ({e.index for e in part if REAL.labels[e.index] != 1} for part in (mine, theirs))
            assert mine == theirs


def test_fewer_than_two_classes_are_refused():
    with pytest.raises(InputError, match=r"at least two classes, and this study has only 'glioma': prepare another"):
        planned(Condition(PATIENT, "real"), classes=("glioma",))


@pytest.mark.parametrize(
    ("condition", "sizes", "sentence"),
    [
        (
            Condition(PATIENT, "real"),
            (120, 3, 100),
            r"'meningioma' is too small for the split by patient: with",
        ),
        (Condition(PATIENT, "mix"), (120, 8, 100), r"'meningioma' .* none left for training"),
        (
            Condition(SLICE, "real"),
            (120, 2, 100),
            r"'meningioma' is too small for the split by slice.* training; add",
        ),
        (Condition(SLICE, "real"), (120, 0, 100), r"'meningioma' .*0 held-out .* or leave it out with --classes"),
    ],
)
def test_a_class_that_is_too_small_is_named(condition, sizes, sentence):
    real = real_facts(sizes=sizes)
    inside = [len(np.intersect1d(real.of_section("training"), real.of_label(label))) for label in range(3)]
    made = synthetic_facts(real, labels=tuple(label for label in range(3) if inside[label]))
    base = BASE if all(inside) else 0
    with pytest.raises(InputError, match=sentence):
        planned(condition, real=real, synthetic=made, base=base)


def test_a_class_of_one_patient_cannot_validate():
    real = real_facts()
    patients = [("one" if label == 1 else own) for label, own in zip(real.labels, real.patients, strict=True)]
    sections = ["training" if own == "one" else side for own, side in zip(patients, real.sections, strict=True)]
    real = real._replace(patients=tuple(patients), sections=tuple(sections))
    with pytest.raises(InputError, match=r"'meningioma' .*: with 80 training images of 1 patient, 0 held-out"):
        planned(Condition(PATIENT, "real"), real=real)


def test_too_few_synthetic_images_are_refused():
    for condition in (Condition(PATIENT, "synthetic", 51), Condition(SLICE, "synthetic", 51)):
        with pytest.raises(InputError, match=r"Class 'glioma' has 50 synthetic images and 51 are needed"):
            planned(condition)
    with pytest.raises(InputError, match=r"Class 'meningioma' has 60 synthetic images and 61 are needed"):
        planned(Condition(MINORITY, "synthetic", 61))


@pytest.mark.parametrize("condition", [c for c in EVERY if c.protocol == PATIENT], ids=str)
@pytest.mark.parametrize("real", [REAL, real_facts(known=False)], ids=["patients", "unknown"])
def test_a_set_made_from_test_patients_is_refused(condition, real):
    tested = real.ids[real.of_section("held_out")[0]]
    wrong = SYNTHETIC._replace(references=(tested, tested, *SYNTHETIC.references[2:]))
    with pytest.raises(InputError, match=r"2 of 150 synthetic images answer .* set made from test patients"):
        planned(condition, real=real, synthetic=wrong)


def test_a_set_made_from_another_image_of_a_test_patient_or_an_unknown_one_is_refused():
    owner = REAL.patients[REAL.of_section("held_out")[0]]
    own = list(REAL.patients)
    own[REAL.ids.index(SYNTHETIC.references[0])] = owner
    answers = SYNTHETIC.references.count(SYNTHETIC.references[0])
    with pytest.raises(InputError, match=rf"^{answers} of 150 synthetic images answer images of held-out patients"):
        planned(Condition(PATIENT, "real"), real=REAL._replace(patients=tuple(own)))
    unknown = SYNTHETIC._replace(references=("elsewhere/1", *SYNTHETIC.references[1:]))
    with pytest.raises(InputError, match=r"1 of 150 synthetic images answer no real image of this study"):
        planned(Condition(PATIENT, "real"), synthetic=unknown)


def test_minority_images_that_answer_what_was_taken_away_are_refused():
    taken = np.setdiff1d(np.intersect1d(REAL.of_section("training"), REAL.of_label(1)), KEPT)
    wrong = minority_of(REAL, taken)
    with pytest.raises(InputError, match=r"60 of 60 synthetic images of the minority class answer .* taken away"):
        planned(Condition(MINORITY, "synthetic", 40), minority=Minority(1, KEPT, wrong.synthetic))
    with pytest.raises(ValueError, match="needs a Minority"):
        planned(Condition(MINORITY, "real"), minority=None)
