"""Curves of trainings as a picture."""

from __future__ import annotations

import numpy as np
import pytest

from monai_aggrgan.visualize.learning_curves import learning_curves

CURVE = ([0, 10, 20], [1.0, 0.5, 0.2])


def test_each_curve_leaves_its_ink() -> None:
    one = learning_curves({"disc": {"DCGAN-1": {"critic": CURVE}}})
    two = learning_curves({"disc": {"DCGAN-1": {"critic": CURVE, "generator": ([0, 20], [0.2, 0.9])}}})
    assert one.dtype == np.uint8 and one.ndim == 3 and one.shape[2] == 3
    blue, brown = ((picture.astype(int) - colour).__abs__().sum(axis=2) < 30 for picture, colour in _inks(one, two))
    assert blue.sum() > 100 and brown.sum() > 100


def _inks(one: np.ndarray, two: np.ndarray) -> list[tuple[np.ndarray, tuple[int, int, int]]]:
    return [(one, (0x0B, 0x53, 0x94)), (two, (0x9A, 0x5B, 0x00))]


def test_a_grid_grows_with_classes_and_gans_and_a_missing_plot_stays_empty() -> None:
    small = learning_curves({"a": {"x": {"critic": CURVE}}})
    large = learning_curves({"a": {"x": {"critic": CURVE}, "y": {"critic": CURVE}}, "$b": {"x": {"critic": CURVE}}})
    assert large.shape[0] > small.shape[0] and large.shape[1] > small.shape[1]
    corner = large[large.shape[0] // 2 + 40 : -80, large.shape[1] // 2 + 40 :]
    assert (corner == 255).all() and not (large == 255).all()


def test_values_that_are_not_finite_do_no_harm() -> None:
    assert learning_curves({"a": {"x": {"critic": ([0, 1, 2], [1.0, float("nan"), float("inf")])}}}).size


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one curve"):
        learning_curves({"a": {"x": {}}})
    with pytest.raises(ValueError, match="got 2 and 3 for critic"):
        learning_curves({"a": {"x": {"critic": ([0, 1], CURVE[1])}}})
