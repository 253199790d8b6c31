"""The minority experiment."""

from __future__ import annotations

import numpy as np
import pytest

from monai_aggrgan.evaluation.conditions import MINORITY, Condition
from monai_aggrgan.evaluation.utility_draws import groups_of
from monai_aggrgan.evaluation.utility_plan import ImageFacts, Minority, minority_fill, minority_kept, plan
from monai_aggrgan.exceptions import InputError
from tests.evaluation.utility_images import CLASSES, real_facts, synthetic_facts

REAL = real_facts()


def training_of(real: ImageFacts, label: int) -> np.ndarray:
    return np.intersect1d(real.of_section("training"), real.of_label(label))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_whole_patients_are_kept_until_the_share_is_reached(share):
    mine = training_of(REAL, 0)
    for seed in range(10):
        kept = minority_kept(REAL, label=0, share=share, seed=seed)
        assert set(kept.tolist()) <= set(mine.tolist()) and sorted(kept.tolist()) == kept.tolist()
        assert share * len(mine) <= len(kept) < share * len(mine) + 4  # the last patient has at most four
        patients = {REAL.patients[index] for index in kept}
        assert set(kept.tolist()) == {index for index in mine.tolist() if REAL.patients[index] in patients}
    assert set(kept.tolist()) != set(minority_kept(REAL, label=0, share=share, seed=0).tolist())


def test_images_are_kept_one_by_one_where_patients_are_unknown():
    real = real_facts(known=False)
    mine = training_of(real, 2)
    assert len(minority_kept(real, label=2, share=0.1, seed=0)) == np.ceil(0.1 * len(mine))
    assert len(minority_kept(real, label=2, share=0.001, seed=0)) == 2


def test_two_groups_are_kept_so_that_one_can_validate():
    for real in (real_facts(), real_facts(known=False, folds=4)):
        for seed in range(10):
            kept = minority_kept(real, label=1, share=0.001, seed=seed)
            assert len(kept) >= 2 and len(set(groups_of(real)[kept])) == 2


def test_what_fills_the_class_up_makes_numbers_equal_on_average():
    kept = minority_kept(REAL, label=1, share=0.1, seed=0)
    fill = minority_fill(REAL, label=1, kept=kept, classes=3)
    assert fill == minority_fill(REAL, label=1, kept=kept, classes=3)
    minority = Minority(1, kept, synthetic_facts(REAL, labels=()))
    differences = []
    for seed in range(30):
        made = plan(
            Condition(MINORITY, "oversampling", fill),
            real=REAL,
            synthetic=minority.synthetic,
            minority=minority,
            classes=CLASSES,
            base=0,
            seed=seed,
        )
        sizes = np.bincount(REAL.labels[[entry.index for entry in made.training]])
        differences.append(sizes[1] - sizes[0])
    assert np.abs(differences).max() <= 4 and abs(np.mean(differences)) < 1


def test_nothing_fills_a_class_of_which_all_is_kept():
    assert minority_fill(REAL, label=1, kept=training_of(REAL, 1), classes=3) == 0


def test_a_class_with_a_single_training_image_is_refused():
    with pytest.raises(InputError, match="has 0 training images and needs 2: name another in --minority_class"):
        minority_kept(real_facts(sizes=(20, 1, 20)), label=1, share=0.1, seed=0)
