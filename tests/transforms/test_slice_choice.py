from __future__ import annotations

import numpy as np
import pytest

from monai_aggrgan.transforms.slice_choice import across_foreground, across_label, every_nth, foreground_areas


def label(*areas: int) -> np.ndarray:
    """A segmentation with so many voxels in each slice."""
    stack = np.zeros((len(areas), 6, 6), np.uint8)
    for index, area in enumerate(areas):
        stack[index].flat[:area] = 1 + index % 3  # whatever the labels are
    return stack


def test_the_largest_area_and_the_quartiles_of_the_extent():
    assert across_label(label(0, 0, 1, 2, 3, 9, 5, 4, 3, 2, 1, 0)) == [4, 5, 8]  # extent 2 to 10


@pytest.mark.parametrize("seed", range(20))
def test_three_slices_with_label_in_order_wherever_there_are_three(seed):
    random = np.random.default_rng(seed)
    areas = random.integers(0, 5, 15) * (random.random(15) < 0.4)
    chosen = across_label(label(*areas))
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(3, np.count_nonzero(areas))
    assert all(areas[chosen] > 0)
    if len(chosen):
        assert areas.max() in areas[chosen]


def test_a_neighbour_steps_in_where_they_coincide():
    assert across_label(label(0, 3, 2, 9, 2, 1, 1, 1, 1, 0)) == [2, 3, 6]  # quartiles of 1 to 8: 3 and 6
    assert across_label(label(0, 9, 0, 1)) == [1, 3]
    assert across_label(label(0, 0, 9, 0)) == [2]


def test_an_empty_label_chooses_nothing():
    assert across_label(label(0, 0, 0)) == []


def test_the_foreground_lies_above_a_tenth_of_the_range():
    stack = np.zeros((3, 2, 2))
    stack[1] = [[0, 10], [11, 100]]
    assert foreground_areas(stack, low=0, high=100).tolist() == [0, 2, 0]
    assert foreground_areas(stack - 50, low=-50, high=50).tolist() == [0, 2, 0]


def test_positions_are_shares_of_the_foregrounds_extent():
    areas = np.zeros(50, int)
    areas[10:31] = 100
    assert across_foreground(areas) == [18, 20, 22]
    assert across_foreground(areas, positions=(1, 0)) == [10, 30]
    assert across_foreground(areas, positions=(0.5, 0.5, 0.51)) == [20]


def test_specks_do_not_count_to_the_extent():
    areas = np.zeros(50, int)
    areas[10:31], areas[0], areas[49] = 1000, 9, 9
    assert across_foreground(areas, positions=(0, 1)) == [10, 30]
    areas[0] = 10
    assert across_foreground(areas, positions=(0, 1)) == [0, 30]


def test_every_nth_slice_of_the_extent():
    areas = np.zeros(20, int)
    areas[3:12] = 5
    assert every_nth(areas, step=1) == list(range(3, 12))
    assert every_nth(areas, step=4) == [3, 7, 11]
    areas[7] = 0
    assert every_nth(areas, step=4) == [3, 11]
